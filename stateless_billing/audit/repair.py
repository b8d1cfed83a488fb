"""Repairs findings: credits payments and reverses duplicate or misplaced credits.

Only an admin starts a repair. Every step is printed, and applied only with `--apply`. Steps use the regular crediting
and reversal code, so concurrent or interrupted repairs write nothing twice.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from chain import provider
from chain.failover import FailoverProvider
from chain.gateway import Gateway, find_payments_in_tx
from chain.payment import Payment
from stateless_billing.audit.cross_customer_pass import is_absent_on_chain
from stateless_billing.audit.readers.chain import ChainReader
from stateless_billing.audit.report.report import Report
from stateless_billing.audit.rules.cross_customer import claimed_identity, reason_without_payment
from stateless_billing.audit.rules.facts import Scope
from stateless_billing.audit.rules.payments import Credit
from stateless_billing.audit.rules.rows import Row, fingerprint
from stateless_billing.audit.rules.statuses import Status
from stateless_billing.audit.surplus_choice import RepairRefused, SurplusChoice
from stateless_billing.bookkeeping.orders import Orders
from stateless_billing.bookkeeping.reversals import Reversals
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain import money
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import NeedsSecondReading, StripeFailure

REASONS = {
    Status.DUPLICATE_CREDIT: "audit:double",
    Status.REVERSED: "audit:reversed_twice",
    Status.WRONG_CUSTOMER: "audit:wrong_customer",
    Status.MISSING_PAYMENT: "audit:orphaned",
    Status.AMOUNT_MISMATCH: "audit:other_cents",
}
_POLL_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Step:
    """One repair of a row. `apply` returns the outcome or raises RepairRefused."""

    row: Row
    description: str
    apply: Callable[[], Awaitable[str]]


class RepairServices(Protocol):
    """The services that a repair uses."""

    nodes: FailoverProvider
    gateways: list[Gateway]
    stripe: StripeApi
    confirmations: Confirmations
    crediting: CreditProcessor
    orders: Orders
    reversals: Reversals
    status_cache: StatusCache


class Repair:
    """Plans the steps that repair the findings of a report."""

    def __init__(
        self, services: RepairServices, report: Report, operator: str, report_line: Callable[[str], object]
    ) -> None:
        assert report.scope is not None
        self._services = services
        self._report = report
        self._operator = operator
        self._report_line = report_line
        self._scope: Scope = report.scope
        self._surplus_choice = SurplusChoice(services.stripe, services.orders, report.scope)

    async def plan_steps(self) -> AsyncIterator[Step]:
        """Yield the steps one by one. Findings that need a human decision are skipped."""
        for row in self._report.spool:
            if not row.exception:
                continue
            step = None
            if row.status == Status.MISSING_CREDIT:
                step = await self._plan_credit(row)
            elif row.status in (Status.DUPLICATE_CREDIT, Status.REVERSED):
                step = await self._plan_surplus(row)
            elif row.status == Status.AMOUNT_MISMATCH:
                step = await self._plan_correction(row)
            elif row.status in (Status.WRONG_CUSTOMER, Status.MISSING_PAYMENT):
                step = await self._plan_misplaced(row)
            if step:
                yield step

    async def _plan_credit(self, row: Row) -> Step | None:
        payment = await self._find_payment(row)
        if payment is None:
            return None

        async def apply() -> str:
            return await self._credit_payment(payment)

        promised = money.format_dollars(payment.cents) if payment.quoted else "what it was worth at its block's time"
        return Step(row, f"credit {promised} to {payment.customer_id} for {payment.tx_hash}", apply)

    async def _credit_payment(self, payment: Payment) -> str:
        """Credit a payment by its customer's entries in Stripe, ignoring the cursor.

        Raises: RepairRefused.
        """
        heads = await self._services.confirmations.heads()
        gateways = {gateway.address: gateway for gateway in self._services.gateways}
        self._services.status_cache.make_due(payment)
        status = await self._services.crediting.process(gateways[payment.gateway], payment, heads, trust_cursor=False)
        if status.state == "pending" and status.cause is None and status.retry_after:
            raise NeedsSecondReading(status.retry_after)
        outcome = f"{status.state} {status.cause or status.credit or ''} {status.detail}".strip()
        if status.state != "credited":
            raise RepairRefused(outcome)
        return outcome

    async def _plan_correction(self, row: Row) -> Step | None:
        """Plan to replace the credit of a payment whose final event promises other cents."""
        payment = await self._find_payment(row)
        if payment is None or not payment.quoted or row.stripe_customer is None or row.stripe_txn is None:
            return None
        entry = await self._read_entry(row.stripe_customer, row.stripe_txn, payment.time - LISTING_LEAD_SECONDS)
        if entry is None or entry.cents == payment.cents:
            return None
        if claimed_identity(Credit(entry, entry.cents, "")) != payment.identity:
            return None

        async def apply() -> str:
            reversal = await self._services.reversals.reverse(entry, self._operator, REASONS[Status.AMOUNT_MISMATCH])
            try:
                return f"taken back by {reversal.id}; {await self._credit_payment(payment)}"
            except RepairRefused as error:
                raise RepairRefused(f"taken back by {reversal.id}, but not credited again yet: {error}") from error

        cents, due = money.format_dollars(entry.cents), money.format_dollars(payment.cents)
        return Step(row, f"take back {entry.id} of {cents}, and credit {due} for {payment.tx_hash}", apply)

    async def _plan_surplus(self, row: Row) -> Step | None:
        payment = await self._find_payment(row)
        chosen = await self._surplus_choice.choose_entry(payment, row, require_proof=False) if payment else None
        if payment is None or chosen is None:
            return None

        async def apply() -> str:
            again = await self._surplus_choice.choose_entry(payment, row, require_proof=True)
            if again is None or again.id != chosen.id:
                raise RepairRefused("Stripe has changed since the report; run the audit again")
            return await self._reverse_entry(row, chosen)

        return Step(row, _describe_step(row, chosen), apply)

    async def _plan_misplaced(self, row: Row) -> Step | None:
        if row.stripe_customer is None or row.stripe_txn is None:
            return None
        entry = await self._read_entry(row.stripe_customer, row.stripe_txn, 0)
        return self._plan_reversal(row, entry) if entry else None

    def _plan_reversal(self, row: Row, entry: Entry) -> Step:
        async def apply() -> str:
            if row.status == Status.MISSING_PAYMENT:
                await self._require_orphan(entry)
            return await self._reverse_entry(row, entry)

        return Step(row, _describe_step(row, entry), apply)

    async def _reverse_entry(self, row: Row, entry: Entry) -> str:
        reversal = await self._services.reversals.reverse(entry, self._operator, REASONS[Status(row.status)])
        return f"taken back by {reversal.id}"

    async def _require_orphan(self, entry: Entry) -> None:
        """Require proof that the payment of a credit is not on the chain.

        Every node must show its absence; a single node must show it twice, with its head becoming final in between.
        Nothing is proven for a gateway that is not configured. Raises: RepairRefused.
        """
        credit = Credit(entry, entry.cents, "")
        if reason := reason_without_payment(credit, self._scope):
            raise RepairRefused(f"{reason}; this needs a human decision")
        final = await provider.block(self._services.nodes, "finalized")
        if final.time <= entry.created:
            raise RepairRefused("its payment may yet become final")
        reader = ChainReader(self._services.nodes, self._services.gateways, lambda *_: None)
        orphaned = await is_absent_on_chain(reader, claimed_identity(credit))
        if orphaned and len(self._services.nodes.providers) == 1:
            head = await provider.block(self._services.nodes, "latest")
            self._report_line(f"only one node to ask: waiting until block {head.number} is final to ask it again\n")
            await self._wait_until_final(head.number)
            orphaned = await is_absent_on_chain(reader, claimed_identity(credit))
        if not orphaned:
            raise RepairRefused("its payment is on the chain after all")

    async def _wait_until_final(self, number: int) -> None:
        while True:
            if (await provider.block(self._services.nodes, "finalized")).number >= number:
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _find_payment(self, row: Row) -> Payment | None:
        """Read the payment of a row from the chain again."""
        transaction = await find_payments_in_tx(self._services.nodes, self._services.gateways, row.tx_hash or "")
        for payment in transaction.payments if transaction else ():
            if fingerprint(payment.identity) == row.fingerprint:
                return payment
        return None

    async def _read_entry(self, customer_id: str, entry_id: str, since: int) -> Entry | None:
        async with self._services.stripe.session() as session:
            entries = await session.list_entries(customer_id, max(0, since))
        return next((entry for entry in entries if entry.id == entry_id), None)


def _describe_step(row: Row, entry: Entry) -> str:
    return f"take back {entry.id} of {money.format_dollars(entry.cents)} on {entry.customer} ({row.status})"


async def repair(
    steps: AsyncIterator[Step],
    report: Callable[[str], object],
    *,
    apply: bool,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> int:
    """Print every step, apply it if `apply`, and return how many steps remain.

    Old ledgers must be read twice, some time apart. Their steps are retried together after the longest wait.
    """
    remaining = 0
    delayed: list[tuple[Step, int]] = []
    async for step in steps:
        report(f"{step.row.row_id}  {step.description}\n")
        wait = await _apply_step(step, report) if apply else 0
        if wait:
            delayed.append((step, wait))
        elif wait == 0:
            remaining += 1
    if delayed:
        longest = max(wait for _, wait in delayed)
        report(f"{len(delayed)} ledgers must be read a second time: waiting {-(-longest // 60)} minutes\n")
        await sleep(longest + 1)
    for step, _ in delayed:
        report(f"{step.row.row_id}  second reading\n")
        remaining += await _apply_step(step, report) is not None
    return remaining


async def _apply_step(step: Step, report: Callable[[str], object]) -> int | None:
    """Apply a step.

    Return None if it was applied, 0 if not, else the seconds to wait before the second reading.
    """
    try:
        report(f"  {await step.apply()}\n")
    except NeedsSecondReading as error:
        report(f"  not done yet: {error}\n")
        return error.seconds
    except (RepairRefused, StripeFailure) as error:
        report(f"  not done: {error}\n")
        return 0
    return None
