"""Simulated admins: they write, repeat, race, confirm and withdraw orders, acknowledge truthfully, and reverse."""

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.bookkeeping.orders import OrderDraft
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe.errors import InQuietZone, StripeFailure
from tests.simulation.plan import ADMINS, DANAS_WALLET, Event
from tests.simulation.truth import PEOPLE, Truth

if TYPE_CHECKING:
    from tests.simulation.oracle import Credit
    from tests.simulation.replica import Replica
    from tests.simulation.world import World

KINDS = ("order", "order_again", "confirm", "reverse")
DESK, PAGE, DIRECT, HELD = "desk", "page", "direct", "held"
"""How an order is given: like the uncredited page, with its checks, by a direct write, or only if still held."""
REASON = "decided on the stuck page"
MAX_REVERSAL_ATTEMPTS = 4


@dataclass(frozen=True)
class Form:
    """An order's form: the admin, the payment, and the draft of its first submission."""

    id: str
    admin: str
    payment: Payment
    draft: OrderDraft | None
    how: str
    acknowledges: bool


class Admins:
    """Dispatches their events by kind."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.truth = Truth(world)
        self._forms: dict[int, Form] = {}
        self._tried: set[str] = set()
        self._last = 10_000

    def happen(self, event: Event) -> None:
        """Let one event happen now."""
        getattr(self, f"_{event.kind}")(*event.args)

    def minted(self, form: str) -> int | None:
        """When an order's form was created; None for an acknowledgement, which Stripe must not complete later."""
        match = next((candidate for candidate in self._forms.values() if candidate.id == form), None)
        return None if match is None or match.acknowledges else int(form.partition("-")[0])

    def _order(
        self, form: int, slot: int, number: int, admin: int, what: str, target: int, acks: bool, how: str
    ) -> None:
        payment = self._payment(number)
        if payment:
            mine = self._forms[form] = self._minted(form, self._signed_in(admin), payment, how, acks)
            replica = self.world.replica(slot)
            replica.spawn(self._give(replica, form, mine, what, PEOPLE[target % len(PEOPLE)]))

    def _minted(self, form: int, admin: str, payment: Payment, how: str, acks: bool) -> Form:
        identity = f"{int(self.world.unix())}-{form:016x}"
        return Form(identity, admin, payment, None, how, acknowledges=acks)

    def _signed_in(self, admin: int) -> str:
        """The operator that a session names, after a sign-in by any of the admins' names."""
        return self.world.settings[0].operators.identity_of((*ADMINS, DANAS_WALLET)[admin])

    def _payment(self, number: int) -> Payment | None:
        payments = self.world.chain.now.payments
        return payments[number % len(payments)] if payments else None

    def _order_again(self, form: int, slot: int) -> None:
        """Submit the same form elsewhere or later, unless its acknowledgement is no longer true."""
        mine = self._forms.get(form)
        if mine and mine.draft and not self.truth.false_words(mine.payment, mine.draft.text):
            self.world.coverage.hit("order_again")
            replica = self.world.replica(slot)
            replica.spawn(self._write(replica, mine, mine.draft))

    def _confirm(self, slot: int, number: int, admin: int) -> None:
        """Repeat the newest order for a payment, by another admin or the same one, perhaps by another name."""
        payment, orders = self._payment(number), self.world.orders
        rows = [row for row in orders.rows if payment and orders.texts[row.id]["payment"] == payment.identity]
        unconfirmed = [row for row in rows if not orders.texts[row.id].get("confirms")]
        if payment and unconfirmed:
            self._last += 1
            self._confirmed(slot, self._last, payment, unconfirmed[-1].id, self._signed_in(admin))

    def _confirmed(self, slot: int, form: int, payment: Payment, order: str, admin: str) -> None:
        metadata = self.world.orders.texts[order]
        if self.truth.false_words(payment, metadata["order"]):
            return
        draft = OrderDraft(metadata["order"], admin, REASON, int(metadata["value"]), confirms=order)
        mine = self._minted(form, admin, payment, DESK, "unproven" in draft.text or "gone" in draft.text)
        self._forms[form] = replace(mine, draft=draft)
        replica = self.world.replica(slot)
        replica.spawn(self._write(replica, mine, draft))

    async def _give(self, replica: "Replica", form: int, mine: Form, what: str, target: str) -> None:
        await replica.ready.wait()
        payment = mine.payment
        if mine.how == HELD:
            heads, gateway = await replica.services.confirmations.heads(), self._gateway(replica, payment)
            status = await replica.services.crediting.get_status(gateway, payment, heads)
            if status.state != "held":
                return
        text = self.truth.words(payment, what, target, acknowledge=mine.acknowledges)
        if not text:
            return
        draft = await self._draft(replica, mine, text)
        if draft:
            mine = self._forms[form] = replace(mine, draft=draft)
            if not self.truth.false_words(payment, text):
                await self._write(replica, mine, draft)

    async def _draft(self, replica: "Replica", mine: Form, text: str) -> OrderDraft | None:
        payment, services = mine.payment, replica.services
        try:
            if mine.how == PAGE:
                return await services.decisions.checks.draft(text, payment, mine.admin, REASON)
        except ProblemError as refusal:
            self.world.note(replica.name, f"refuses {text}: {refusal.detail[:60]}")
            return None
        rate = self.truth.rate(text)
        value = await services.pricer.value_cents(payment, rate)
        if value is None:
            return None
        if int(mine.id[-4:], 16) % 9 == 8:
            self.world.coverage.hit("order_too_small")
            value = max(0, value - 1)
        market = int(self.world.prices.at(int(self.world.unix())) * 10**18) if rate else None
        return OrderDraft(text, mine.admin, REASON, 0 if text.startswith("withdraw") else value, market)

    async def _write(self, replica: "Replica", mine: Form, draft: OrderDraft) -> None:
        await replica.ready.wait()
        world, services, payment = self.world, replica.services, mine.payment
        world.note(replica.name, f"{mine.admin} orders {draft.text} for {payment.customer_id} {payment.sequence}")
        try:
            if mine.how == DIRECT:
                await services.orders.write(mine.id, payment, draft)
                return
            heads = await services.confirmations.heads()
            _, status = await services.uncredited_payments.write_order(
                self._gateway(replica, payment), payment, heads, mine.id, draft
            )
            world.note(replica.name, f"order {mine.id[-4:]}: {status.state} {status.cause} {status.detail[:90]}")
        except ProblemError as refusal:
            world.note(replica.name, f"refuses the order: {refusal.code}")

    @staticmethod
    def _gateway(replica: "Replica", payment: Payment) -> Gateway:
        return next(gateway for gateway in replica.services.gateways if gateway.address == payment.gateway)

    def _reverse(self, slot: int, number: int) -> None:
        written = self.world.oracle.credits
        if not written or not self.world.faulty("credit_reversed"):
            return
        credit = written[number % len(written)]
        again = credit.row.id in self._tried
        self._tried.add(credit.row.id)
        self.world.coverage.hit("reversed_again" if again else "credit_reversed")
        replica = self.world.replica(slot)
        replica.spawn(self._take_back(replica, credit))

    async def _take_back(self, replica: "Replica", credit: "Credit") -> None:
        """Reverse a credit, retrying after a quiet zone or for the second reading."""
        await replica.ready.wait()
        row = credit.row
        entry = Entry(
            id=row.id,
            cents=-row.amount,
            created=row.created,
            currency=row.currency,
            customer=row.customer,
            type=row.type,
            description=row.description or "",
            ending_cents=-row.ending_balance,
            metadata=credit.metadata,
        )
        for _ in range(MAX_REVERSAL_ATTEMPTS):
            try:
                await replica.services.reversals.reverse(entry, ADMINS[0], "a surplus")
            except InQuietZone as error:
                await asyncio.sleep(error.seconds + 5)
            except StripeFailure as error:
                self.world.note(replica.name, f"does not take {row.id[-4:]} back: {error}")
                await asyncio.sleep(600)
            else:
                return

    def finish(self, replica: "Replica") -> None:
        """After all faults ended, resolve truthfully every payment that is still held."""
        for payment in self.world.oracle.uncredited():
            replica.spawn(self._decide(replica, payment))

    async def _decide(self, replica: "Replica", payment: Payment) -> None:
        await replica.ready.wait()
        heads = await replica.services.confirmations.heads()
        gateway = self._gateway(replica, payment)
        status = await replica.services.crediting.get_status(gateway, payment, heads)
        if status.state != "held":
            return
        self.world.note("admins", f"{payment.customer_id} {payment.sequence}: {status.cause} {status.detail}")
        text = self.truth.resolution(payment, status.cause or "")
        self._last += 1
        form, admin = self._last, ADMINS[self._last % 2]
        mine = self._minted(form * 16, admin, payment, DESK, acks=True)
        draft = await self._draft(replica, mine, text)
        if draft is None:
            return
        await self._write(replica, mine, draft)
        orders = self.world.orders
        written = [row for row in orders.rows if row.description and f" {mine.id} " in row.description]
        if written:
            self._confirmed(0, form + 1_000_000, payment, written[-1].id, ADMINS[2])
