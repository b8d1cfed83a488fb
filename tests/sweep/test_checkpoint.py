"""GatewayCheckpoint: passing payments, leaving them open, and rolling back to the service record."""

from typing import Any, cast

from stateless_billing.sweep.checkpoint import GatewayCheckpoint
from tests.fakes.factories import payment


def read_checkpoint(swept: int = 0, **causes: str) -> GatewayCheckpoint:
    """A checkpoint as read from the service record; `_2="cause"` leaves index 2 open."""
    recorded = {int(index[1:]): cause for index, cause in causes.items()}
    return GatewayCheckpoint(cast("Any", None), swept, dict(recorded), (swept, recorded))


def test_it_advances_past_closed_payments_only() -> None:
    checkpoint = read_checkpoint()
    for index in (0, 1, 3):
        checkpoint.close(index, payment(block=100 + index))
    checkpoint.advance()
    assert (checkpoint.swept, checkpoint.done_above) == (2, {3})
    assert [checkpoint.is_waiting(index) for index in range(5)] == [False, False, True, False, True]
    checkpoint.leave_open(2, payment(block=102), "stripe_down")
    checkpoint.advance()
    assert (checkpoint.swept, checkpoint.open, checkpoint.is_waiting(2)) == (4, {2: "stripe_down"}, True)
    assert checkpoint.passed_blocks == {index: 100 + index for index in range(4)}


def test_closing_an_open_payment_behind_it_does_not_move_it() -> None:
    checkpoint = read_checkpoint(3, _2="stripe_down")
    checkpoint.open_payments[2] = payment()
    checkpoint.close(2, payment())
    assert (checkpoint.open, checkpoint.open_payments, checkpoint.done_above, checkpoint.passed_blocks) == (
        {},
        {},
        set(),
        {2: 100},
    )


def test_it_rolls_back_to_the_last_persisted_position() -> None:
    checkpoint = read_checkpoint(3, _2="stripe_down")
    checkpoint.close(2, payment())
    checkpoint.close(3, payment())
    checkpoint.close(5, payment())
    checkpoint.advance()
    checkpoint.rollback()
    assert (checkpoint.swept, checkpoint.open, checkpoint.done_above, checkpoint.passed_blocks) == (
        3,
        {2: "stripe_down"},
        set(),
        {},
    )
    checkpoint.close(3, payment())
    checkpoint.advance()
    checkpoint.mark_persisted()
    checkpoint.close(4, payment())
    checkpoint.advance()
    checkpoint.rollback()
    assert (checkpoint.swept, checkpoint.open, checkpoint.passed_blocks) == (4, {2: "stripe_down"}, {})
