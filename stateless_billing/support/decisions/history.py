"""All decisions of a time: orders, rates set by hand and grants taken back, with what followed from each."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from chain.errors import ChainError
from chain.failover import FailoverProvider
from chain.gateway import Gateway, find_payments_in_tx
from chain.payment import Payment, PaymentPlace, parse_identity
from stateless_billing.bookkeeping.orders import Orders
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.payment_status import PaymentStatus
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.domain.money import format_rate
from stateless_billing.domain.order_rules import DAY, WALLET_PREFIX, WITHDRAW, Order
from stateless_billing.grants.caps import parse_reservation
from stateless_billing.grants.grant_ledger import Grant, GrantLedger, grant_by_record
from stateless_billing.pricing.override_values import Override, parse_history, parse_proposal
from stateless_billing.pricing.rate_overrides import Overrides
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.lookups import find_reversed_entries
from stateless_billing.support.decisions.order_rows import (
    COUNTS,
    DECIDES,
    VOID,
    WAITS,
    WITHDRAWN,
    OrderRow,
    create_rows,
)

log = logging.getLogger(__name__)

_MAX_PAYMENTS = 40  # whose state is looked up: each may cost a read


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One decision. `cents` is the most it could credit, or what it took; `entry` is its own `cbtxn_`, if any."""

    time: int
    kind: str
    subject: str
    text: str
    operator: str
    reason: str
    second: str = ""
    cents: int | None = None
    outcome: str = ""
    entry: str = ""
    credit: str = ""

    @property
    def place(self) -> PaymentPlace | None:
        """Where the payment of an order is on the chain; None for other subjects."""
        return parse_identity(self.subject)


class DecisionHistory:
    """Reads the decisions. Repairs by command lie on the customers' own ledgers: the audit lists them."""

    def __init__(
        self,
        *,
        orders: Orders,
        overrides: Overrides,
        grants: GrantLedger,
        crediting: CreditProcessor,
        confirmations: Confirmations,
        nodes: FailoverProvider,
        gateways: Sequence[Gateway],
        clock: Clock,
    ) -> None:
        self._orders = orders
        self._overrides = overrides
        self._grants = grants
        self._crediting = crediting
        self._confirmations = confirmations
        self._nodes = nodes
        self._gateways = gateways
        self._clock = clock

    async def read(self, since: int) -> list[DecisionRow]:
        """Read the decisions since `since`, newest first.

        Raises: StripeFailure, ChainError.
        """
        rows = await self._read_orders(since)
        metadata = await self._overrides.read()
        now = int(self._clock.wall())
        rows += [describe_rate(override, now) for override in parse_history(metadata) if override.since >= since]
        if proposal := parse_proposal(metadata):
            rows.append(describe_rate(proposal, now, proposed=True))
        rows += await self._read_reversals(since)
        return sorted((row for row in rows if row.time >= since), key=lambda row: (-row.time, row.entry))

    async def _read_orders(self, since: int) -> list[DecisionRow]:
        self._orders.invalidate()
        orders = await self._orders.list_since(since - DAY)
        payments = dict.fromkeys(order.payment for order in reversed(orders) if order.created >= since)
        statuses: dict[str, PaymentStatus] = {}
        rows: list[DecisionRow] = []
        for identity in payments:
            own = [row for row in create_rows(identity, orders) if row.order.created >= since]
            has_effect = any(row.fate in (DECIDES, COUNTS) for row in own)
            is_asked = has_effect and not identity.startswith(WALLET_PREFIX) and len(statuses) < _MAX_PAYMENTS
            if is_asked and (status := await self._find_status(identity)):
                statuses[identity] = status
            rows += [describe_order(row, statuses.get(identity)) for row in own]
        return rows

    async def _read_reversals(self, since: int) -> list[DecisionRow]:
        """Read the grants taken back since `since`, however long ago they were given."""
        grants = await self._grants.reconcile(since)
        listing = await self._grants.list_grants(since)
        known = {grant.reservation.entry.id for grant in grants}
        older = await find_reversed_entries(
            self._grants.stripe, self._grants.records.grants_id, listing.entries, since, known.__contains__
        )
        reserved = filter(None, map(parse_reservation, [*listing.entries, *older]))
        grants += [grant_by_record(row, listing) for row in reserved if row.entry.id not in known]
        return [describe_reversal(grant) for grant in grants if grant.state == "undone"]

    async def _find_status(self, identity: str) -> PaymentStatus | None:
        """What followed; None if it cannot be read now: who decided what is in Stripe all the same."""
        try:
            heads = await self._confirmations.heads()
            place = await self._find_payment(identity)
            return await self._crediting.get_status(*place, heads) if place else None
        except ChainError as error:
            log.warning("what followed from the orders of %s could not be read: %s", identity, error)
            return None

    async def _find_payment(self, identity: str) -> tuple[Gateway, Payment] | None:
        place = parse_identity(identity)
        transaction = await find_payments_in_tx(self._nodes, self._gateways, place.tx_hash) if place else None
        for payment in transaction.payments if transaction else ():
            for gateway in self._gateways:
                if payment.identity == identity and gateway.address == payment.gateway:
                    return gateway, payment
        return None


