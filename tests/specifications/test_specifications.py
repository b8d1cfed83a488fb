"""The pure core agrees with its specifications; `make prove-core` compares many more cases."""

import random

import pytest

from stateless_billing.domain import epochs, finality, ledger, money
from stateless_billing.grants import caps
from tests.specifications.__main__ import enumerated, run, shrinking, words
from tests.specifications.comparing import RANDOM
from tests.specifications.ledgers import LETTERS, MEANING

SEED = 7


def always(answer: object) -> object:
    """A function that always answers so."""
    return lambda *_, **__: answer


def test_the_core_agrees_with_its_specifications() -> None:
    cases = run(length=2, count=2_000, examples=100, origin=SEED)
    assert cases["words"] == sum(len(LETTERS) ** length for length in range(3))
    assert cases["match"] == 2_000


def test_a_difference_is_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_is_renamed", always(False))
    assert "should say" in shrinking(500, SEED)
    with pytest.raises(AssertionError, match="should say"):
        run(length=1, count=0, examples=0, origin=SEED)


def test_every_word_is_spelled_once() -> None:
    spelled = [letters for _, length, begin in enumerated(3) for letters in words(length, str(begin))]
    assert len(spelled) == len(set(spelled)) == sum(len(LETTERS) ** length for length in range(4))
    assert set(LETTERS) == set(MEANING)


@pytest.mark.parametrize(
    ("rule", "owner", "name", "value"),
    [
        ("match", ledger, "_is_renamed", always(False)),
        ("match", ledger, "_is_void", always(False)),
        ("match", ledger, "BLOCK_LEAD_SECONDS", 121),
        ("match", ledger, "LISTING_LEAD_SECONDS", 3_599),
        ("epochs", epochs, "QUIET_SECONDS", 1_799),
        ("epochs", epochs, "FRESH_SECONDS", 601),
        ("rounding", money, "_BPS", 10_001),
        ("depth", finality, "_chain_order", always((0, 0))),
        ("depth", finality, "CLOCK_TOLERANCE_SECONDS", 121),
        ("caps", caps, "DAY", 24 * 3600 - 1),
        ("caps", caps, "_counts_toward", always(True)),
    ],
)
def test_another_rule_differs(
    rule: str, owner: object, name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, value)
    rng = random.Random(SEED)
    assert any(RANDOM[rule](rng) for _ in range(5_000)), "the specification notices"
