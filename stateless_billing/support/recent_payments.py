"""Lists the latest and the waiting payments with what is known of them without asking Stripe."""

from collections.abc import Sequence
from dataclasses import dataclass

from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.bookkeeping import records
from stateless_billing.bookkeeping.records import OpenPayments
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.payment_status import (
    CONFIRMING_CAUSES,
    HELD_CAUSES,
    PENDING_CAUSES,
    STATES,
    PaymentStatus,
)
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain.finality import Heads, is_final
from stateless_billing.stripe.objects import Customer

UNCHECKED = "unchecked"
_LATEST = 50
_MAX_OPEN_OF_CUSTOMER = 20
_MAX_UNSWEPT = 200
_SETTLED = ("credited", "reversed")


@dataclass(frozen=True, slots=True)
class KnownPayment:
    """A payment and its state; `unchecked` if neither this process nor the service record knows it."""

    payment: Payment
    state: str
    cause: str | None = None
    cents: int | None = None


@dataclass(frozen=True, slots=True)
class WaitingGroup:
    """The payments that wait for one reason. `oldest` is the block time of the first of them, `amount` their tokens."""

    state: str
    cause: str | None
    count: int
    amount: int
    oldest: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The latest payments, newest first, and those that wait by reason, oldest first.

    `complete` says whether all that wait could be read, `unreadable` how many payments no node shows.
    """

    latest: Sequence[KnownPayment]
    waiting: Sequence[WaitingGroup]
    waiting_payments: frozenset[str]
    complete: bool
    unreadable: int


@dataclass(frozen=True, slots=True)
class RecordPosition:
    """What the service record says of one gateway."""

    swept: int
    opened: OpenPayments


NO_POSITION = RecordPosition(0, OpenPayments())


class RecentPayments:
    """Reads payments from the chain's index, and their states from memory and the service record."""

    def __init__(self, *, gateways: Sequence[Gateway], confirmations: Confirmations, status_cache: StatusCache) -> None:
        self._gateways = gateways
        self._confirmations = confirmations
        self._status_cache = status_cache

    async def overview(self, service: Customer | None) -> Overview:
        """Return the overview. `service` is the service record as last read, None if it never was.

        Raises: ChainError.
        """
        heads = await self._confirmations.heads()
        latest: list[KnownPayment] = []
        waiting: dict[str, KnownPayment] = {}
        complete, unreadable = service is not None, 0
        for gateway in self._gateways:
            position = _position_of(service, gateway)
            total = await gateway.total_payments()
            start = max(0, min(total - _LATEST, position.swept if service else total))
            first = max(start, total - max(_LATEST, _MAX_UNSWEPT))
            complete = complete and first == start
            async for window in gateway.payments(first, total):
                unreadable += sum(block.payments for block in window.unreadable)
                for index, payment in window.payments:
                    known = self._judge(payment, index, position, heads)
                    latest.append(known)
                    waiting[payment.identity] = known
            opened, whole = await self._read_open(gateway, position, total)
            complete = complete and whole
            waiting |= {payment.identity: self._judge(payment, index, position, heads) for index, payment in opened}
        latest.sort(key=lambda known: (known.payment.time, known.payment.block, known.payment.log_index), reverse=True)
        unsettled = [known for known in waiting.values() if known.state not in _SETTLED]
        return Overview(
            latest[:_LATEST],
            group_by_reason(unsettled),
            frozenset(known.payment.identity for known in unsettled),
            complete and not unreadable,
            unreadable,
        )

    async def _read_open(
        self, gateway: Gateway, position: RecordPosition, total: int
    ) -> tuple[list[tuple[int | None, Payment]], bool]:
        """Read the payments that the record names as open, by index if it has that, and whether these are all."""
        indexes = sorted(index for index in position.opened.causes if index < total)
        payments: list[tuple[int | None, Payment]] = [(index, await gateway.payment_at(index)) for index in indexes]
        complete = True
        for customer_id, entry in position.opened.customers.items():
            count = await gateway.payment_count(customer_id)
            stop = min(count, entry.sequence + _MAX_OPEN_OF_CUSTOMER)
            complete = complete and stop == count
            own = await gateway.payments_of(customer_id, min(entry.sequence, stop), stop)
            payments += [(None, payment) for payment in own]
        return payments, complete

    def _judge(self, payment: Payment, index: int | None, position: RecordPosition, heads: Heads) -> KnownPayment:
        status = self._status_cache.last_status(payment)
        state, cause = find_state(payment, index, status, position, final=is_final(payment, heads))
        return KnownPayment(payment, state, cause, (status.cents if status else None) or payment.cents or None)


def _position_of(service: Customer | None, gateway: Gateway) -> RecordPosition:
    if service is None:
        return NO_POSITION
    return RecordPosition(records.parse_swept(service, gateway), records.parse_open_payments(service, gateway))


def find_state(
    payment: Payment, index: int | None, status: PaymentStatus | None, position: RecordPosition, *, final: bool
) -> tuple[str, str | None]:
    """Return the state and cause of a payment by memory, then by the service record.

    A customer's record names the first open payment only: later ones may be credited. `index` is None for a payment
    that was read because it is open.
    """
    if status is not None:
        return status.state, status.cause
    entry = position.opened.customers.get(payment.customer_id or "")
    if entry is not None and payment.sequence >= entry.sequence:
        return _state_of_recorded(entry.cause) if payment.sequence == entry.sequence else (UNCHECKED, None)
    if index is None:
        return UNCHECKED, None
    if index in position.opened.causes:
        return _state_of_recorded(position.opened.causes[index])
    if index < position.swept:
        return "credited", None
    return (UNCHECKED, None) if final else ("confirming", None)


def _state_of_recorded(cause: str) -> tuple[str, str | None]:
    """Return the state and cause of what the record stores: a cause, or a state where there is none."""
    states = {"held": HELD_CAUSES, "pending": PENDING_CAUSES, "confirming": CONFIRMING_CAUSES}
    for state, causes in states.items():
        if cause in causes:
            return state, cause
    return (cause, None) if cause in STATES and cause not in _SETTLED else (UNCHECKED, None)


def group_by_reason(payments: Sequence[KnownPayment]) -> list[WaitingGroup]:
    """Group payments by state and cause: what a person must decide first, then the oldest."""
    groups: dict[tuple[str, str | None], list[KnownPayment]] = {}
    for known in payments:
        groups.setdefault((known.state, known.cause), []).append(known)
    summed = [
        WaitingGroup(
            state,
            cause,
            len(members),
            sum(known.payment.amount for known in members),
            min(known.payment.time for known in members),
        )
        for (state, cause), members in groups.items()
    ]
    order = ("held", "pending", UNCHECKED)
    return sorted(
        summed, key=lambda group: (order.index(group.state) if group.state in order else len(order), group.oldest)
    )
