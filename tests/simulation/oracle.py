"""The judge: sees every row and every cursor the moment Stripe writes it, and knows the chain as it really is."""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from chain.payment import Payment
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.ledger import BLOCK_AHEAD
from stateless_billing.sandbox.records import Transaction
from tests.simulation.chain import START
from tests.simulation.order_oracle import ordered_rate
from tests.simulation.plan import SERVICE

if TYPE_CHECKING:
    from tests.simulation.world import World

DAY = 24 * 3600


@dataclass
class Credit:
    """A row that the service wrote, as it was when it was written."""

    row: Transaction
    metadata: dict[str, str]
    late: bool

    @property
    def identity(self) -> str:
        """What the row says it was written for."""
        return self.metadata["payment"]

    def is_for(self, payment: Payment) -> bool:
        """Whether it is this payment's, under its own name or under one that a reorganisation took from it.

        Whoever was credited: the identity counts on every customer. A credit older than any look at the payment was
        another's: that one is gone, and this one was paid later.
        """
        if self.identity.lower() == payment.identity:
            return True
        if self.row.customer != payment.customer_id or "order" in self.metadata:
            return False
        if self.row.created < payment.time - LISTING_LEAD_SECONDS:
            return False
        gateway = self.identity.lower().split(":")[1]
        same = (gateway, self.metadata["sequence"], self.metadata["wallet"], self.metadata["amount"])
        quoted = self.metadata["rate_source"] == "quote"
        return (
            same == (payment.gateway, str(payment.sequence), payment.wallet, str(payment.amount))
            and quoted == payment.quoted
            and (not quoted or -self.row.amount == payment.cents)
        )


