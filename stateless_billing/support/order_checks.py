"""Checks an admin's order against the payment, the customers it names and the market, before it is written."""

from chain.payment import Payment
from stateless_billing.bookkeeping.orders import OrderDraft, PaymentOrders
from stateless_billing.bookkeeping.records import RECORD_MARKER
from stateless_billing.crediting.credit_terms import CreditPricer
from stateless_billing.domain import order_rules
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.order_rules import REDIRECT, RELEASE, WITHDRAW, Order, OrderText
from stateless_billing.pricing.rate_overrides import RateSource
from stateless_billing.pricing.rates import NoRate
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.eligibility import find_obstacle
from stateless_billing.stripe.errors import RequestRejected, StripeFailure
from stateless_billing.stripe.objects import Customer

_NOTHING = "Nothing was ordered."


class OrderChecks:
    """Checks orders and fills in their bounds. Every method may raise ProblemError, StripeFailure, ChainError."""

    def __init__(self, stripe: StripeApi, pricer: CreditPricer, rates: RateSource) -> None:
        self._stripe, self._pricer, self._rates = stripe, pricer, rates

    async def draft(
        self, text: str, payment: Payment, operator: str, reason: str, effective: Order | None = None
    ) -> OrderDraft:
        """An order as it is to be written, with the most cents it may credit and the market's rate now.

        Acknowledgements alone are worth what the order is that stands.
        """
        words = order_rules.parse_order_text(text)
        if words is None or words.verb not in ("", RELEASE, REDIRECT, WITHDRAW):
            raise ProblemError(
                "invalid_input",
                "An order is `release`, `release:<dollars per token>`, `redirect:<cus_…>`,"
                " `redirect:<cus_…>:<dollars per token>` or `withdraw`, and may add `;gone:<cus_…>` or"
                f" `;unproven:<cus_…>`. {_NOTHING}",
            )
        await self._check_customers(words, payment)
        rate = words.rate if words.verb or effective is None else effective.rate
        value = 0 if words.verb == WITHDRAW else await self._pricer.value_cents(payment, rate)
        if value is None:
            raise ProblemError(
                "rate_unavailable", f"There is no price for the time of its block. {_NOTHING} Give a rate."
            )
        market = await self._market_rate() if words.rate is not None else None
        return OrderDraft(text.strip(), operator, reason, value, market)

    async def confirm(
        self, row: str, payment: Payment, operator: str, reason: str, orders: PaymentOrders
    ) -> OrderDraft:
        """Another admin's order repeated word for word, after the same checks, so that it stands."""
        order = next((one for one in orders.orders if one.id == row and one.payment == payment.identity), None)
        if order is None or order.confirms or order.value is None:
            raise ProblemError("not_found", f"This payment has no such order. {_NOTHING} Load the page again.")
        if order_rules.is_effective(order, orders.orders):
            raise ProblemError("already_done", f"This order needs no confirmation. {_NOTHING}")
        if order.operator.strip().lower() == operator.strip().lower():
            raise ProblemError("not_allowed", f"This is your own order. {_NOTHING} Another admin must confirm it.")
        decided = order_rules.newest_order(payment.identity, orders.orders)
        if order.instruction.verb and decided and decided.place > order.place:
            raise ProblemError("too_late", f"A newer order is in effect: “{decided.text}”. {_NOTHING}")
        await self._check_customers(order.instruction, payment)
        return OrderDraft(order.text, operator, reason, order.value, order.market, confirms=order.id)

    async def get_customer(self, customer_id: str) -> Customer | None:
        """A customer, deleted ones too; None where Stripe knows none."""
        async with self._stripe.session() as session:
            try:
                return await session.get_customer(customer_id)
            except RequestRejected:
                return None

    async def _check_customers(self, words: OrderText, payment: Payment) -> None:
        await self._check_target(words, payment)
        for customer_id in sorted(words.gone):
            await self._check_gone(customer_id)

    async def _check_target(self, words: OrderText, payment: Payment) -> None:
        """A redirected payment goes to one that can be credited, from one that cannot."""
        if words.target is None:
            return
        if words.target == payment.customer_id:
            raise ProblemError("invalid_input", f"The payment already goes to this customer. {_NOTHING}")
        target = await self.get_customer(words.target)
        if target is None or target.value(RECORD_MARKER) or find_obstacle(target):
            raise ProblemError("unusable_customer", f"This customer is not in Stripe or cannot be credited. {_NOTHING}")
        own = await self.get_customer(payment.customer_id) if payment.customer_id else None
        if own is not None and find_obstacle(own) is None:
            raise ProblemError(
                "invalid_input", f"The payment's own customer can be credited. {_NOTHING} Release the payment instead."
            )

    async def _check_gone(self, customer_id: str) -> None:
        found = await self.get_customer(customer_id)
        if found is not None and not found.deleted:
            raise ProblemError("invalid_input", f"{customer_id} is not deleted, and its ledger can be read. {_NOTHING}")

    async def _market_rate(self) -> int | None:
        try:
            return (await self._rates.current_rate()).market
        except (NoRate, StripeFailure):
            return None
