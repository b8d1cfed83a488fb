"""What is really so, by which admins choose their words: who was credited, who is deleted, who can be credited."""

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
    """Reads the world as it is, not as a listing tells it."""

    def __init__(self, world: "World") -> None:
        self.world = world

    def usable(self, customer: str) -> bool:
        """Whether a customer can be credited now."""
        found = self.world.account.by_id.get(customer)
        if found is None or found.deleted or found.test_clock:
            return False
        return found.currency in (None, "usd") and found.contact.metadata.get("gateway_payments") != "off"

    def places(self, payment: Payment) -> list[str]:
        """Every customer that may carry a payment's credit."""
        return list(dict.fromkeys([payment.customer_id or "", *self.world.orders.named(payment.identity)]))

    def acknowledgments(self, payment: Payment, *more: str) -> list[str]:
        """What can truthfully be said of the customers that were not credited."""
        oracle, account = self.world.oracle, self.world.account
        places = dict.fromkeys([*self.places(payment), *more])
        free = [place for place in places if not oracle.carried(payment, place)]
        return [f"{'gone' if account.by_id[place].deleted else 'unproven'}:{place}" for place in free]

    def false_words(self, payment: Payment, text: str) -> bool:
        """Whether a text acknowledges what is not so now."""
        for part in text.split(";"):
            name, _, customer = part.partition(":")
            if name in ("gone", "unproven") and self.world.oracle.carried(payment, customer):
                return True
            if name == "gone" and not self.world.account.by_id[customer].deleted:
                return True
        return False

    def words(self, payment: Payment, what: str, target: str, *, acknowledge: bool) -> str:
        """An order's text: `what` is a verb, with a rate behind `@` for a plain payment. Empty: nothing to say."""
        verb, _, price = what.partition("@")
        if verb == "redirect":
            if target == payment.customer_id:
                target = PEOPLE[(PEOPLE.index(target) + 1) % len(PEOPLE)]
            verb = f"redirect:{target}"
        if price and not payment.quoted and not verb.startswith("withdraw"):
            verb += f":{self.world.prices.at(payment.time) * RATES[price]}"
        named = [target] if verb.startswith("redirect") else []
        told = self.acknowledgments(payment, *named) if acknowledge else []
        return ";".join(filter(None, [verb if verb != "acknowledge" else "", *told]))

    def rate(self, text: str) -> int | None:
        """The rate in a text, in 10^-18 dollars."""
        return parse_rate(ordered_rate(text)) if ordered_rate(text) else None

    def resolution(self, payment: Payment, cause: str) -> str:
        """The order that ends a wait, truthfully: to the payment's own customer where that can be."""
        own = payment.customer_id or ""
        verb = "release" if self.usable(own) and cause != "customer_deleted" else f"redirect:{LAST}"
        if not payment.quoted and self.world.price_gap(payment.time):
            verb += f":{self.world.prices.at(payment.time)}"
        told = self.acknowledgments(payment)
        if cause != "ledger_unproven":
            told = [one for one in told if one.startswith("gone")]
        return ";".join([verb, *told])
