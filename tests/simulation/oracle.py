"""The oracle: checks every row and cursor as Stripe writes it, against the actual chain."""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from chain.payment import Payment
from chain.signatures import keccak_of_text
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.ledger import BLOCK_LEAD_SECONDS
from stateless_billing.sandbox.records import Transaction
from tests.simulation.chain import START
from tests.simulation.order_oracle import ordered_rate
from tests.simulation.plan import SERVICE

if TYPE_CHECKING:
    from tests.simulation.world import World

DAY = 24 * 3600


def _is_described(row: Transaction) -> bool:
    """Whether an entry still has a credit's description."""
    return (row.description or "").startswith("LITKEY payment 0x")


@dataclass
class Credit:
    """A credit of the service, as it was written."""

    row: Transaction
    metadata: dict[str, str]
    late: bool

    @property
    def identity(self) -> str:
        """The payment identity in its metadata."""
        return self.metadata["payment"]

    def is_for(self, payment: Payment) -> bool:
        """Whether it credits this payment, under its identity or a former one from before a reorg.

        The identity counts on every customer. A credit older than any check of the payment belongs to another payment
        that a reorg dropped.
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
    """The violations so far; `findings` describes them."""

    world: "World"
    credits: list[Credit] = field(default_factory=list)
    twice: int = 0
    never: int = 0
    wrongs: int = 0
    holes: int = 0
    orphans: int = 0
    findings: list[str] = field(default_factory=list)

    def wrong(self, text: str) -> None:
        """Report a violation that is neither a double nor a missing credit."""
        self.wrongs += 1
        self._report(f"wrong: {text}")

    def second(self, text: str) -> None:
        """Report an entry that was written twice."""
        self.twice += 1
        self._report(f"twice: {text}")

    def missing(self, text: str) -> None:
        """Report something that was started and never finished."""
        self.never += 1
        self._report(f"never: {text}")

    def _report(self, text: str) -> None:
        self.findings.append(text)
        self.world.note("oracle", text.upper())

    def written(self, row: Transaction, *, late: bool) -> None:
        """Check a new credit of the service."""
        credit = Credit(row, dict(row.metadata), late)
        world = self.world
        ever = world.chain.ever.get(credit.identity.lower(), [])
        if not ever:
            self.wrong(f"credit of {-row.amount} cents for {credit.identity}, which never existed")
        else:
            self._facts(credit, ever)
        for payment in ever[-1:]:
            others = [other for other in self.credits if other.is_for(payment)]
            if others:
                self._double_credit(credit, [*others, credit], payment)
        self.credits.append(credit)

    def _double_credit(self, credit: Credit, all_credits: list[Credit], payment: Payment) -> None:
        holes = self.world.mischief.holes
        key = f"payment:{payment.chain_id}:{payment.gateway}:{payment.customer_id}:{payment.sequence}"
        if key in holes and any(other.late for other in all_credits):
            self.holes += 1
            return
        customers = ", ".join(other.row.customer for other in all_credits)
        self.second(f"{len(all_credits)} credits for {credit.identity[-70:]} on {customers}")

    def _facts(self, credit: Credit, ever: list[Payment]) -> None:
        """Check customer and cents, and for plain payments the price and finality."""
        world, row = self.world, credit.row
        now = world.seconds()
        versions = [version for version in ever if str(version.sequence) == credit.metadata["sequence"]]
        if not versions:
            self.wrong(f"credit for {credit.identity} says that it is number {credit.metadata['sequence']}")
            return
        payment = versions[-1]
        self.world.orders.credited(credit, payment)
        if payment.quoted:
            if -row.amount != payment.cents:
                self.wrong(f"{-row.amount} cents credited where {payment.cents} were promised")
        elif not any(
            version in world.chain.now.payments and version.block <= world.chain.finalized(now) for version in versions
        ):
            self.wrong(f"plain payment {credit.identity} credited before it was final")
        elif -row.amount != self._plain_cents(payment, credit.metadata):
            self.wrong(f"{-row.amount} cents credited for a plain payment at rate {credit.metadata['rate']}")
        if "order" not in credit.metadata and self.over_limit(payment, strictly=True):
            self.wrong(f"payment {credit.identity} credited above the limit")

    def _plain_cents(self, payment: Payment, metadata: dict[str, str]) -> int:
        """Compute the cents by the row's rate, which must be a price of the feed around the block; -1 if it is not."""
        whole, _, rest = metadata["rate"].partition(".")
        rate = int(whole + rest.ljust(18, "0"))
        if metadata["rate_source"] == "order":
            text = self.world.orders.texts[metadata["order"]]["order"]
            fits = Decimal(ordered_rate(text) or 0) == Decimal(metadata["rate"])
            return payment.amount * rate * 100 // 10**36 if fits else -1
        prices = self.world.prices
        nearby = [prices.at(payment.time + hours * 3600) for hours in (-2, -1, 0, 1, 2)]
        if not min(nearby) * 10**18 <= rate <= max(nearby) * 10**18:
            return -1
        return payment.amount * rate * 100 // 10**36

    def over_limit(self, payment: Payment, *, strictly: bool) -> bool:
        """Whether a payment exceeds its customer's daily limit. Plain payments are approximated, or 0 if `strictly`."""
        limit = self.world.settings[0].max_payment_cents
        before = [
            other
            for other in self.world.chain.now.payments
            if other.customer_id == payment.customer_id
            and payment.time - DAY < other.time
            and (other.block, other.log_index) <= (payment.block, payment.log_index)
        ]
        if strictly and payment not in before:
            return False
        plain = 0 if strictly else sum(other.amount for other in before if not other.quoted) * 7 // 10 // 10**18
        return sum(other.cents for other in before) + plain > limit

    def credited(self, payment: Payment) -> bool:
        """Whether a payment has its credit or is worth less than a cent."""
        if not payment.quoted and payment.amount * 6 < 10**19:
            return True
        return any(credit.is_for(payment) for credit in self.credits)

    def carried(self, payment: Payment, customer: str) -> bool:
        """Whether a customer ever carried a payment's credit, reversed or not."""
        return any(credit.row.customer == customer and credit.is_for(payment) for credit in self.credits)

    def credit_of(self, reversal: Transaction) -> Credit | None:
        """The credit that a reversal refers to; None if it reverses something else."""
        return next((credit for credit in self.credits if credit.row.id == reversal.metadata["reverses"]), None)

    def moved(self, customer: str, name: str, value: str) -> None:
        """Check a cursor: everything before it must be final and credited."""
        match = re.fullmatch(r"(\d+):0x[0-9a-f]{64}", value)
        chain, short = self.world.chain, name.split(":")[2]
        if not match:
            self.wrong(f"cursor {value} of {customer} is malformed")
            return
        final = chain.finalized(self.world.seconds())
        mine = [
            payment
            for payment in chain.now.payments
            if payment.customer_id == customer and payment.gateway[2:10] == short and payment.sequence < int(match[1])
        ]
        if len(mine) < int(match[1]):
            self.wrong(f"cursor {value[:6]} of {customer} passes payments that do not exist")
        for payment in mine:
            if payment.block > final:
                self.wrong(f"cursor {value[:6]} of {customer} passes a payment that is not final")
            elif not self.credited(payment):
                self.wrong(f"cursor {value[:6]} of {customer} passes an uncredited payment")

    def recorded(self, metadata: dict[str, str]) -> None:
        """Check the sweep's record: everything before `swept` must be final, and credited or open."""
        chain = self.world.chain
        final = chain.finalized(self.world.seconds())
        for name, value in metadata.items():
            if not name.startswith("swept:"):
                continue
            short = name.split(":")[2]
            mine = [payment for payment in chain.now.payments if payment.gateway[2:10] == short]
            for index, payment in enumerate(mine[: int(value)]):
                is_open = self._is_open(metadata, f"open:{name.removeprefix('swept:')}:", index, payment)
                if payment.block > final:
                    self.wrong(f"swept={value} passes a payment that is not final")
                elif not is_open and not self.credited(payment):
                    self.wrong(f"swept={value} passes an uncredited payment at {index} that is not open")

    @staticmethod
    def _is_open(metadata: dict[str, str], prefix: str, index: int, payment: Payment) -> bool:
        """Whether the record leaves this payment open, by its index or with its customer's."""
        if f"{prefix}{index}" in metadata:
            return True
        key = prefix + keccak_of_text(payment.customer_id or "").hex()[:8]
        customer_id, _, rest = metadata.get(key, "").partition(":")
        return customer_id == payment.customer_id and payment.sequence >= int(rest.partition(":")[0])

    def uncredited(self) -> list[Payment]:
        """Final payments of the canonical chain without a credit or an excuse."""
        final = self.world.chain.finalized(self.world.seconds())
        return [
            payment
            for payment in self.world.chain.now.payments
            if payment.block <= final and not self.credited(payment) and not self._excused(payment)
        ]

    def _excused(self, payment: Payment) -> bool:
        """Whether a cause that neither the service nor admins can resolve holds this payment."""
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
            and row.created >= payment.time - (LISTING_LEAD_SECONDS if _is_described(row) else BLOCK_LEAD_SECONDS)
            and (-row.amount == payment.cents or not payment.quoted)
            and not (row.description or "").startswith("Top-up via pi_")
            for row in customer.rows
        )

    def left_open(self) -> None:
        """Report payments that the final sweeps left uncredited."""
        for payment in self.uncredited():
            at = payment.time - START
            self.missing(f"payment {payment.sequence} of {payment.customer_id} at {at} s is not credited")

    def finished(self) -> None:
        """Run the final checks."""
        chain = self.world.chain
        for credit in self.credits:
            if not any(credit.is_for(payment) for payment in chain.now.payments):
                self.orphans += 1
                if credit.metadata["rate_source"] != "quote":
                    self.wrong(f"plain payment {credit.identity} is credited and not on the chain")
