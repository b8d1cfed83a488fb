"""The sweep's position in one gateway's payment index. No I/O."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chain.gateway import Gateway, UnreadableBlock
from chain.payment import Payment
from stateless_billing.bookkeeping import records
from stateless_billing.bookkeeping.records import OpenCustomer, OpenPayments
from stateless_billing.domain.finality import Heads
from stateless_billing.stripe.objects import Customer

log = logging.getLogger(__name__)

SEAL_SECONDS = 1800
"""A customer is sealed once its oldest final payment is so much older than the finalized block.

Sealing is one listing, which shows the credits, and one write of the cursor. What a customer pays within half an hour
is sealed together. It is counted on the chain: a restart seals at the same time, and nothing is sealed while finality
stands still.
"""


def is_seal_due(payments: Iterable[Payment], heads: Heads) -> bool:
    """Whether any of a customer's final payments is old enough for all of them to be sealed."""
    return any(payment.time <= heads.finalized.time - SEAL_SECONDS for payment in payments)


def by_customer(payments: Mapping[int, Payment]) -> dict[str, list[tuple[int, Payment]]]:
    """Group payments by customer, with their indexes and in order."""
    customers: dict[str, list[tuple[int, Payment]]] = defaultdict(list)
    for index in sorted(payments):
        customers[payments[index].customer_id or ""].append((index, payments[index]))
    return customers


@dataclass(frozen=True, slots=True)
class Position:
    """A position to be written to the service record, and the blocks of all payments that it passes since the last."""

    swept: int
    open: OpenPayments
    passed_blocks: dict[int, int]
    passed_sequences: dict[str, dict[int, int]]
    passed_ends: dict[str, tuple[int, int, int]]


