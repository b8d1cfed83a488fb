"""GatewayCheckpoint: passing payments, leaving them open, and rolling back to the service record."""

from typing import Any, cast

from chain.payment import Payment
from stateless_billing.bookkeeping.records import OpenCustomer, OpenPayments
from stateless_billing.sweep.checkpoint import GatewayCheckpoint
from tests.fakes.factories import CUSTOMER, payment


def read_checkpoint(swept: int = 0, *, first_open: int | None = None) -> GatewayCheckpoint:
    """A checkpoint as read from the service record, with the customer's payments from `first_open` on open."""
    recorded = OpenPayments({} if first_open is None else {CUSTOMER: OpenCustomer(first_open, "stripe_down")})
    return GatewayCheckpoint(cast("Any", None), swept, recorded.copy(), (swept, recorded))


def own(sequence: int) -> Payment:
    """A payment of the customer."""
    return payment(sequence=sequence, block=100 + sequence)


def test_it_advances_past_closed_payments_only() -> None:
    checkpoint = read_checkpoint()
    for index in (0, 1, 3):
        checkpoint.close(index, own(index))
    checkpoint.advance()
    assert (checkpoint.swept, checkpoint.done_above) == (2, {3})
    assert [checkpoint.is_done(index) for index in range(5)] == [True, True, False, True, False]
    checkpoint.leave_open(2, own(2), "stripe_down")
    checkpoint.advance()
    assert (checkpoint.swept, checkpoint.open.customers) == (4, {CUSTOMER: OpenCustomer(2, "stripe_down")})
    assert checkpoint.passed_blocks == {index: 100 + index for index in range(4)}


def test_a_customers_open_payments_are_one_entry_that_begins_at_the_first() -> None:
    checkpoint = read_checkpoint()
    for sequence in (5, 3, 4, 9):
        checkpoint.leave_open(sequence, own(sequence), f"cause{sequence}")
    assert checkpoint.open.customers == {CUSTOMER: OpenCustomer(3, "cause3")}
    assert checkpoint.open_cause(own(1_000))
    checkpoint.close(4, own(4))
    assert checkpoint.open.customers[CUSTOMER].sequence == 3
    checkpoint.close(3, own(3))
    assert checkpoint.open.customers[CUSTOMER].sequence == 5
    for sequence in (5, 9):
        checkpoint.close(sequence, own(sequence))
    assert len(checkpoint.open) == 0
    assert checkpoint.passed_sequences == {CUSTOMER: {sequence: 100 + sequence for sequence in (3, 4, 5, 9)}}


def test_an_entry_of_the_record_stays_until_all_that_it_covers_was_read() -> None:
    checkpoint = read_checkpoint(20, first_open=2)
    checkpoint.close(None, own(2))
    assert checkpoint.open.customers[CUSTOMER].sequence == 2
    checkpoint.begin_reading(CUSTOMER, 2, 10, 200)
    checkpoint.open_payments[CUSTOMER][2] = own(2)
    checkpoint.unread[CUSTOMER] = (3, 10)
    checkpoint.close(None, own(2))
    assert checkpoint.open.customers[CUSTOMER].sequence == 3
    checkpoint.unread[CUSTOMER] = (0, 0)
    checkpoint.close(None, own(3))
    assert len(checkpoint.open) == 0


def test_it_rolls_back_to_the_last_persisted_position() -> None:
    checkpoint = read_checkpoint(3, first_open=2)
    checkpoint.begin_reading(CUSTOMER, 2, 3, 200)
    checkpoint.unread[CUSTOMER] = (0, 0)
    for index in (2, 3, 5):
        checkpoint.close(index, own(index))
    checkpoint.advance()
    assert (checkpoint.swept, len(checkpoint.open)) == (4, 0)
    checkpoint.rollback()
    assert (checkpoint.swept, checkpoint.open.customers) == (3, {CUSTOMER: OpenCustomer(2, "stripe_down")})
    assert (checkpoint.done_above, checkpoint.passed_blocks, checkpoint.passed_sequences, checkpoint.unread) == (
        set(),
        {},
        {},
        {},
    )


def test_what_was_passed_after_the_position_was_taken_is_not_persisted() -> None:
    checkpoint = read_checkpoint(3)
    checkpoint.close(3, own(3))
    checkpoint.advance()
    position = checkpoint.snapshot()
    checkpoint.close(4, own(4))
    checkpoint.advance()
    checkpoint.mark_persisted(position)
    assert checkpoint.passed_blocks == {4: 104}
    checkpoint.rollback()
    assert checkpoint.swept == 4


def test_an_index_of_an_earlier_version_becomes_its_customers_entry() -> None:
    checkpoint = read_checkpoint(9)
    checkpoint.open.causes = {7: "currency", 5: "over_limit"}
    checkpoint.adopt(5, own(1))
    checkpoint.adopt(7, own(3))
    assert checkpoint.open == OpenPayments({CUSTOMER: OpenCustomer(1, "over_limit")})
    assert checkpoint.passed_blocks == {5: 101, 7: 103}
