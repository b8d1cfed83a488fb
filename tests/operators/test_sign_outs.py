"""Ended sessions: what the service record stores of them, and what is dropped."""

import pytest

from stateless_billing.operators.sign_outs import (
    KEY,
    MAX_SLOTS,
    OPERATOR_KEPT_SECONDS,
    PAIRS_PER_SLOT,
    SESSION_KEPT_SECONDS,
    NoRoom,
    merge_slots,
    pair_digest,
    parse_slots,
    plan_write,
)

NOW = 1_800_000_000


def test_pairs_are_stored_as_documented() -> None:
    digest = pair_digest("ann@example.org")
    assert digest == "14b34e43"
    assert plan_write(parse_slots({}), digest, NOW, (), 0) == {KEY: f"{digest}:{NOW}"}
    assert plan_write(parse_slots({}), digest, NOW, (), 3) == {f"{KEY}:3": f"{digest}:{NOW}"}
    metadata = {KEY: f"{digest}:{NOW},garbage,:,{'f' * 8}:x", f"{KEY}:1": f"{digest}:{NOW + 5},{'0' * 8}:7"}
    assert merge_slots(parse_slots(metadata)) == {digest: NOW + 5, "0" * 8: 7}
    assert plan_write(parse_slots(metadata), digest, NOW + 5, (), 0) == {}


def test_a_value_stays_within_stripes_500_characters() -> None:
    metadata: dict[str, str] = {}
    for number in range(MAX_SLOTS * PAIRS_PER_SLOT):
        metadata |= plan_write(parse_slots(metadata), f"{number:08x}", NOW + number, (), 0)
    assert len(metadata) == MAX_SLOTS
    assert max(map(len, metadata.values())) <= 500
    assert len(merge_slots(parse_slots(metadata))) == MAX_SLOTS * PAIRS_PER_SLOT
    with pytest.raises(NoRoom):
        plan_write(parse_slots(metadata), "f" * 8, NOW + 1000, (), 0)


def test_what_no_longer_matters_is_dropped() -> None:
    session, name = "a" * 8, "b" * 8
    metadata = {KEY: f"{session}:{NOW},{name}:{NOW}"}

    def after(seconds: int) -> set[str]:
        return set(merge_slots(parse_slots(plan_write(parse_slots(metadata), "c" * 8, NOW + seconds, (name,), 0))))

    assert after(SESSION_KEPT_SECONDS) == {session, name, "c" * 8}
    assert after(SESSION_KEPT_SECONDS + 1) == {name, "c" * 8}
    assert after(OPERATOR_KEPT_SECONDS + 1) == {"c" * 8}