@dataclass
class GatewayCheckpoint:
    """All payments below index `swept` are done, except those in `open`; `done_above` holds those done above it.

    `persisted` is `swept` and `open` as in the service record. `passed_blocks` and `passed_sequences` hold the blocks
    of all payments closed or left open since then, by index and by customer and sequence, and `passed_ends` where
    what a customer has open ends: from which sequence on and before which its payments are in blocks up to which.
    `open_payments` holds the payments in `open` by customer and sequence, `unread` the range of sequences that are
    still to be read from the chain, `indexed` the open payments without a customer. `unsealed` are the final payments
    that are credited and wait until their customer is sealed, by index. `unreadable` are the blocks that no node shows
    properly; `swept` waits for both. `total` is the contract's count, None while it cannot be read.
    """

    gateway: Gateway
    swept: int
    open: OpenPayments
    persisted: tuple[int, OpenPayments]
    done_above: set[int] = field(default_factory=set)
    in_progress: bool = False
    total: int | None = None
    open_payments: dict[str, dict[int, Payment]] = field(default_factory=lambda: defaultdict(dict))
    unread: dict[str, tuple[int, int]] = field(default_factory=dict)
    indexed: dict[int, Payment] = field(default_factory=dict)
    unsealed: dict[int, Payment] = field(default_factory=dict)
    uncredited: dict[str, Payment] = field(default_factory=dict)
    unreadable: list[UnreadableBlock] = field(default_factory=list)
    passed_blocks: dict[int, int] = field(default_factory=dict)
    passed_sequences: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    passed_ends: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def opened(self) -> list[Payment]:
        """The open payments that were read."""
        return [payment for own in self.open_payments.values() for payment in own.values()] + [*self.indexed.values()]

    @property
    def known_uncredited(self) -> list[Payment]:
        """The payments known to be uncredited, whether or not the record had room for a key of their customer."""
        return [*self.opened, *self.uncredited.values()]

    def advance(self) -> None:
        """Move `swept` past all payments that are done."""
        while self.swept in self.done_above:
            self.done_above.discard(self.swept)
            self.swept += 1

    def has_key(self, payment: Payment) -> bool:
        """Whether the record has a key that can leave this payment open."""
        return payment.customer_id in self.open.customers or payment in self.indexed.values()

    def needs_key(self, payment: Payment) -> bool:
        """Whether leaving this payment open takes another key of the record; it cannot if its name is taken."""
        is_taken = payment.customer_id is not None and self.open.is_key_taken(payment.customer_id)
        return not self.has_key(payment) and not is_taken

    def open_cause(self, payment: Payment) -> str:
        """The recorded cause if a final payment belongs to what its customer has open; else empty."""
        entry = self.open.customers.get(payment.customer_id or "")
        return entry.cause if entry and payment.sequence >= entry.sequence else ""

    @property
    def is_idle(self) -> bool:
        """Whether no work remains, except to seal later what is credited."""
        return self.total is not None and self._knows_all(self.total)

    def _knows_all(self, total: int) -> bool:
        known = sum(self.swept <= index < total for index in self.done_above | self.unsealed.keys())
        return self.swept + known == total and not len(self.open)

    def has_work(self, total: int, heads: Heads | None, *, seals_all: bool) -> bool:
        """Whether anything has to be read of the chain, by the heads read last."""
        if seals_all or heads is None or not self._knows_all(total):
            return self.swept < total or len(self.open) > 0
        return is_seal_due(self.unsealed.values(), heads)

    def is_done(self, index: int) -> bool:
        """Whether the payment at this index is done or left open."""
        return index < self.swept or index in self.done_above

    def is_done_in(self, index: int, block: int) -> bool:
        """Whether the payment at this index is done, and was in this block when it was.

        If it was in another block, a node lied then or lies now, and what is at the index is not known.
        """
        return self.is_done(index) and self.passed_blocks.get(index, block) == block

    def note_unreadable(self, blocks: list[UnreadableBlock]) -> list[UnreadableBlock]:
        """Record the blocks that no node shows properly now, and return those that are new among them."""
        known = {block.number for block in self.unreadable}
        self.unreadable = blocks
        return [block for block in blocks if block.number not in known]

    def close(self, index: int | None, payment: Payment) -> None:
        """Mark a payment as done. `index` is None for one that is read as part of what its customer has open."""
        self._record_passed(index, payment)
        if index is not None:
            self.open.causes.pop(index, None)
            self.indexed.pop(index, None)
        customer_id = payment.customer_id or ""
        if self.open_cause(payment):
            self.open_payments[customer_id].pop(payment.sequence, None)
            self.passed_sequences[customer_id][payment.sequence] = payment.block
            if customer_id in self.unread:
                self._raise_open(customer_id)

    def begin_reading(self, customer_id: str, start: int, stop: int, newest_block: int) -> None:
        """Note which sequences of a customer are behind `swept` and still to be read.

        They are in blocks up to `newest_block`, and `stop` is not.
        """
        self.passed_ends[customer_id] = start, stop, newest_block
        start = min(start, self.open.customers[customer_id].sequence)  # an earlier one may have been adopted meanwhile
        self.unread[customer_id] = (start, stop) if start < stop else (0, 0)
        self._raise_open(customer_id)

    def _raise_open(self, customer_id: str) -> None:
        """Move a customer's first open sequence up to what is still open, or drop its entry."""
        remaining = self.open_payments[customer_id].keys()
        start, stop = self.unread[customer_id]
        first = min([*remaining, *([start] if start < stop else [])], default=None)
        entry = self.open.customers[customer_id]
        if first is None:
            del self.open.customers[customer_id], self.open_payments[customer_id]
            del self.unread[customer_id]
        elif first > entry.sequence:
            self.open.customers[customer_id] = OpenCustomer(first, entry.cause)

    def leave_open(self, index: int | None, payment: Payment, cause: str) -> None:
        """Let `swept` pass a final payment that cannot be credited now."""
        self._record_passed(index, payment)
        customer_id = payment.customer_id
        if customer_id is None or index in self.open.causes:
            if index is not None:
                self.open.causes[index] = cause
                self.indexed[index] = payment
            return
        entry = self.open.customers.get(customer_id)
        if entry is None:
            self.unread[customer_id] = (0, 0)
        if entry is None or payment.sequence <= entry.sequence:
            self.open.customers[customer_id] = OpenCustomer(payment.sequence, cause)
        self.open_payments[customer_id][payment.sequence] = payment

    def _record_passed(self, index: int | None, payment: Payment) -> None:
        if index is None:
            return
        self.unsealed.pop(index, None)
        self.passed_blocks[index] = payment.block
        if index >= self.swept:
            self.done_above.add(index)

    def adopt(self, index: int, payment: Payment) -> None:
        """Record an open payment, known by its index, as its customer's; as its index while that has no key."""
        self.passed_blocks[index] = payment.block
        customer_id = payment.customer_id
        if customer_id is None or self.open.is_key_taken(customer_id):
            self.indexed[index] = payment
            return
        cause = self.open.causes.pop(index)
        entry = self.open.customers.get(customer_id)
        if entry is None or payment.sequence < entry.sequence:
            self.open.customers[customer_id] = OpenCustomer(payment.sequence, cause)
            self.unread.pop(customer_id, None)

    def snapshot(self) -> "Position":
        """Return the position and what it passed, as of now."""
        sequences = {customer_id: dict(own) for customer_id, own in self.passed_sequences.items()}
        return Position(self.swept, self.open.copy(), dict(self.passed_blocks), sequences, dict(self.passed_ends))

    def mark_persisted(self, position: "Position") -> None:
        """Note that the service record now holds this position; payments may have been passed since it was taken."""
        self.persisted = position.swept, position.open
        for index in position.passed_blocks:
            self.passed_blocks.pop(index, None)
        for customer_id, own in position.passed_sequences.items():
            for sequence in own:
                self.passed_sequences[customer_id].pop(sequence, None)
            if not self.passed_sequences[customer_id]:
                del self.passed_sequences[customer_id]
        for customer_id, end in position.passed_ends.items():
            if self.passed_ends.get(customer_id) == end:
                del self.passed_ends[customer_id]

    def restart(self) -> None:
        """Begin again from the first payment: the record belongs to another contract."""
        self.persisted = 0, OpenPayments()
        self.rollback()

    def rollback(self) -> None:
        """Return to the position in the service record. No work may be in progress."""
        self.swept = self.persisted[0]
        self.open = self.persisted[1].copy()
        self.done_above.clear()
        self.unsealed.clear()
        self.open_payments.clear()
        self.unread.clear()
        self.indexed.clear()
        self.passed_blocks.clear()
        self.passed_sequences.clear()
        self.passed_ends.clear()


def read_checkpoint(service: Customer, gateway: Gateway) -> GatewayCheckpoint:
    """Read the position in a gateway's index from the service record."""
    swept = records.parse_swept(service, gateway)
    if str(swept) != (service.value(records.swept_key(gateway)) or "0"):
        log.warning("gateway %s: its record cannot be read, looking at all payments again", gateway.address)
    opened = records.parse_open_payments(service, gateway) if swept else OpenPayments()
    return GatewayCheckpoint(gateway, swept, opened, (swept, opened.copy()))