def describe_order(row: OrderRow, status: PaymentStatus | None) -> DecisionRow:
    """Describe an order and what followed from it."""
    order, confirmed = row.order, row.confirmed
    outcome, credit = _order_outcome(row, status)
    return DecisionRow(
        time=order.created,
        kind="order",
        subject=order.payment,
        text=order.text,
        operator=order.operator,
        reason=order.reason,
        second=f"{confirmed.operator}: {confirmed.reason}" if confirmed else "",
        cents=order.value,
        outcome=outcome,
        entry=order.id,
        credit=credit,
    )


def _order_outcome(row: OrderRow, status: PaymentStatus | None) -> tuple[str, str]:
    if row.fate == WAITS:
        return "waits for another admin", ""
    if row.fate == VOID:
        return "confirms nothing", ""
    if row.fate == WITHDRAWN:
        return "withdrawn", ""
    if row.fate not in (DECIDES, COUNTS):
        return "replaced by a newer order", ""
    return _effect(row.order, status)


def _effect(order: Order, status: PaymentStatus | None) -> tuple[str, str]:
    if order.payment.startswith(WALLET_PREFIX):
        return "stands for the wallet's registration", ""
    if status is None:
        return "stands; the payment's state was not looked up", ""
    if status.state == "credited":
        return "the payment is credited", status.credit or ""
    if status.state == "reversed":
        return "the payment's credit was reversed", status.credit or ""
    if status.cause == "over_limit" and order.instruction.verb not in ("", WITHDRAW):
        return "refused by its bound: the payment is worth more than it allows", ""
    if order.instruction.verb == WITHDRAW:
        return "withdrawn: the payment waits", ""
    return f"stands; the payment is {status.state}{f' ({status.cause})' if status.cause else ''}", ""


def describe_rate(override: Override, now: int, *, proposed: bool = False) -> DecisionRow:
    """Describe a rate set by hand, or proposed."""
    if proposed:
        outcome = "waits for another admin" if now < override.until else "lapsed without a second admin"
    else:
        outcome = "holds" if override.applies_at(now) else "over"
    return DecisionRow(
        time=override.since,
        kind="rate",
        subject="rate",
        text=f"{format_rate(override.rate)} a token",
        operator=override.operator,
        reason=override.reason,
        second=override.confirmed_by,
        outcome=outcome,
    )


def describe_reversal(grant: Grant) -> DecisionRow:
    """Describe a grant that was taken back: who did it, when, and why."""
    reversal = grant.reversal or grant.taken_back
    metadata = reversal.metadata if reversal else {}
    return DecisionRow(
        time=reversal.created if reversal else grant.reservation.entry.created,
        kind="reversal",
        subject=grant.reservation.customer,
        text=f"takes back the grant of {grant.reservation.operator}",
        operator=metadata.get("operator", ""),
        reason=metadata.get("reason", ""),
        cents=-grant.reservation.entry.cents,
        outcome="taken back",
        entry=reversal.id if reversal else "",
        credit=grant.taken_back.id if grant.taken_back else "",
    )
