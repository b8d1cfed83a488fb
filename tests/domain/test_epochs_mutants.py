"""Epochs: waiting goes forward, and the numbers that hold the promise."""

from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.domain.epochs import EPOCH, FRESH, HOUR, LOOK_BACK, QUIET, moment, until_sending

ORIGIN = 1_790_000_000
AROUND_BORDERS = st.builds(
    lambda epoch, off: epoch * EPOCH + off, st.integers(0, 40), st.integers(-QUIET - 2, QUIET + 2)
)


@given(AROUND_BORDERS)
def test_waiting_never_goes_back(age: int) -> None:
    wait = until_sending(ORIGIN + age, ORIGIN)
    assert wait > 0 if moment(ORIGIN + age, ORIGIN).quiet else wait == 0


@given(st.integers(1, 40))
def test_who_comes_a_second_into_the_quiet_zone_waits_for_its_other_end(epoch: int) -> None:
    border = ORIGIN + epoch * EPOCH
    assert until_sending(border - QUIET, ORIGIN) == 2 * QUIET
    assert until_sending(border - 1, ORIGIN) == QUIET + 1
    assert until_sending(border, ORIGIN) == QUIET
    assert until_sending(border + QUIET - 1, ORIGIN) == 1


def test_a_look_begins_an_hour_before_the_fact() -> None:
    assert (HOUR, LOOK_BACK) == (3_600, 3_600)


def test_a_fresh_payment_cannot_have_been_written_under_another_key() -> None:
    assert moment(ORIGIN + FRESH, ORIGIN) == moment(ORIGIN, ORIGIN)
