"""What an admin may have put right: credits what is missing, takes back what is double, astray or orphaned.

Nothing here runs by itself. Each step is told first; it is taken only when asked for, through the paths that credit and
reverse at all times, so that two repairs at once, or one that is cut off and begun again, do nothing twice.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from chain import provider
from chain.gateway import Gateway, find_payments_in_tx
from chain.payment import Payment
from chain.provider import FailoverProvider
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
    """One thing to be done: what it is in words, and doing it, which says how it went. `take` may raise NotTaken."""

    row: Row
    description: str
    apply: Callable[[], Awaitable[str]]


class RepairServices(Protocol):
    """What a repair works with; the services have it."""

    nodes: FailoverProvider
    gateways: list[Gateway]
    stripe: StripeApi
    confirmations: Confirmations
    crediting: CreditProcessor
    orders: Orders
    reversals: Reversals
    status_cache: StatusCache


class Repair:
    """The steps that a report asks for."""

    def __init__(
        self, services: RepairServices, report: Report, operator: str, report_line: Callable[[str], object]
    ) -> None:
        assert report.scope is not None
        self._services, self._report, self._operator, self._report_line = services, report, operator, report_line
        self._scope: Scope = report.scope
        self._choice = SurplusChoice(services.stripe, services.orders, report.scope)

    async def plan_steps(self) -> AsyncIterator[Step]:
        """Every step, one after another; what can only be done by people is passed over."""
        for row in self._report.spool:
            if not row.exception:
                continue
            step = None
            if row.status == Status.MISSING_CREDIT:
                step = await self._plan_credit(row)
            elif row.status in (Status.DUPLICATE_CREDIT, Status.REVERSED):
                step = await self._plan_surplus(row)
            elif row.status == Status.AMOUNT_MISMATCH:
                step = await self._plan_other_facts(row)
            elif row.status in (Status.WRONG_CUSTOMER, Status.MISSING_PAYMENT):
                step = await self._plan_misplaced(row)
            if step:
                yield step

    async def _plan_credit(self, row: Row) -> Step | None:
        payment = await self._find_payment(row)
        if payment is None:
            return None

        async def take() -> str:
            return await self._is_credited(payment)

        promised = money.format_dollars(payment.cents) if payment.quoted else "what it was worth at its block's time"
        return Step(row, f"credit {promised} to {payment.customer_id} for {payment.tx_hash}", take)

    async def _is_credited(self, payment: Payment) -> str:
        """Credit a payment by what Stripe's entries show, whatever its customer's cursor says. Raises NotTaken."""
        heads = await self._services.confirmations.heads()
        gateway = next(one for one in self._services.gateways if one.address == payment.gateway)
        self._services.status_cache.make_due(payment)
        done = await self._services.crediting.process(gateway, payment, heads, trust_cursor=False)
        if done.state == "pending" and done.cause is None and done.retry_after:
            raise NeedsSecondReading(done.retry_after)
        told = f"{done.state} {done.cause or done.credit or ''} {done.detail}".strip()
        if done.state != "credited":
            raise RepairRefused(told)
        return told

    async def _plan_other_facts(self, row: Row) -> Step | None:
        """A quoted payment whose final event promises other cents than its credit has: reversed, and credited anew."""
        payment = await self._find_payment(row)
        if payment is None or not payment.quoted or row.stripe_customer is None or row.stripe_txn is None:
            return None
        entry = await self._read_entry(row.stripe_customer, row.stripe_txn, payment.time - LISTING_LEAD_SECONDS)
        if (
            entry is None
            or claimed_identity(Credit(entry, entry.cents, "")) != payment.identity
            or entry.cents == payment.cents
        ):
            return None

        async def take() -> str:
            back = await self._services.reversals.reverse(entry, self._operator, REASONS[Status.AMOUNT_MISMATCH])
            try:
                return f"taken back by {back.id}; {await self._is_credited(payment)}"
            except RepairRefused as error:
                raise RepairRefused(f"taken back by {back.id}, and not credited anew yet: {error}") from error

        cents, due = money.format_dollars(entry.cents), money.format_dollars(payment.cents)
        return Step(row, f"take back {entry.id} of {cents}, and credit {due} for {payment.tx_hash}", take)

    async def _plan_surplus(self, row: Row) -> Step | None:
        payment = await self._find_payment(row)
        chosen = await self._choice.choose_entry(payment, row, strict=False) if payment else None
        if payment is None or chosen is None:
            return None

        async def take() -> str:
            again = await self._choice.choose_entry(payment, row, strict=True)
            if again is None or again.id != chosen.id:
                raise RepairRefused("Stripe shows something else by now; run the audit again")
            return await self._is_reversed(row, chosen)

        return Step(row, _describe_step(row, chosen), take)

    async def _plan_misplaced(self, row: Row) -> Step | None:
        if row.stripe_customer is None or row.stripe_txn is None:
            return None
        entry = await self._read_entry(row.stripe_customer, row.stripe_txn, 0)
        return self._plan_reversal(row, entry) if entry else None

    def _plan_reversal(self, row: Row, entry: Entry) -> Step:
        async def take() -> str:
            if row.status == Status.MISSING_PAYMENT:
                await self._require_orphan(entry)
            return await self._is_reversed(row, entry)

        return Step(row, _describe_step(row, entry), take)

    async def _is_reversed(self, row: Row, entry: Entry) -> str:
        done = await self._services.reversals.reverse(entry, self._operator, REASONS[Status(row.status)])
        return f"taken back by {done.id}"

    async def _require_orphan(self, entry: Entry) -> None:
        """Two nodes, or one twice and a finality apart, must show that a credit's payment is not there. Else NotTaken.

        Of a gateway that is not configured nothing can be shown.
        """
        credit = Credit(entry, entry.cents, "")
        if reason := reason_without_payment(credit, self._scope):
            raise RepairRefused(f"{reason}; a human has to look")
        final = await provider.block(self._services.nodes, "finalized")
        if final.time <= entry.created:
            raise RepairRefused("its payment may yet become final")
        reader = ChainReader(self._services.nodes, self._services.gateways, lambda *_: None)
        orphaned = await is_absent_on_chain(reader, claimed_identity(credit))
        if orphaned and len(self._services.nodes.each) == 1:
            head = await provider.block(self._services.nodes, "latest")
            self._report_line(f"one node alone says so: waiting until block {head.number} is final, to ask it again\n")
            await self._wait_until_final(head.number)
            orphaned = await is_absent_on_chain(reader, claimed_identity(credit))
        if not orphaned:
            raise RepairRefused("its payment is there after all")

    async def _wait_until_final(self, number: int) -> None:
        while True:
            if (await provider.block(self._services.nodes, "finalized")).number >= number:
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _find_payment(self, row: Row) -> Payment | None:
        """The payment that a row is about, asked of the chain again."""
        found = await find_payments_in_tx(self._services.nodes, self._services.gateways, row.tx_hash or "")
        payments: Iterable[Payment] = found.payments if found else ()
        return next((one for one in payments if fingerprint(one.identity) == row.fingerprint), None)

    async def _read_entries(self, customer_id: str, since: int) -> list[Entry]:
        async with self._services.stripe.session() as session:
            return await session.list_entries(customer_id, max(0, since))

    async def _read_entry(self, customer_id: str, entry_id: str, since: int) -> Entry | None:
        return next((one for one in await self._read_entries(customer_id, since) if one.id == entry_id), None)


def _describe_step(row: Row, entry: Entry) -> str:
    return f"take back {entry.id} of {money.format_dollars(entry.cents)} on {entry.customer} ({row.status})"


async def repair(
    steps: AsyncIterator[Step],
    report: Callable[[str], object],
    *,
    apply: bool,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> int:
    """Tell every step, and take it where that is wanted; how many are left to be taken.

    What an old ledger must tell twice is asked again together, once the last of them may be.
    """
    left = 0
    later: list[tuple[Step, int]] = []
    async for step in steps:
        report(f"{step.row.row_id}  {step.description}\n")
        wait = await _apply_step(step, report) if apply else 0
        if wait:
            later.append((step, wait))
        elif wait == 0:
            left += 1
    if later:
        longest = max(wait for _, wait in later)
        report(f"{len(later)} ledgers must tell the same once more: waiting {-(-longest // 60)} minutes\n")
        await sleep(longest + 1)
    for step, _ in later:
        report(f"{step.row.row_id}  once more\n")
        left += await _apply_step(step, report) is not None
    return left


async def _apply_step(step: Step, report: Callable[[str], object]) -> int | None:
    """Take a step: None where that is done, 0 where it is not, else in how many seconds it may be taken again."""
    try:
        report(f"  {await step.apply()}\n")
    except NeedsSecondReading as error:
        report(f"  not done yet: {error}\n")
        return error.seconds
    except (RepairRefused, StripeFailure) as error:
        report(f"  not done: {error}\n")
        return 0
    return None
