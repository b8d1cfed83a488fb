"""Checks an admin's order against the payment, the customers it names and the market, before it is written."""

from chain.payment import Payment
from stateless_billing.bookkeeping.orders import OrderDraft, PaymentOrders
from stateless_billing.bookkeeping.records import RECORD_MARKER
from stateless_billing.crediting.credit_terms import CreditPricer
from stateless_billing.domain import order_rules
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.order_rules import REDIRECT, RELEASE, WITHDRAW, Order, OrderText
from stateless_billing.operators.roster import Roster
from stateless_billing.pricing.market_rates import MarketRates
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.eligibility import find_obstacle
from stateless_billing.stripe.errors import RequestRejected
from stateless_billing.stripe.objects import Customer
from stateless_billing.support.decisions.rate_bounds import JudgedRate, judge_rate

_NOTHING = "Nothing was ordered."


class OrderChecks:
    """Checks orders and computes the limits written into them.

    All methods raise: ProblemError, StripeFailure, ChainError.
    """

    def __init__(self, stripe: StripeApi, pricer: CreditPricer, rates: MarketRates, roster: Roster) -> None:
        self._stripe = stripe
        self._pricer = pricer
        self._rates = rates
        self._roster = roster

    async def draft(
        self, text: str, payment: Payment, operator: str, reason: str, effective: Order | None = None
    ) -> OrderDraft:
        """Draft an order, with the most cents it may credit and the current market rate.

        Acknowledgements without a verb take their value from the order in effect.
        """
        return (await self.draft_and_judge(text, payment, operator, reason, effective))[0]

    async def draft_and_judge(
        self, text: str, payment: Payment, operator: str, reason: str, effective: Order | None = None
    ) -> tuple[OrderDraft, JudgedRate | None]:
        """Draft an order as `draft` does, and hold its rate, if it has one, against the market's."""
        parsed = order_rules.parse_order_text(text)
        if parsed is None or parsed.verb not in ("", RELEASE, REDIRECT, WITHDRAW):
            raise ProblemError(
                "invalid_input",
                "An order is `release`, `release:<dollars per token>`, `redirect:<cus_…>`,"
                " `redirect:<cus_…>:<dollars per token>` or `withdraw`, and may add `;gone:<cus_…>` or"
                f" `;unproven:<cus_…>`. {_NOTHING}",
            )
        await self._check_customers(parsed, payment)
        judged = await self._judge(parsed, payment)
        rate = parsed.rate if parsed.verb or effective is None else effective.rate
        value = 0 if parsed.verb == WITHDRAW else await self._pricer.value_cents(payment, rate)
        if value is None:
            raise ProblemError(
                "rate_unavailable", f"There is no price for the time of its block. {_NOTHING} Give a rate."
            )
        return OrderDraft(text.strip(), operator, reason, value, judged.market.rate if judged else None), judged

    async def _judge(self, parsed: OrderText, payment: Payment) -> JudgedRate | None:
        if parsed.rate is None:
            return None
        if payment.quoted:
            raise ProblemError(
                "invalid_input", f"This payment was quoted, so no rate applies to it. {_NOTHING} Order without a rate."
            )
        return await judge_rate(self._rates, parsed.rate, _NOTHING, payment)

    async def confirm(
        self, row: str, payment: Payment, operator: str, reason: str, orders: PaymentOrders
    ) -> OrderDraft:
        """Draft the confirmation of another admin's order, after the same checks. It makes the order effective."""
        return (await self.confirm_and_judge(row, payment, operator, reason, orders))[0]

    async def confirm_and_judge(
        self, row: str, payment: Payment, operator: str, reason: str, orders: PaymentOrders
    ) -> tuple[OrderDraft, JudgedRate | None]:
        """Draft a confirmation as `confirm` does, and hold the order's rate against the market's again."""
        candidates = [order for order in orders.orders if order.id == row and order.payment == payment.identity]
        order = candidates[0] if candidates else None
        if order is None or order.confirms or order.value is None:
            raise ProblemError("not_found", f"This payment has no such order. {_NOTHING} Load the page again.")
        if order_rules.is_effective(order, orders.orders) and not orders.limits_flaw:
            raise ProblemError("already_done", f"This order needs no confirmation. {_NOTHING}")
        if self._roster.identity_of(order.operator) == self._roster.identity_of(operator):
            raise ProblemError("not_allowed", f"This is your own order. {_NOTHING} Another admin must confirm it.")
        newest = order_rules.newest_order(payment.identity, orders.orders)
        if order.instruction.verb and newest and newest.position > order.position:
            raise ProblemError("too_late", f"A newer order is in effect: “{newest.text}”. {_NOTHING}")
        await self._check_customers(order.instruction, payment)
        judged = await self._judge(order.instruction, payment)
        return OrderDraft(order.text, operator, reason, order.value, order.market, confirms=order.id), judged

    async def get_customer(self, customer_id: str) -> Customer | None:
        """Get a customer, including a deleted one; None if it does not exist."""
        async with self._stripe.session() as session:
            try:
                return await session.get_customer(customer_id)
            except RequestRejected as error:
                if error.code != "resource_missing":
                    raise
                return None

    async def _check_customers(self, parsed: OrderText, payment: Payment) -> None:
        await self._check_target(parsed.target, payment)
        for customer_id in sorted(parsed.gone):
            await self._check_gone(customer_id)

    async def _check_target(self, target_id: str | None, payment: Payment) -> None:
        """Require that the target can be credited and the payment's own customer cannot."""
        if target_id is None:
            return
        if target_id == payment.customer_id:
            raise ProblemError("invalid_input", f"The payment already goes to this customer. {_NOTHING}")
        target = await self.get_customer(target_id)
        if target is None or target.value(RECORD_MARKER) or find_obstacle(target):
            raise ProblemError("unusable_customer", f"This customer is not in Stripe or cannot be credited. {_NOTHING}")
        own = await self.get_customer(payment.customer_id) if payment.customer_id else None
        if own is not None and find_obstacle(own) is None:
            raise ProblemError(
                "invalid_input", f"The payment's own customer can be credited. {_NOTHING} Release the payment instead."
            )

    async def _check_gone(self, customer_id: str) -> None:
        customer = await self.get_customer(customer_id)
        if customer is not None and not customer.deleted:
            raise ProblemError("invalid_input", f"{customer_id} is not deleted, and its ledger can be read. {_NOTHING}")
