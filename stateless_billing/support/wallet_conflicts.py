"""Wallets that get no quotes (`wallet_conflict`): why, the one next action, and the order that resolves a duplicate."""

from collections.abc import Sequence
from dataclasses import dataclass

from chain.gateway import Gateway
from stateless_billing.bookkeeping.order_subjects import WalletSubject
from stateless_billing.bookkeeping.orders import OrderDraft, Orders
from stateless_billing.bookkeeping.records import find_wallet_holders, get_paying_customer
from stateless_billing.domain import order_rules
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.order_rules import CUSTOMER, WITHDRAW, Order
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.objects import Customer
from stateless_billing.support.decisions.shown import Shown, describe_account

_NOTHING = "Nothing was ordered."
_SHARED = (
    "This wallet gets no quotes: several customers have it. Next: an admin chooses below for which of them it is"
    " registered."
)
_RESOLVED = "Several customers have this wallet. By an admin's order it is registered for {customer} when it pays."
_MOVED = (
    "This wallet gets no quotes: the newest gateway has it registered for {registered}, which is deleted or does not"
    " have it any more. Next: the gateway's owner runs `tools/owner correctCustomer {gateway} {wallet} {owner}`."
)


@dataclass(frozen=True, slots=True)
class WalletConflict:
    """A wallet whose customer is not clear.

    `choices` are the customers that an order may name, none where only the gateway's owner can help. `chosen` is the
    one that the effective order names.
    """

    wallet: str
    advice: str
    choices: Sequence[str] = ()
    chosen: str | None = None


class WalletConflicts:
    """Finds and resolves conflicts about wallets at the newest gateway.

    All methods raise: ChainError, StripeFailure.
    """

    def __init__(self, *, stripe: StripeApi, gateway: Gateway, orders: Orders) -> None:
        self._stripe = stripe
        self._gateway = gateway
        self._orders = orders

    async def find(self, wallet: str) -> WalletConflict | None:
        """Find the conflict about a lower-case wallet; None if its customer is clear."""
        registered = await self._gateway.customer_of(wallet)
        holders = await self._find_holders(wallet)
        if registered is None:
            return await self._describe_shared(wallet, holders) if len(holders) > 1 else None
        customer = await get_paying_customer(self._stripe, registered)
        if customer is not None and customer.has_wallet(wallet):
            return None
        owner = holders[0] if len(holders) == 1 else "cus_…"
        gateway = self._gateway.address
        return WalletConflict(wallet, _MOVED.format(registered=registered, gateway=gateway, wallet=wallet, owner=owner))

    async def order(self, form_id: str, wallet: str, text: str, operator: str, reason: str) -> Order:
        """Write an admin's order `customer:<cus_…>` or `withdraw` about a wallet. Idempotent per `form_id`.

        Raises: ProblemError, ChainError, StripeFailure.
        """
        await self._check(wallet, text)
        draft = OrderDraft(text=text.strip(), operator=operator, reason=reason, value=0)
        return await self._orders.write(form_id, WalletSubject(wallet), draft)

    async def find_written(self, form_id: str, wallet: str, text: str) -> Order | None:
        """Find the order that a form wrote with the same words."""
        written = await self._orders.find_by_form(form_id, WalletSubject(wallet))
        return written if written and written.text == text.strip() else None

    async def show(self, wallet: str, text: str, reason: str) -> Shown:
        """Check an order about a wallet and put it into words.

        Raises: ProblemError, ChainError, StripeFailure.
        """
        customer = await self._check(wallet, text)
        self._orders.invalidate()
        chosen = (await self._orders.find(WalletSubject(wallet))).resolved_customer
        before = f"It was {chosen} by an earlier order." if chosen else "No order named one before."
        notes = (before, "No money moves: what the wallet pays from then on is credited there.", f"Why: {reason}")
        if customer is None:
            sentence = f"Withdraw the order about the wallet {wallet}: until another one it gets no quotes."
            return Shown(sentence, notes[:1] + notes[2:], "Withdraw the order")
        account = describe_account(customer.id, customer)
        sentence = f"Register the wallet {wallet} for {account} when it pays next. {account.change(0)}"
        return Shown(sentence, notes, f"Register it for {customer.id}")

    async def _check(self, wallet: str, text: str) -> Customer | None:
        """Return the live customer that an order names, which carries the wallet; None if it withdraws."""
        parsed = order_rules.parse_order_text(text)
        if parsed is None or parsed.verb not in (CUSTOMER, WITHDRAW) or parsed.unproven or parsed.gone:
            raise ProblemError(
                "invalid_input", f"An order about a wallet is `customer:<cus_…>` or `withdraw`. {_NOTHING}"
            )
        if parsed.verb == WITHDRAW or parsed.target is None:
            return None
        if await self._gateway.customer_of(wallet):
            raise ProblemError(
                "too_late", f"The wallet is registered already. {_NOTHING} Only the gateway's owner can correct that."
            )
        customer = await get_paying_customer(self._stripe, parsed.target)
        if customer is None or not customer.has_wallet(wallet):
            raise ProblemError(
                "unusable_customer", f"This customer is not in Stripe or does not have this wallet. {_NOTHING}"
            )
        return customer

    async def _describe_shared(self, wallet: str, holders: Sequence[str]) -> WalletConflict:
        self._orders.invalidate()
        chosen = (await self._orders.find(WalletSubject(wallet))).resolved_customer
        if chosen in holders:
            return WalletConflict(wallet, _RESOLVED.format(customer=chosen), holders, chosen)
        return WalletConflict(wallet, _SHARED, holders)

    async def _find_holders(self, wallet: str) -> list[str]:
        async with self._stripe.session() as session:
            return [customer.id for customer in await find_wallet_holders(session, wallet)]