@dataclass
class Oracle:
    """What was found so far; `findings` say it in words."""

    world: "World"
    credits: list[Credit] = field(default_factory=list)
    twice: int = 0
    never: int = 0
    wrongs: int = 0
    holes: int = 0
    orphans: int = 0
    findings: list[str] = field(default_factory=list)

    def wrong(self, text: str) -> None:
        """A finding that is neither a second credit nor a missing one."""
        self.wrongs += 1
        self._say(f"wrong: {text}")

    def second(self, text: str) -> None:
        """Something of the moderators' that happened a second time."""
        self.twice += 1
        self._say(f"twice: {text}")

    def missing(self, text: str) -> None:
        """Something that was begun and never ended."""
        self.never += 1
        self._say(f"never: {text}")

    def _say(self, text: str) -> None:
        self.findings.append(text)
        self.world.note("oracle", text.upper())

    def written(self, row: Transaction, *, late: bool) -> None:
        """Judge a new row of the service's."""
        credit = Credit(row, dict(row.metadata), late)
        world = self.world
        ever = world.chain.ever.get(credit.identity.lower(), [])
        if not ever:
            self.wrong(f"credit of {-row.amount} cents for {credit.identity}, which never was")
        else:
            self._facts(credit, ever)
        for payment in ever[-1:]:
            others = [one for one in self.credits if one.is_for(payment)]
            if others:
                self._second(credit, [*others, credit], payment)
        self.credits.append(credit)

    def _second(self, credit: Credit, all_of_it: list[Credit], payment: Payment) -> None:
        holes = self.world.mischief.holes
        key = f"payment:{payment.chain_id}:{payment.gateway}:{payment.customer_id}:{payment.sequence}"
        if key in holes and any(one.late for one in all_of_it):
            self.holes += 1
            return
        customers = ", ".join(one.row.customer for one in all_of_it)
        self.second(f"{len(all_of_it)} credits for {credit.identity[-70:]} on {customers}")

    def _facts(self, credit: Credit, ever: list[Payment]) -> None:
        """Customer, cents, and for plain ones the price and finality."""
        world, row = self.world, credit.row
        now = world.seconds()
        alike = [one for one in ever if str(one.sequence) == credit.metadata["sequence"]]
        if not alike:
            self.wrong(f"credit for {credit.identity} says that it is number {credit.metadata['sequence']}")
            return
        payment = alike[-1]
        self.world.orders.credited(credit, payment)
        if payment.quoted:
            if -row.amount != payment.cents:
                self.wrong(f"{-row.amount} cents credited where {payment.cents} were promised")
        elif not any(one in world.chain.now.payments and one.block <= world.chain.finalized(now) for one in alike):
            self.wrong(f"plain payment {credit.identity} credited before it was final")
        elif -row.amount != self._plain_cents(payment, credit.metadata):
            self.wrong(f"{-row.amount} cents credited for a plain payment at rate {credit.metadata['rate']}")
        if "order" not in credit.metadata and self.over_limit(payment, strictly=True):
            self.wrong(f"payment {credit.identity} credited above the limit")

    def _plain_cents(self, payment: Payment, metadata: dict[str, str]) -> int:
        """Whole cents by the rate that the row carries, which must be a price the feed ever told around the block."""
        whole, _, rest = metadata["rate"].partition(".")
        rate = int(whole + rest.ljust(18, "0"))
        if metadata["rate_source"] == "order":
            said = self.world.orders.texts[metadata["order"]]["order"]
            fits = Decimal(ordered_rate(said) or 0) == Decimal(metadata["rate"])
            return payment.amount * rate * 100 // 10**36 if fits else -1
        prices = self.world.prices
        about = [prices.at(payment.time + hours * 3600) for hours in (-2, -1, 0, 1, 2)]
        if not min(about) * 10**18 <= rate <= max(about) * 10**18:
            return -1
        return payment.amount * rate * 100 // 10**36

    def over_limit(self, payment: Payment, *, strictly: bool) -> bool:
        """Whether a payment takes its customer above the daily limit; plain ones count a bit more or less."""
        limit = self.world.settings[0].max_payment_cents
        before = [
            one
            for one in self.world.chain.now.payments
            if one.customer_id == payment.customer_id
            and payment.time - DAY < one.time
            and (one.block, one.log_index) <= (payment.block, payment.log_index)
        ]
        if strictly and payment not in before:
            return False
        plain = 0 if strictly else sum(one.amount for one in before if not one.quoted) * 7 // 10 // 10**18
        return sum(one.cents for one in before) + plain > limit

    def credited(self, payment: Payment) -> bool:
        """Whether a payment has its credit, or is worth less than a cent."""
        if not payment.quoted and payment.amount * 6 < 10**19:
            return True
        return any(one.is_for(payment) for one in self.credits)

    def carried(self, payment: Payment, customer: str) -> bool:
        """Whether a customer ever carried a payment's credit, reversed or not."""
        return any(one.row.customer == customer and one.is_for(payment) for one in self.credits)

    def credit_of(self, reversal: Transaction) -> Credit | None:
        """The credit that a reversal takes back; None where it takes back something else."""
        return next((one for one in self.credits if one.row.id == reversal.metadata["reverses"]), None)

    def moved(self, customer: str, name: str, value: str) -> None:
        """Judge a cursor the service wrote: everything before it must be final and credited."""
        found = re.fullmatch(r"(\d+):0x[0-9a-f]{64}", value)
        chain, short = self.world.chain, name.split(":")[2]
        if not found:
            self.wrong(f"cursor {value} of {customer} is none")
            return
        final = chain.finalized(self.world.seconds())
        mine = [
            one
            for one in chain.now.payments
            if one.customer_id == customer and one.gateway[2:10] == short and one.sequence < int(found[1])
        ]
        if len(mine) < int(found[1]):
            self.wrong(f"cursor {value[:6]} of {customer} passes payments that do not exist")
        for payment in mine:
            if payment.block > final:
                self.wrong(f"cursor {value[:6]} of {customer} passes a payment that is not final")
            elif not self.credited(payment):
                self.wrong(f"cursor {value[:6]} of {customer} passes an uncredited payment")

    def recorded(self, metadata: dict[str, str]) -> None:
        """Judge the sweep's record: everything before `swept` is final, and credited or open."""
        chain = self.world.chain
        final = chain.finalized(self.world.seconds())
        for name, value in metadata.items():
            if not name.startswith("swept:"):
                continue
            short = name.split(":")[2]
            mine = [one for one in chain.now.payments if one.gateway[2:10] == short]
            for index, payment in enumerate(mine[: int(value)]):
                still = f"open:{name.removeprefix('swept:')}:{index}" in metadata
                if payment.block > final:
                    self.wrong(f"swept={value} passes a payment that is not final")
                elif not still and not self.credited(payment):
                    self.wrong(f"swept={value} passes an uncredited payment at {index} that is not open")

    def uncredited(self) -> list[Payment]:
        """Final payments of the canonical chain that have no credit and no excuse."""
        final = self.world.chain.finalized(self.world.seconds())
        return [
            one
            for one in self.world.chain.now.payments
            if one.block <= final and not self.credited(one) and not self._excused(one)
        ]

    def _excused(self, payment: Payment) -> bool:
        """Whether something outside the service's power keeps this payment `held`, admins' power included."""
        if self.world.plan.admins:
            return payment.time - LISTING_LEAD_SECONDS <= self.world.account.by_id[SERVICE].created
        customer = self.world.account.by_id[payment.customer_id or ""]
        if customer.deleted or customer.currency not in (None, "usd") or self.over_limit(payment, strictly=False):
            return True
        if not payment.quoted and self.world.price_gap(payment.time):
            return True
        return any(
            not row.metadata
            and row.amount < 0
            and row.created >= payment.time - BLOCK_AHEAD
            and (-row.amount == payment.cents or not payment.quoted)
            and not (row.description or "").startswith("Top-up via pi_")
            for row in customer.rows
        )

    def left_open(self) -> None:
        """Judge what the one sweep after all faults left behind."""
        for payment in self.uncredited():
            at = payment.time - START
            self.missing(f"payment {payment.sequence} of {payment.customer_id} at {at} s is not credited")

    def finished(self) -> None:
        """The last judgement."""
        chain = self.world.chain
        for credit in self.credits:
            if not any(credit.is_for(one) for one in chain.now.payments):
                self.orphans += 1
                if credit.metadata["rate_source"] != "quote":
                    self.wrong(f"plain payment {credit.identity} is credited and not on the chain")
