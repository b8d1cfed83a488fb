"""What admins decide about payments that cannot be credited by themselves: released, at a rate, or to another customer.

An order is an entry of one cent on the service record. The oldest for a payment stands; none is ever removed.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cachetools import TTLCache

from chain.payment import Payment, is_customer_id
from stateless_billing.bookkeeping import Bookkeeping
from stateless_billing.clock import Clock
from stateless_billing.epochs import LOOK_BACK
from stateless_billing.errors import Refusal
from stateless_billing.grant_forms import FORM_SECONDS, minted_at
from stateless_billing.ledger import Entry
from stateless_billing.money import RATE_SCALE
from stateless_billing.stripe_ledger import StripeLedger
from stateless_billing.writing import Draft, look_and_write

_KEPT_SECONDS = 60
_RATE = re.compile(r"([0-9]{1,7})(?:\.([0-9]{1,18}))?", re.ASCII)
HIGHEST_RATE = 10**6 * RATE_SCALE


@dataclass(frozen=True, slots=True)
class Order:
    """An order that can be followed: released; at `rate` (10^-18 dollars per token), to `target`, where it says so."""

    id: str
    payment: str
    created: int
    text: str
    rate: int | None
    target: str | None
    operator: str
    reason: str


def parse_rate(text: str) -> int | None:
    """A decimal rate in dollars per whole token as 10^-18 dollars, exactly; None where it is none."""
    found = _RATE.fullmatch(text.strip())
    if not found:
        return None
    rate = int(found[1]) * RATE_SCALE + int((found[2] or "").ljust(18, "0"))
    return rate if 0 < rate <= HIGHEST_RATE else None


def parse(entry: Entry) -> Order | None:
    """An entry of the service record as an order; None where it is none that can be followed."""
    told = entry.metadata
    text, payment = told.get("order", "").strip(), told.get("payment", "").strip().lower()
    word, _, value = text.partition(":")
    rate = parse_rate(value) if word == "release" and value else None
    target = value if word == "redirect" else None
    fits = text == "release" or rate is not None or (target is not None and is_customer_id(target))
    if entry.kind != "order" or not payment or not fits:
        return None
    names = told.get("operator", ""), told.get("reason", "")
    return Order(entry.id, payment, entry.created, text, rate, target, *names)


def standing(identity: str, entries: Sequence[Entry]) -> Order | None:
    """The oldest order for a payment."""
    found = [order for order in map(parse, entries) if order and order.payment == identity]
    return min(found, key=lambda one: (one.created, one.id), default=None)


class Orders:
    """Reads and writes orders. One listing serves all payments that are held, for a minute."""

    def __init__(self, stripe: StripeLedger, books: Bookkeeping, clock: Clock) -> None:
        self._stripe, self._books, self._clock = stripe, books, clock
        self._kept: TTLCache[None, tuple[int, list[Entry]]] = TTLCache(1, _KEPT_SECONDS, clock.boot)
        self._reading = asyncio.Lock()

    async def of(self, payment: Payment) -> Order | None:
        """The order that stands for a payment. Raises StripeFailure."""
        return standing(payment.identity, await self._listed(payment.time - LOOK_BACK))

    async def ordered(self, since: int) -> set[str]:
        """The identities of all payments with an order written since then. Raises StripeFailure."""
        return {order.payment for order in map(parse, await self._listed(since)) if order}

    async def _listed(self, since: int) -> list[Entry]:
        async with self._reading:
            kept = self._kept.get(None)
            if kept is None or kept[0] > since:
                async with self._stripe.session() as session:
                    kept = since, await session.entries(self._books.service_id, since)
                self._kept[None] = kept
            return kept[1]

    async def write(self, form: str, payment: Payment, text: str, operator: str, reason: str) -> Order:
        """Give an order, or find that it was given before; the one that stands. Raises Refusal, StripeFailure."""
        minted = minted_at(form)
        if minted is None or not -LOOK_BACK <= self._clock.wall() - minted < FORM_SECONDS:
            raise Refusal("form_dead", "This form is more than 22 hours old. Nothing was ordered. Open the page again.")

        def found(entries: Sequence[Entry]) -> Entry | None:
            order = standing(payment.identity, entries)
            return next((entry for entry in entries if order and entry.id == order.id), None)

        draft = order_draft(form, payment, text, operator, reason, self._books.service_id)
        entry = await look_and_write(self._stripe, draft, payment.time - LOOK_BACK, found)
        self._kept.clear()
        order = parse(entry)
        assert order is not None, "an order of our own can be followed"
        if order.text != text:
            raise Refusal(
                "already_done", f"{order.operator} ordered “{order.text}” for this payment before; that stands."
            )
        return order


def order_draft(form: str, payment: Payment, text: str, operator: str, reason: str, service_id: str) -> Draft:
    """An order: one cent on the service record, under one key for as long as its form lives."""
    minted = minted_at(form) or 0
    return Draft(
        customer_id=service_id,
        cents=1,
        description=f"Order by {operator}: {text}"[:350],
        metadata={
            "kind": "order",
            "payment": payment.identity,
            "order": text,
            "operator": operator,
            "reason": reason,
        },
        origin=minted,
        key=lambda epoch: f"order:{form}",
        holds=lambda now: now < minted + FORM_SECONDS,
    )
