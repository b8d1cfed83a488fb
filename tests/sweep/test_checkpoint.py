"""How far a sweep is with one gateway: what is passed, what stays open, and the way back to what was recorded."""

from typing import Any, cast

from stateless_billing.sweep.checkpoint import GatewayCheckpoint
from tests.fakes.factories import payment


def place(swept: int = 0, **still_open: str) -> GatewayCheckpoint:
    """A place as it is read from the record; `_2="cause"` is open."""
    recorded = {int(index[1:]): cause for index, cause in still_open.items()}
    return GatewayCheckpoint(cast("Any", None), swept, dict(recorded), (swept, recorded))


def test_it_moves_over_what_is_closed_and_no_further() -> None:
    one = place()
    for index in (0, 1, 3):
        one.close(index, payment(block=100 + index))
    one.advance()
    assert (one.swept, one.done_above) == (2, {3})
    assert [one.is_waiting(index) for index in range(5)] == [False, False, True, False, True]
    one.leave_open(2, payment(block=102), "stripe_down")
    one.advance()
    assert (one.swept, one.open, one.is_waiting(2)) == (4, {2: "stripe_down"}, True)
    assert one.passed_blocks == {index: 100 + index for index in range(4)}


def test_what_is_behind_it_and_closed_moves_nothing() -> None:
    one = place(3, _2="stripe_down")
    one.open_payments[2] = payment()
    one.close(2, payment())
    assert (one.open, one.open_payments, one.done_above, one.passed_blocks) == ({}, {}, set(), {2: 100})


def test_it_goes_back_to_what_was_recorded_last() -> None:
    one = place(3, _2="stripe_down")
    one.close(2, payment())
    one.close(3, payment())
    one.close(5, payment())
    one.advance()
    one.rollback()
    assert (one.swept, one.open, one.done_above, one.passed_blocks) == (3, {2: "stripe_down"}, set(), {})
    one.close(3, payment())
    one.advance()
    one.mark_persisted()
    one.close(4, payment())
    one.advance()
    one.rollback()
    assert (one.swept, one.open, one.passed_blocks) == (4, {2: "stripe_down"}, {})
