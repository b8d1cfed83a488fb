"""Wallets that get no quotes (`wallet_conflict`): why, the one next action, and the order that resolves a duplicate."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from chain.errors import ChainError
from chain.gateway import Gateway
from chain.payment import is_customer_id
from stateless_billing.bookkeeping.order_subjects import WalletSubject
from stateless_billing.bookkeeping.orders import OrderDraft, Orders
from stateless_billing.bookkeeping.records import find_wallet_holders, get_paying_customer
from stateless_billing.domain import order_rules
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.order_rules import CUSTOMER, WITHDRAW, Order
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.stripe.objects import Customer
from stateless_billing.support.customer_facts import CustomerReader
from stateless_billing.support.decisions.order_rows import require_standing
from stateless_billing.support.decisions.shown import Shown, describe_account
from stateless_billing.support.duplicates import Suggestion, suggest_customer

log = logging.getLogger(__name__)

_MAX_COMPARED = 20
_NOTHING = "Nothing was ordered."
_SHARED = (
    "This wallet gets no quotes: several customers have it. Next: an admin chooses below for which of them it is"
    " registered."
)
_RESOLVED = "Several customers have this wallet. By an admin's order it is registered for {customer} when it pays."
_ELSEWHERE = (
    "On the chain the wallet {wallet} belongs to {owner}. What it pays is credited to that customer, not to {customer}."
)
_ALSO = "The wallet {wallet} is also that of {others}. It gets no quotes until an admin chooses."
_UNREAD = (
    "Whether the wallet is another customer's too could not be read now. Load the page again before you rely on it."
)
_MOVED = (
    "This wallet gets no quotes: the newest gateway has it registered for {registered}, which is deleted or does not"
    " have it any more. Next: the gateway's owner runs `tools/owner correctCustomer {gateway} {wallet} {owner}`."
)


@dataclass(frozen=True, slots=True)
class WalletConflict:
    """A wallet whose customer is not clear.

    `choices` are the customers that an order may name, none where only the gateway's owner can help. `chosen` is the
    one that the effective order names, `suggestion` the one that its owner seems to use.
    """

    wallet: str
    advice: str
    choices: Sequence[str] = ()
    chosen: str | None = None
    suggestion: Suggestion | None = None


@dataclass(frozen=True, slots=True)
class WalletWarning:
    """What must be known of a customer's wallet before acting for that customer.

    `owner`: the other customer that the chain has for it.
    """

    wallet: str
    text: str
    owner: str | None = None


class WalletConflicts:
    """Finds and resolves conflicts about wallets at the newest gateway.

    All methods raise: ChainError, StripeFailure.
    """

    def __init__(self, *, stripe: StripeApi, gateway: Gateway, orders: Orders, reader: CustomerReader) -> None:
        self._stripe = stripe
        self._gateway = gateway
        self._orders = orders
        self._reader = reader

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

    async def warn(self, customer: Customer, wallets: Sequence[str]) -> list[WalletWarning]:
        """Say which of a customer's lower-case wallets is another's on the chain, or several customers'.

        What cannot be read now is said, not raised.
        """
        warnings = []
        for wallet in wallets:
            try:
                owner = await self._gateway.customer_of(wallet)
                text = await self._describe_shared_wallet(customer, wallet) if owner is None else ""
            except (ChainError, StripeFailure) as error:
                log.warning("wallet %s: its customers could not be read: %s", wallet, error)
                owner, text = None, _UNREAD
            if owner not in (None, customer.id):
                text = _ELSEWHERE.format(wallet=wallet, owner=owner, customer=customer.id)
            if text:
                warnings.append(WalletWarning(wallet, text, owner))
        return warnings

    async def _describe_shared_wallet(self, customer: Customer, wallet: str) -> str:
        holders = await self._find_holders(wallet)
        others = [holder for holder in holders if holder != customer.id]
        if not others or not customer.has_wallet(wallet):
            return ""
        chosen = await self._find_chosen(wallet)
        if chosen in holders:
            return _RESOLVED.format(customer=chosen)
        return _ALSO.format(wallet=wallet, others=" and ".join(others))

    async def order(self, form_id: str, wallet: str, text: str, operator: str, reason: str) -> Order:
        """Write an admin's order `customer:<cus_…>` or `withdraw` about a wallet. Idempotent per `form_id`.

        Raises: ProblemError, ChainError, StripeFailure.
        """
        await self._check(wallet, text)
        draft = OrderDraft(text=text.strip(), operator=operator, reason=reason, value=0)
        return await self._orders.write(form_id, WalletSubject(wallet), draft)

    async def find_written(self, form_id: str, wallet: str, text: str) -> Order | None:
        """Find the order that a form wrote with the same words.

        Raises: ProblemError if it was replaced or withdrawn since.
        """
        subject = WalletSubject(wallet)
        written = await self._orders.find_by_form(form_id, subject)
        if written is None or written.text != text.strip():
            return None
        require_standing(written, (await self._orders.find(subject)).orders)
        return written

    async def show(self, wallet: str, text: str, reason: str) -> Shown:
        """Check an order about a wallet and put it into words.

        Raises: ProblemError, ChainError, StripeFailure.
        """
        customer = await self._check(wallet, text)
        chosen = await self._find_chosen(wallet)
        before = f"It was {chosen} by an earlier order." if chosen else "No order named one before."
        why = f"Why: {reason}"
        if customer is None:
            sentence = f"Withdraw the order about the wallet {wallet}: until another one it gets no quotes."
            return Shown(sentence, (before, why), "Withdraw the order")
        notes = [before, "No money moves: what the wallet pays from then on is credited there."]
        suggestion = await self._suggest(await self._find_holders(wallet))
        if suggestion:
            is_same = suggestion.customer_id == customer.id
            subject = "This is the suggested customer" if is_same else f"Suggested is {suggestion.customer_id}"
            notes.append(f"{subject}, because {suggestion.reason}.")
        if customer.is_not_payable:
            notes.append("Its payments are switched off (gateway_payments is off): the wallet still gets no quotes.")
        account = describe_account(customer.id, customer)
        sentence = f"Register the wallet {wallet} for {account} when it pays next."
        button = f"Register it for {customer.id}"
        return Shown(sentence, (*notes, why), button, balance=account.change(0))

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
        chosen, suggestion = await asyncio.gather(self._find_chosen(wallet), self._suggest(holders))
        if chosen in holders:
            return WalletConflict(wallet, _RESOLVED.format(customer=chosen), holders, chosen, suggestion)
        return WalletConflict(wallet, _SHARED, holders, suggestion=suggestion)

    async def _find_chosen(self, wallet: str) -> str | None:
        """Read which customer the effective order about a wallet names."""
        self._orders.invalidate()
        return (await self._orders.find(WalletSubject(wallet))).resolved_customer

    async def _suggest(self, holders: Sequence[str]) -> Suggestion | None:
        facts = await asyncio.gather(*(self._reader.read(customer_id) for customer_id in holders[:_MAX_COMPARED]))
        return suggest_customer([holder for holder in facts if holder]) if len(holders) <= _MAX_COMPARED else None

    async def _find_holders(self, wallet: str) -> list[str]:
        async with self._stripe.session() as session:
            holders = await find_wallet_holders(session, wallet)
        return [customer.id for customer in holders if is_customer_id(customer.id)]
