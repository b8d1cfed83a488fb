"""Outages of real processes, bounded: what payers are told, and that everything due is credited afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.outages.outage_nodes import outage_nodes_away
from tests.outages.outage_processes import outage_rolling_deploy
from tests.outages.outage_stripe import outage_stripe_503, outage_stripe_read_reset
from tests.outages.outage_stripe_answers import seconds_until_the_next_key
from tests.outages.runner import Outage
from tests.outages.world import Scene, World


@dataclass(frozen=True)
class SharedWorld(World):
    """One chain and one set of stand-ins for several outages; the processes are each outage's own."""

    short: bool = True
    scenes: list[Scene] = field(default_factory=list)

    @contextmanager
    def started(
        self, *, nodes: int = 1, timestamp: int | None = None, settings: dict[str, str] | None = None
    ) -> Iterator[Scene]:
        """Return the scene, which has two nodes, and stop its processes at the end."""
        assert nodes <= 2
        assert (timestamp, settings) == (None, None), "the scene runs already"
        [scene] = self.scenes
        try:
            yield scene
        finally:
            scene.stack.stop_services()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Run what the outages share."""
    with World(short=True).started(nodes=2) as scene:
        yield SharedWorld(scenes=[scene])


@pytest.mark.parametrize(
    "outage", [outage_nodes_away, outage_rolling_deploy, outage_stripe_503, outage_stripe_read_reset]
)
def test_what_waits_is_credited_after_the_outage(world: World, outage: Outage) -> None:
    assert not outage(world).unsaid


def test_a_repeated_lock_timeout_ends_with_the_next_key() -> None:
    assert seconds_until_the_next_key() < 25 * 3600
