"""Finds the account of a wallet: by the gateway's register, or by Stripe's search if the gateway has none."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from cachetools import TLRUCache, TTLCache

from chain.gateway import Gateway
from chain.payment import Payment, is_customer_id
from chain.signatures import to_checksum_address
from stateless_billing.bookkeeping.order_subjects import WalletSubject
from stateless_billing.bookkeeping.orders import Orders
from stateless_billing.bookkeeping.records import find_wallet_holders
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.credit_case import cursor_covers
from stateless_billing.crediting.daily_limit import DailyLimit, Remaining
from stateless_billing.crediting.payment_status import PaymentStatus, confirming_status
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.crediting.status_cache import LOOK_SECONDS, StatusCache
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.finality import Heads, is_final
from stateless_billing.payers.email_mask import mask_email
from stateless_billing.payers.lookup_budget import LookupBudget
from stateless_billing.payers.responses import (
    MAX_SHOWN_PAYMENTS,
    AccountResponse,
    PaymentResponse,
    payment_response,
)
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import RequestRejected, StripeFailure
from stateless_billing.stripe.objects import Customer

_CACHE_SIZE = 10_000
_CACHE_TTL_SECONDS = 30
_NODE_STATUS_SECONDS = 2  # a quote of a node that stands still carries a used sequence
_UNKNOWN_TTL_SECONDS = 60  # Stripe's search needs about this long to find a new customer
_PATIENCE_SECONDS = 3  # for what a page can do without
_RECALL_SECONDS = 3600  # so long a stream uses an account that was read before


@dataclass(frozen=True, slots=True)
class Account:
    """A wallet's customer.

    `conflict` says that quotes must be refused: several customers have the wallet and no order names one of them, or it
    is registered for a customer that is deleted or does not have it any more.
    """

    wallet: str
    customer: Customer | None
    registered: bool
    conflict: bool = False

    @property
    def registered_customer(self) -> str | None:
        """The customer that the newest gateway has for the wallet, if it is the one read."""
        return self.customer.id if self.customer and self.registered else None


@dataclass(frozen=True, slots=True)
class ListedPayment:
    """A payment of an account. `credited` says that the customer's cursor proves its credit, once it is final."""

    payment: Payment
    credited: bool


