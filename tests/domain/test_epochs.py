"""Epochs last 23 hours, with a quiet half hour on either side of each border."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.domain.epochs import (
    EPOCH_SECONDS,
    FRESH_SECONDS,
    HOUR,
    LISTING_LEAD_SECONDS,
    QUIET_SECONDS,
    EpochPosition,
    can_skip_check,
    epoch_position,
    seconds_until_writable,
)

ORIGIN = 1_790_000_000
AGES = st.one_of(
    st.integers(-(10**6), 10**8),
    st.builds(
        lambda epoch, off: epoch * EPOCH_SECONDS + off,
        st.integers(0, 40),
        st.integers(-QUIET_SECONDS - 2, QUIET_SECONDS + 2),
    ),
)
NEAR_BORDERS = st.one_of(
    st.integers(0, 3 * EPOCH_SECONDS),
    st.builds(
        lambda epoch, off: max(0, epoch * EPOCH_SECONDS + off),
        st.integers(0, 3),
        st.sampled_from([-QUIET_SECONDS - 1, -QUIET_SECONDS, 0, QUIET_SECONDS]),
    ),
)
KEY_LIFE_SECONDS = 24 * 3600  # Stripe's minimum retention of an idempotency key


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (-3600, EpochPosition(0, in_quiet_zone=False)),  # the clock is behind
        (0, EpochPosition(0, in_quiet_zone=False)),  # the start of epoch 0 is not a border
        (EPOCH_SECONDS - QUIET_SECONDS - 1, EpochPosition(0, in_quiet_zone=False)),
        (EPOCH_SECONDS - QUIET_SECONDS, EpochPosition(0, in_quiet_zone=True)),
        (EPOCH_SECONDS - 1, EpochPosition(0, in_quiet_zone=True)),
        (EPOCH_SECONDS, EpochPosition(1, in_quiet_zone=True)),
        (EPOCH_SECONDS + QUIET_SECONDS - 1, EpochPosition(1, in_quiet_zone=True)),
        (EPOCH_SECONDS + QUIET_SECONDS, EpochPosition(1, in_quiet_zone=False)),
        (2 * EPOCH_SECONDS - QUIET_SECONDS - 1, EpochPosition(1, in_quiet_zone=False)),
        (2 * EPOCH_SECONDS, EpochPosition(2, in_quiet_zone=True)),
    ],
)
def test_epoch_position(age: int, expected: EpochPosition) -> None:
    assert epoch_position(ORIGIN + age, ORIGIN) == expected


def test_constants_that_may_change_only_with_every_process_stopped() -> None:
    assert (EPOCH_SECONDS, QUIET_SECONDS) == (82_800, 1_800)


@given(NEAR_BORDERS, NEAR_BORDERS)
def test_writes_under_one_key_are_within_its_life(one: int, other: int) -> None:
    first, second = epoch_position(ORIGIN + one, ORIGIN), epoch_position(ORIGIN + other, ORIGIN)
    if first.epoch == second.epoch and not first.in_quiet_zone and not second.in_quiet_zone:
        assert abs(one - other) < KEY_LIFE_SECONDS - QUIET_SECONDS


@given(NEAR_BORDERS, NEAR_BORDERS)
def test_writes_under_different_keys_are_an_hour_apart(one: int, other: int) -> None:
    first, second = epoch_position(ORIGIN + one, ORIGIN), epoch_position(ORIGIN + other, ORIGIN)
    if first.epoch != second.epoch and not first.in_quiet_zone and not second.in_quiet_zone:
        assert abs(one - other) > 2 * QUIET_SECONDS


@given(AGES)
def test_the_wait_ends_exactly_with_the_quiet_zone(age: int) -> None:
    now = ORIGIN + age
    wait = seconds_until_writable(now, ORIGIN)
    assert not epoch_position(now + wait, ORIGIN).in_quiet_zone
    assert (wait == 0) == (not epoch_position(now, ORIGIN).in_quiet_zone)
    if wait:
        assert epoch_position(now + wait - 1, ORIGIN).in_quiet_zone
        assert wait <= 2 * QUIET_SECONDS


@pytest.mark.parametrize(("age", "fresh"), [(-5, True), (0, True), (599, True), (600, False), (10**6, False)])
def test_only_payments_under_ten_minutes_skip_the_check(age: int, fresh: bool) -> None:
    assert can_skip_check(ORIGIN + age, ORIGIN) is fresh


AROUND_BORDERS = st.builds(
    lambda epoch, off: epoch * EPOCH_SECONDS + off,
    st.integers(0, 40),
    st.integers(-QUIET_SECONDS - 2, QUIET_SECONDS + 2),
)


class TestQuietZone:
    """Waiting ends the quiet zone, and the constants are what the argument needs."""

    @given(AROUND_BORDERS)
    def test_the_wait_is_positive_exactly_in_the_quiet_zone(self, age: int) -> None:
        wait = seconds_until_writable(ORIGIN + age, ORIGIN)
        assert wait > 0 if epoch_position(ORIGIN + age, ORIGIN).in_quiet_zone else wait == 0

    @given(st.integers(1, 40))
    def test_the_wait_spans_both_sides_of_the_border(self, epoch: int) -> None:
        border = ORIGIN + epoch * EPOCH_SECONDS
        assert seconds_until_writable(border - QUIET_SECONDS, ORIGIN) == 2 * QUIET_SECONDS
        assert seconds_until_writable(border - 1, ORIGIN) == QUIET_SECONDS + 1
        assert seconds_until_writable(border, ORIGIN) == QUIET_SECONDS
        assert seconds_until_writable(border + QUIET_SECONDS - 1, ORIGIN) == 1

    def test_listings_start_an_hour_early(self) -> None:
        assert (HOUR, LISTING_LEAD_SECONDS) == (3_600, 3_600)

    def test_skipping_the_check_ends_within_epoch_zero(self) -> None:
        assert epoch_position(ORIGIN + FRESH_SECONDS, ORIGIN) == epoch_position(ORIGIN, ORIGIN)
