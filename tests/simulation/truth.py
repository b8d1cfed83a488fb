"""The actual state by which admins write truthful orders: who was credited, is deleted, or can be credited."""

from decimal import Decimal
from typing import TYPE_CHECKING

from chain.payment import Payment
from stateless_billing.domain.money import parse_rate
from tests.simulation.order_oracle import ordered_rate
from tests.simulation.plan import CUSTOMERS, LAST, TARGETS

if TYPE_CHECKING:
    from tests.simulation.world import World

PEOPLE = (*CUSTOMERS, *TARGETS)
RATES = {"fair": Decimal(1), "dear": Decimal("1.3")}


class Truth:
    """Reads the world directly instead of through listings."""

    def __init__(self, world: "World") -> None:
        self.world = world

    def usable(self, customer: str) -> bool:
        """Whether a customer can be credited now."""
        target = self.world.account.by_id.get(customer)
        if target is None or target.deleted or target.test_clock:
            return False
        return target.currency in (None, "usd") and target.contact.metadata.get("gateway_payments") != "off"

    def carriers(self, payment: Payment) -> list[str]:
        """All customers that may carry a payment's credit."""
        return list(dict.fromkeys([payment.customer_id or "", *self.world.orders.named(payment.identity)]))

    def acknowledgments(self, payment: Payment, *more: str) -> list[str]:
        """The truthful acknowledgements of customers that were not credited."""
        oracle, account = self.world.oracle, self.world.account
        customers = dict.fromkeys([*self.carriers(payment), *more])
        uncredited = [customer for customer in customers if not oracle.carried(payment, customer)]
        return [f"{'gone' if account.by_id[name].deleted else 'unproven'}:{name}" for name in uncredited]

    def false_words(self, payment: Payment, text: str) -> bool:
        """Whether a text acknowledges something that is not true now."""
        for part in text.split(";"):
            name, _, customer = part.partition(":")
            if name in ("gone", "unproven") and self.world.oracle.carried(payment, customer):
                return True
            if name == "gone" and not self.world.account.by_id[customer].deleted:
                return True
        return False

    def words(self, payment: Payment, what: str, target: str, *, acknowledge: bool) -> str:
        """Build an order's text; `what` is a verb, with a price after `@` for a plain payment. May be empty."""
        verb, _, price = what.partition("@")
        if verb == "redirect":
            if target == payment.customer_id:
                target = PEOPLE[(PEOPLE.index(target) + 1) % len(PEOPLE)]
            verb = f"redirect:{target}"
        if price and not payment.quoted and not verb.startswith("withdraw"):
            verb += f":{self.world.prices.at(payment.time) * RATES[price]}"
        named = [target] if verb.startswith("redirect") else []
        acknowledged = self.acknowledgments(payment, *named) if acknowledge else []
        return ";".join(filter(None, [verb if verb != "acknowledge" else "", *acknowledged]))

    def rate(self, text: str) -> int | None:
        """The rate in an order's text, in 10^-18 dollars."""
        return parse_rate(ordered_rate(text)) if ordered_rate(text) else None

    def resolution(self, payment: Payment, cause: str) -> str:
        """The truthful order that resolves a held payment, to its own customer if possible."""
        own = payment.customer_id or ""
        verb = "release" if self.usable(own) and cause != "customer_deleted" else f"redirect:{LAST}"
        if not payment.quoted and self.world.price_gap(payment.time):
            verb += f":{self.world.prices.at(payment.time)}"
        acknowledged = self.acknowledgments(payment)
        if cause != "ledger_unproven":
            acknowledged = [text for text in acknowledged if text.startswith("gone")]
        return ";".join([verb, *acknowledged])
