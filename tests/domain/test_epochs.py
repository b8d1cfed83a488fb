"""Epochs: one key for 23 hours, and a quiet half hour on either side of each border but the first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.domain.epochs import (
    EPOCH,
    QUIET,
    EpochPosition,
    can_skip_check,
    epoch_position,
    seconds_until_writable,
)

ORIGIN = 1_790_000_000
AGES = st.one_of(
    st.integers(-(10**6), 10**8),
    st.builds(lambda epoch, off: epoch * EPOCH + off, st.integers(0, 40), st.integers(-QUIET - 2, QUIET + 2)),
)
NEAR_BORDERS = st.one_of(
    st.integers(0, 3 * EPOCH),
    st.builds(
        lambda epoch, off: max(0, epoch * EPOCH + off),
        st.integers(0, 3),
        st.sampled_from([-QUIET - 1, -QUIET, 0, QUIET]),
    ),
)
KEY_LIFE = 24 * 3600  # the least that Stripe promises


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (-3600, EpochPosition(0, in_quiet_zone=False)),  # a clock that is behind
        (0, EpochPosition(0, in_quiet_zone=False)),  # the beginning of epoch 0 is no border
        (EPOCH - QUIET - 1, EpochPosition(0, in_quiet_zone=False)),
        (EPOCH - QUIET, EpochPosition(0, in_quiet_zone=True)),
        (EPOCH - 1, EpochPosition(0, in_quiet_zone=True)),
        (EPOCH, EpochPosition(1, in_quiet_zone=True)),
        (EPOCH + QUIET - 1, EpochPosition(1, in_quiet_zone=True)),
        (EPOCH + QUIET, EpochPosition(1, in_quiet_zone=False)),
        (2 * EPOCH - QUIET - 1, EpochPosition(1, in_quiet_zone=False)),
        (2 * EPOCH, EpochPosition(2, in_quiet_zone=True)),
    ],
)
def test_where_a_time_lies(age: int, expected: EpochPosition) -> None:
    assert epoch_position(ORIGIN + age, ORIGIN) == expected


def test_the_numbers_that_may_only_change_with_every_process_stopped() -> None:
    assert (EPOCH, QUIET) == (82_800, 1_800)


@given(NEAR_BORDERS, NEAR_BORDERS)
def test_two_sendings_under_one_key_lie_within_the_keys_life(one: int, other: int) -> None:
    first, second = epoch_position(ORIGIN + one, ORIGIN), epoch_position(ORIGIN + other, ORIGIN)
    if first.epoch == second.epoch and not first.in_quiet_zone and not second.in_quiet_zone:
        assert abs(one - other) < KEY_LIFE - QUIET


@given(NEAR_BORDERS, NEAR_BORDERS)
def test_two_sendings_under_different_keys_lie_an_hour_apart(one: int, other: int) -> None:
    first, second = epoch_position(ORIGIN + one, ORIGIN), epoch_position(ORIGIN + other, ORIGIN)
    if first.epoch != second.epoch and not first.in_quiet_zone and not second.in_quiet_zone:
        assert abs(one - other) > 2 * QUIET


@given(AGES)
def test_waiting_ends_the_quiet_zone_and_not_a_second_later(age: int) -> None:
    now = ORIGIN + age
    wait = seconds_until_writable(now, ORIGIN)
    assert not epoch_position(now + wait, ORIGIN).in_quiet_zone
    assert (wait == 0) == (not epoch_position(now, ORIGIN).in_quiet_zone)
    if wait:
        assert epoch_position(now + wait - 1, ORIGIN).in_quiet_zone
        assert wait <= 2 * QUIET


@pytest.mark.parametrize(("age", "fresh"), [(-5, True), (0, True), (599, True), (600, False), (10**6, False)])
def test_only_a_payment_younger_than_ten_minutes_is_fresh(age: int, fresh: bool) -> None:
    assert can_skip_check(ORIGIN + age, ORIGIN) is fresh
