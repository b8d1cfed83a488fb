"""Puts an order about a payment or a wallet into words, before it is written."""

from dataclasses import dataclass, replace

from chain.payment import Payment
from stateless_billing.bookkeeping.orders import OrderDraft, Orders, PaymentOrders
from stateless_billing.crediting.credit_terms import CreditPricer
from stateless_billing.domain import money, order_rules
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.money import format_dollars, format_rate, format_tokens
from stateless_billing.domain.order_rules import WITHDRAW, Order, OrderText
from stateless_billing.pricing.market_rates import MarketRates
from stateless_billing.runtime.clock import Clock
from stateless_billing.support.decisions.order_checks import OrderChecks
from stateless_billing.support.decisions.order_rows import cents_used_alone, needs_second_admin
from stateless_billing.support.decisions.rate_bounds import JudgedRate
from stateless_billing.support.decisions.shown import Account, Shown, describe_account, describe_distance

_NOTHING = "Nothing was ordered."


@dataclass(frozen=True, slots=True)
class OrderDecision:
    """An order that may be written, and what is shown of it."""

    draft: OrderDraft
    shown: Shown


class OrderDecisions:
    """Prepares orders. All methods raise: ProblemError, StripeFailure, ChainError."""

    def __init__(
        self,
        *,
        checks: OrderChecks,
        orders: Orders,
        pricer: CreditPricer,
        rates: MarketRates,
        clock: Clock,
        discount_bps: int,
    ) -> None:
        self._checks = checks
        self._orders = orders
        self._pricer = pricer
        self._rates = rates
        self._clock = clock
        self._discount_bps = discount_bps

    async def prepare(self, text: str, payment: Payment, operator: str, reason: str) -> OrderDecision:
        """Check an admin's own order and put it into words."""
        self._orders.invalidate()
        orders = await self._orders.find(payment)
        draft, judged = await self._checks.draft_and_judge(text, payment, operator, reason, orders.effective)
        parsed = _parse(draft.text)
        if parsed.verb == WITHDRAW:
            return OrderDecision(draft, await self._show_withdrawal(draft, payment, orders))
        used = cents_used_alone(operator, int(self._clock.wall()), orders.orders)
        second = needs_second_admin(draft.value, used, self._orders.caps)
        second = second or (judged is not None and judged.needs_second_admin)
        shown = await self._show(draft, payment, orders, judged)
        notes = shown.notes
        button = f"Order: credit {format_dollars(draft.value)}"
        if second:
            notes += (self._second_note(draft.value, used, judged),)
            button = f"Propose: credit {format_dollars(draft.value)}"
        notes += (f"Why: {reason}",)
        return OrderDecision(draft, replace(shown, notes=notes, button=button, second=second))

    async def prepare_confirmation(self, row: str, payment: Payment, operator: str, reason: str) -> OrderDecision:
        """Check the confirmation of another admin's order and put it into words."""
        self._orders.invalidate()
        orders = await self._orders.find(payment)
        draft, judged = await self._checks.confirm_and_judge(row, payment, operator, reason, orders)
        order = next(order for order in orders.orders if order.id == row)
        shown = await self._show(draft, payment, orders, judged)
        notes = (f"{order.operator} ordered it: {order.reason}", *shown.notes, f"Why you confirm it: {reason}")
        button = f"Confirm: credit {format_dollars(draft.value)}"
        return OrderDecision(draft, replace(shown, notes=notes, button=button))

    async def _show(
        self, draft: OrderDraft, payment: Payment, orders: PaymentOrders, judged: JudgedRate | None
    ) -> Shown:
        parsed = _parse(draft.text)
        target = _target(parsed, orders.effective) or payment.customer_id
        account = await self._describe(target, payment)
        instead = f" instead of {payment.customer_id or 'no customer'}" if target != payment.customer_id else ""
        amount = format_dollars(draft.value)
        sentence = f"Credit {amount} to {account}{instead}."
        notes = [await self._price_note(payment, parsed, orders.effective, judged)]
        notes += [
            f"You state that this payment was not credited to {customer} before that customer was deleted. If that is"
            " wrong, it is credited twice."
            for customer in sorted(parsed.gone)
        ]
        notes += [
            f"You state that the ledger of {customer} holds no credit of this payment. If that is wrong, it is"
            " credited twice."
            for customer in sorted(parsed.unproven)
        ]
        if parsed.verb and orders.effective:
            notes.append(f"It replaces the order “{orders.effective.text}” of {orders.effective.operator}.")
        return Shown(sentence, tuple(notes), "", balance=account.change(draft.value))

    async def _show_withdrawal(self, draft: OrderDraft, payment: Payment, orders: PaymentOrders) -> Shown:
        order = _standing_or_waiting(payment, orders)
        if order is None:
            raise ProblemError("too_late", f"This payment has no order that could be withdrawn. {_NOTHING}")
        account = await self._describe(order.target or payment.customer_id, payment)
        amount = format_dollars(order.value) if order.value else "its amount"
        sentence = f"Withdraw the order “{order.text}” of {order.operator}: {amount} is not credited to {account}."
        notes = ("The payment waits again, as before the order.", f"Why: {draft.reason}")
        return Shown(sentence, notes, "Withdraw the order", balance=account.change(0))

    async def _describe(self, customer_id: str | None, payment: Payment) -> Account:
        if customer_id is None:
            return Account("no customer", wallet=payment.wallet)
        wallet = payment.wallet if customer_id == payment.customer_id else None
        return describe_account(customer_id, await self._checks.get_customer(customer_id), wallet)

    async def _price_note(
        self, payment: Payment, parsed: OrderText, effective: Order | None, judged: JudgedRate | None
    ) -> str:
        tokens = f"{format_tokens(payment.amount)} tokens"
        rate = judged.rate if judged else None
        if rate is not None and judged is not None:
            return f"{tokens} at {format_rate(rate)} a token, {judged.describe()}."
        market = await self._rates.at(payment.time)
        beside = (
            f"the market's at its block: {format_rate(market.rate)}" if market else "no rate of the market is known"
        )
        if market and not market.is_known:
            beside = f"the market's last known rate: {format_rate(market.rate)}"
        if payment.quoted:
            quoted = money.market_rate_down(payment.cents, payment.amount, self._discount_bps)
            return f"{tokens}, quoted at {format_rate(quoted)} a token; {beside}."
        if parsed.verb == "" and effective and effective.rate is not None:
            return f"{tokens} at {format_rate(effective.rate)} a token, as ordered; {beside}."
        own = await self._pricer.market_rate(payment)
        if own is None:
            return f"{tokens}; {beside}."
        distance = f" ({describe_distance(own, market.rate)})" if market and own != market.rate else ""
        return f"{tokens} at {format_rate(own)} a token{distance}; {beside}."

    def _second_note(self, value: int, used: int, judged: JudgedRate | None) -> str:
        waits = "The order waits until another admin confirms it."
        if judged is not None and judged.needs_second_admin:
            return f"The rate is more than 20 % above the market's. {waits}"
        alone = format_dollars(self._orders.caps.per_order)
        return (
            f"This is above what you may decide alone: {alone} per order and per 24 hours, of which you have used"
            f" {format_dollars(used)}. {waits}"
        )


def _parse(text: str) -> OrderText:
    parsed = order_rules.parse_order_text(text)
    assert parsed is not None, "the text was checked"
    return parsed


def _target(parsed: OrderText, effective: Order | None) -> str | None:
    if parsed.verb:
        return parsed.target
    return effective.target if effective else None


def _standing_or_waiting(payment: Payment, orders: PaymentOrders) -> Order | None:
    """Return the newest order that stands or waits for another admin; None if the newest one withdraws."""
    for order in reversed(orders.orders):
        if order.payment == payment.identity and order.instruction.verb and not order.confirms:
            return None if order.instruction.verb == WITHDRAW else order
    return None
