"""Epochs: waiting goes forward, and the numbers that hold the promise."""

from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.domain.epochs import (
    EPOCH,
    FRESH,
    HOUR,
    LISTING_LEAD_SECONDS,
    QUIET,
    epoch_position,
    seconds_until_writable,
)

ORIGIN = 1_790_000_000
AROUND_BORDERS = st.builds(
    lambda epoch, off: epoch * EPOCH + off, st.integers(0, 40), st.integers(-QUIET - 2, QUIET + 2)
)


@given(AROUND_BORDERS)
def test_waiting_never_goes_back(age: int) -> None:
    wait = seconds_until_writable(ORIGIN + age, ORIGIN)
    assert wait > 0 if epoch_position(ORIGIN + age, ORIGIN).in_quiet_zone else wait == 0


@given(st.integers(1, 40))
def test_who_comes_a_second_into_the_quiet_zone_waits_for_its_other_end(epoch: int) -> None:
    border = ORIGIN + epoch * EPOCH
    assert seconds_until_writable(border - QUIET, ORIGIN) == 2 * QUIET
    assert seconds_until_writable(border - 1, ORIGIN) == QUIET + 1
    assert seconds_until_writable(border, ORIGIN) == QUIET
    assert seconds_until_writable(border + QUIET - 1, ORIGIN) == 1


def test_a_look_begins_an_hour_before_the_fact() -> None:
    assert (HOUR, LISTING_LEAD_SECONDS) == (3_600, 3_600)


def test_a_fresh_payment_cannot_have_been_written_under_another_key() -> None:
    assert epoch_position(ORIGIN + FRESH, ORIGIN) == epoch_position(ORIGIN, ORIGIN)
