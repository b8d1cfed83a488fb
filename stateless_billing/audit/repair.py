"""What an admin may have put right: credits what is missing, takes back what is double, astray or orphaned.

Nothing here runs by itself. Each step is told first; it is taken only when asked for, through the paths that credit and
reverse at all times, so that two repairs at once, or one that is cut off and begun again, do nothing twice.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from chain import node
from chain.gateway import Gateway, claimed
from chain.node import Nodes
from chain.payment import Payment
from stateless_billing import money
from stateless_billing.audit.chain_reader import ChainReader
from stateless_billing.audit.closing import gone
from stateless_billing.audit.facts import Scope
from stateless_billing.audit.judging import Credit
from stateless_billing.audit.report import Report
from stateless_billing.audit.resolving import named, reason_without
from stateless_billing.audit.rows import Row, fingerprint
from stateless_billing.audit.statuses import Status
from stateless_billing.audit.surplus import is_credited, surplus
from stateless_billing.confirmations import Confirmations
from stateless_billing.crediting import Crediting
from stateless_billing.epochs import LOOK_BACK
from stateless_billing.errors import StripeFailure
from stateless_billing.ledger import Entry
from stateless_billing.reversals import reverse
from stateless_billing.stripe_ledger import StripeLedger

REASONS = {
    Status.DUPLICATE_CREDIT: "audit:double",
    Status.REVERSED: "audit:reversed_twice",
    Status.WRONG_CUSTOMER: "audit:wrong_customer",
    Status.MISSING_PAYMENT: "audit:orphaned",
}
_POLL_SECONDS = 15.0
_ALSO = re.compile(r"(cbtxn_\w+)@(cus_\w+)", re.ASCII)


class NotTaken(Exception):
    """A step was not taken, or led nowhere yet; the message says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to be done: what it is in words, and doing it, which says how it went. `take` may raise NotTaken."""

    row: Row
    told: str
    take: Callable[[], Awaitable[str]]


class Hands(Protocol):
    """What a repair works with; the services have it."""

    nodes: Nodes
    gateways: list[Gateway]
    stripe: StripeLedger
    confirmations: Confirmations
    crediting: Crediting


class Repair:
    """The steps that a report asks for."""

    def __init__(self, hands: Hands, report: Report, operator: str, say: Callable[[str], object]) -> None:
        assert report.scope is not None
        self._hands, self._report, self._operator, self._say = hands, report, operator, say
        self._scope: Scope = report.scope

    async def steps(self) -> AsyncIterator[Step]:
        """Every step, one after another; what can only be done by people is passed over."""
        for row in self._report.spool:
            if not row.exception:
                continue
            step = None
            if row.status == Status.MISSING_CREDIT:
                step = await self._credit(row)
            elif row.status in (Status.DUPLICATE_CREDIT, Status.REVERSED):
                step = await self._surplus(row)
            elif row.status in (Status.WRONG_CUSTOMER, Status.MISSING_PAYMENT):
                step = await self._astray(row)
            if step:
                yield step

    async def _credit(self, row: Row) -> Step | None:
        heads = await self._hands.confirmations.heads()
        payment = await self._payment(row)
        if payment is None:
            return None
        gateway = next(one for one in self._hands.gateways if one.address == payment.gateway)

        async def take() -> str:
            done = await self._hands.crediting.advance(gateway, payment, heads)
            told = f"{done.state} {done.cause or done.credit or ''} {done.detail}".strip()
            if done.state != "credited":
                raise NotTaken(told)
            return told

        promised = money.dollars(payment.cents) if payment.quoted else "what it was worth at its block's time"
        return Step(row, f"credit {promised} to {payment.customer_id} for {payment.tx_hash}", take)

    async def _surplus(self, row: Row) -> Step | None:
        """Of credits on several customers, one that sits where it does not belong goes first."""
        payment = await self._payment(row)
        if payment is None or row.stripe_customer is None:
            return None
        since = payment.time - LOOK_BACK
        entries = await self._entries(row.stripe_customer, since)
        for name, customer in _ALSO.findall(row.note or ""):
            found = await self._entry(customer, name, since)
            if found and is_credited(payment, entries, self._scope):
                return self._reversal(row, found)
        found = surplus(payment, entries, self._scope)
        return self._reversal(row, found) if found else None

    async def _astray(self, row: Row) -> Step | None:
        if row.stripe_customer is None or row.stripe_txn is None:
            return None
        entry = await self._entry(row.stripe_customer, row.stripe_txn, 0)
        return self._reversal(row, entry) if entry else None

    def _reversal(self, row: Row, entry: Entry) -> Step:
        async def take() -> str:
            if row.status == Status.MISSING_PAYMENT:
                await self._check_orphan(entry)
            done = await reverse(self._hands.stripe, entry, self._operator, REASONS[Status(row.status)])
            return f"taken back by {done.id}"

        cents = money.dollars(entry.cents)
        return Step(row, f"take back {entry.id} of {cents} on {entry.customer} ({row.status})", take)

    async def _check_orphan(self, entry: Entry) -> None:
        """Two nodes, or one twice and a finality apart, must show that a credit's payment is not there. Else NotTaken.

        Of a gateway that is not configured nothing can be shown.
        """
        credit = Credit(entry, entry.cents, "")
        if reason := reason_without(credit, self._scope):
            raise NotTaken(f"{reason}; a human has to look")
        final = await node.block(self._hands.nodes, "finalized")
        if final.time <= entry.created:
            raise NotTaken("its payment may yet become final")
        reader = ChainReader(self._hands.nodes, self._hands.gateways, lambda *_: None)
        orphaned = await gone(reader, named(credit))
        if orphaned and len(self._hands.nodes.each) == 1:
            head = await node.block(self._hands.nodes, "latest")
            self._say(f"one node alone says so: waiting until block {head.number} is final, to ask it again\n")
            await self._until_final(head.number)
            orphaned = await gone(reader, named(credit))
        if not orphaned:
            raise NotTaken("its payment is there after all")

    async def _until_final(self, number: int) -> None:
        while True:
            if (await node.block(self._hands.nodes, "finalized")).number >= number:
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _payment(self, row: Row) -> Payment | None:
        """The payment that a row is about, asked of the chain again."""
        found = await claimed(self._hands.nodes, self._hands.gateways, row.tx_hash or "")
        payments: Iterable[Payment] = found.payments if found else ()
        return next((one for one in payments if fingerprint(one.identity) == row.fingerprint), None)

    async def _entries(self, customer_id: str, since: int) -> list[Entry]:
        async with self._hands.stripe.session() as session:
            return await session.entries(customer_id, max(0, since))

    async def _entry(self, customer_id: str, entry_id: str, since: int) -> Entry | None:
        return next((one for one in await self._entries(customer_id, since) if one.id == entry_id), None)


async def repair(steps: AsyncIterator[Step], say: Callable[[str], object], *, apply: bool) -> int:
    """Tell every step, and take it where that is wanted; how many are left to be taken."""
    left = 0
    async for step in steps:
        say(f"{step.row.row_id}  {step.told}\n")
        if not apply:
            left += 1
            continue
        try:
            say(f"  {await step.take()}\n")
        except (NotTaken, StripeFailure) as error:
            left += 1
            say(f"  not done: {error}\n")
    return left