class Accounts:
    """Finds accounts and shows what payers may see of them. Only the newest gateway's register counts."""

    def __init__(
        self,
        *,
        stripe: StripeApi,
        gateways: Sequence[Gateway],
        confirmations: Confirmations,
        crediting: CreditProcessor,
        daily_limit: DailyLimit,
        status_cache: StatusCache,
        clock: Clock,
        budget: LookupBudget,
        orders: Orders,
        minimum_cents: int,
    ) -> None:
        self._stripe = stripe
        self._gateways = gateways
        self._confirmations = confirmations
        self._crediting = crediting
        self._daily_limit = daily_limit
        self._status_cache = status_cache
        self._clock = clock
        self._minimum_cents = minimum_cents
        self._budget = budget
        self._orders = orders
        self._customers: TLRUCache[tuple[str, str | None], Account] = TLRUCache(_CACHE_SIZE, _expiry, clock.boot)
        self._looked_at: TTLCache[str, bool] = TTLCache(_CACHE_SIZE, LOOK_SECONDS, clock.boot)
        self._recalled: TTLCache[tuple[str, str | None], Account] = TTLCache(_CACHE_SIZE, _RECALL_SECONDS, clock.boot)

    async def require_current_chain(self) -> None:
        """Raise ChainError if none of several nodes has a current block: what they say may be outdated."""
        await self._confirmations.require_current_head()

    async def find(self, wallet: str, origin: str) -> Account:
        """Find the account of a lower-case wallet, with at most one Stripe call in half a minute.

        Raises: ChainError, StripeFailure; ProblemError if the budget of `origin` or of all is used up.
        """
        await self._confirmations.refresh_nodes(_NODE_STATUS_SECONDS)
        customer_id = await self._gateways[0].customer_of(wallet)
        account = self._customers.get((wallet, customer_id))
        if account is None:
            if customer_id:
                self._budget.take_read(origin)
                account = await self._read(wallet, customer_id)
            else:
                self._budget.take_search(origin)
                account = await self._search(wallet)
            self._customers[wallet, customer_id] = account
            if account.customer:
                self._recalled[wallet, customer_id] = account
        return account

    async def recall(self, wallet: str, origin: str) -> Account:
        """Return what this process found for a wallet within the last hour, without Stripe; else find its account.

        Raises: ChainError, StripeFailure; ProblemError if the budget of `origin` or of all is used up.
        """
        customer_id = await self._gateways[0].customer_of(wallet)
        return self._recalled.get((wallet, customer_id)) or await self.find(wallet, origin)

    def latest(self, account: Account) -> Account:
        """Return the account as this process read it last."""
        return self._recalled.get((account.wallet, account.registered_customer), account)

    async def _read(self, wallet: str, customer_id: str) -> Account:
        async with self._stripe.session() as session:
            try:
                customer = await session.get_customer(customer_id)
            except RequestRejected as error:
                if error.code != "resource_missing":
                    raise
                return Account(wallet, None, registered=True, conflict=True)
        if customer.deleted:
            return Account(wallet, None, registered=True, conflict=True)
        return Account(wallet, customer, registered=True, conflict=not customer.has_wallet(wallet))

    async def _search(self, wallet: str) -> Account:
        async with self._stripe.session() as session:
            holders = await find_wallet_holders(session, wallet)
        customers = [customer for customer in holders if is_customer_id(customer.id)]
        if len(customers) <= 1:
            return Account(wallet, customers[0] if customers else None, registered=False)
        chosen_id = (await self._orders.find(WalletSubject(wallet))).resolved_customer
        chosen = next((customer for customer in customers if customer.id == chosen_id), None)
        return Account(wallet, chosen, registered=False, conflict=chosen is None)

    async def describe(self, wallet: str, origin: str) -> AccountResponse:
        """Describe an account for the API, in the same form whether it is found or not."""
        account = await self.find(wallet, origin)
        payments = await self.payments(account.customer, origin) if account.customer else []
        return await self.respond(account, payments, self._daily_limit)

    async def respond(
        self, account: Account, payments: list[PaymentResponse], daily_limit: DailyLimit
    ) -> AccountResponse:
        """Describe an account with these payments. Raises: ChainError."""
        customer = account.customer
        remaining: Remaining | None = Remaining(daily_limit.maximum_cents, None)
        if customer:
            remaining = await daily_limit.remaining(customer.id, int(self._clock.wall()), self._minimum_cents)
        return AccountResponse(
            wallet=to_checksum_address(account.wallet),
            found=customer is not None,
            email=mask_email(customer.email) if customer else None,
            registered=account.registered,
            minimum_cents=self._minimum_cents,
            maximum_cents=remaining.cents if remaining else 0,  # nothing while they are still being counted
            maximum_resets_at=remaining.resets_at if remaining else None,
            payments=payments,
        )

    async def find_conflict(self, wallet: str, origin: str) -> str:
        """Why quotes for a wallet are refused: `shared`, `moved`, or an empty text if they are not; see `Account`."""
        account = await self.find(wallet, origin)
        if not account.conflict:
            return ""
        return "moved" if account.registered else "shared"

    async def payments(self, customer: Customer, origin: str | None = None) -> list[PaymentResponse]:
        """List the customer's latest payments, newest first, from the chain, the cursor and the status cache.

        Without `origin` an operator asks, who needs no budget. Raises: ChainError.
        """
        return (await self.payments_and_older(customer, origin))[0]

    async def payments_and_older(
        self, customer: Customer, origin: str | None = None
    ) -> tuple[list[PaymentResponse], int]:
        """List the latest payments, and count the older ones that no cursor proves credited. Raises: ChainError."""
        heads = await self._confirmations.heads()
        for gateway in self._gateways:
            self._crediting.cursor(gateway, customer)
        listed, older = await self._read_payments(customer)
        await self._look_for_reversals(customer, listed, heads, origin)
        return await self.show(listed, heads), older

    async def _look_for_reversals(
        self, customer: Customer, listed: Sequence[ListedPayment], heads: Heads, origin: str | None
    ) -> None:
        """Read the customer's newest entries, at most once in five minutes: the cursor shows no reversal.

        Where the budget is spent, or Stripe fails or is slow, what is known stays: the page does not wait for it.
        """
        credited = [entry.payment for entry in listed if self._seems_credited(entry)]
        if not credited or customer.id in self._looked_at or self._stripe.health.failure is not None:
            return
        self._looked_at[customer.id] = True
        with suppress(ProblemError, StripeFailure, TimeoutError):
            if origin is not None:
                self._budget.take_read(origin)
            since = min(payment.time for payment in credited) - LISTING_LEAD_SECONDS
            async with asyncio.timeout(_PATIENCE_SECONDS), self._stripe.session() as session:
                page = await session.list_newest_entries(customer.id, since)
            for payment in credited:
                found = self._crediting.find_in_page(payment, page)
                if found and found.state == "reversed":  # an order may have credited another customer
                    self._status_cache.make_look_due(payment)
                    gateway = next(each for each in self._gateways if each.address == payment.gateway)
                    await self._crediting.get_status(gateway, payment, heads)

    def _seems_credited(self, entry: ListedPayment) -> bool:
        status = self._status_cache.credited_status(entry.payment)
        return status.state == "credited" if status else entry.credited

    async def list_payments(self, customer: Customer) -> list[ListedPayment]:
        """Read the customer's latest payments, newest first, from the chain. The newest cursor known here counts."""
        return (await self._read_payments(customer))[0]

    async def _read_payments(self, customer: Customer) -> tuple[list[ListedPayment], int]:
        listed: list[ListedPayment] = []
        unproven = 0
        for gateway in self._gateways:
            stop = await gateway.payment_count(customer.id)
            payments = await gateway.payments_of(customer.id, max(0, stop - MAX_SHOWN_PAYMENTS), stop)
            key = customer.id, gateway.address
            cursors = self._status_cache.cursors
            cursor = cursors[key] if key in cursors else self._crediting.cursor(gateway, customer)
            valid = cursor is not None and await cursor_covers(gateway, customer.id, cursor, cursor.next - 1)
            position = cursor.next if cursor and valid else 0
            unproven += max(0, stop - position)
            listed += [ListedPayment(payment, payment.sequence < position) for payment in payments]
        listed.sort(key=lambda entry: (entry.payment.block, entry.payment.log_index), reverse=True)
        latest = listed[:MAX_SHOWN_PAYMENTS]
        return latest, unproven - sum(not entry.credited for entry in latest)

    async def show(self, listed: Sequence[ListedPayment], heads: Heads) -> list[PaymentResponse]:
        """Describe payments that were read after `heads`. Raises: ChainError."""
        return [payment_response(entry.payment, await self._status_of(entry, heads)) for entry in listed]

    def cached_status(self, payment: Payment) -> PaymentStatus | None:
        """The status that this process knows by its own work; None if only the chain tells."""
        return (
            self._status_cache.credited_status(payment)
            or self._status_cache.pending_status(payment)
            or self._status_cache.recent_lookup(payment)
        )

    async def _status_of(self, entry: ListedPayment, heads: Heads) -> PaymentStatus:
        if cached := self.cached_status(entry.payment):
            return cached
        if entry.credited and is_final(entry.payment, heads):
            return PaymentStatus("credited")
        depth = await self._confirmations.depth_of(entry.payment, heads)
        return PaymentStatus("pending") if depth.reached else confirming_status(depth)


def _expiry(key: tuple[str, str | None], account: Account, now: float) -> float:
    is_unknown = account.customer is None and not account.conflict
    return now + (_UNKNOWN_TTL_SECONDS if is_unknown else _CACHE_TTL_SECONDS)
