"""The small scenes hold; every rule's removal does harm, as docs/counterexamples.md tells it."""

from dataclasses import replace

import pytest

from stateless_billing.sandbox.processes import ROOT
from tests.model.explorer import explore
from tests.model.rules import ALL_RULES, Rule
from tests.model.scene import Scene
from tests.model.scenes import SMALL, WITHOUT, everything
from tests.model.state import PHASES, Fault
from tests.model.stories import page


@pytest.mark.parametrize("scene", SMALL, ids=lambda scene: scene.name)
def test_no_payment_is_credited_twice_or_never(scene: Scene) -> None:
    result = explore(scene)
    assert result.holds, result.story
    assert result.unused == 0, "a fault that never happens would make a scene hold for nothing"
    assert result.states > 900


def test_the_page_tells_what_the_model_finds() -> None:
    told = page()
    assert set(WITHOUT) == ALL_RULES
    assert told.count("\n## Without: ") == len(ALL_RULES) == told.count("\n**"), "no rule is harmless to remove"
    assert (ROOT / "docs" / "counterexamples.md").read_text() == told, "run `python -m tests.model --stories`"


@pytest.mark.parametrize("scene", SMALL[:2], ids=lambda scene: scene.name)
def test_merging_like_states_hides_nothing(scene: Scene) -> None:
    merged, all_states = explore(scene), explore(scene, symmetric=False)
    assert merged.states <= all_states.states <= 2 * merged.states
    assert merged.holds == all_states.holds
    broken = replace(scene, rules=ALL_RULES - {Rule.LOOK_FIRST})
    assert len(explore(broken).story) == len(explore(broken, symmetric=False).story)


def test_the_complete_run_has_each_pair_of_faults() -> None:
    pairs = {scene.faults for scene in everything() if scene.faults.bit_count() == 2}
    faults = [value for name, value in vars(Fault).items() if name.isupper()]
    assert len(pairs) == len(faults) * (len(faults) - 1) // 2
    assert len(PHASES) == 9
