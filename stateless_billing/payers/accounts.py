"""Whose wallet it is: the gateway's own register first, Stripe's search only for wallets it does not know."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cachetools import TTLCache

from chain.gateway import Gateway
from chain.payment import Payment, is_customer_id
from chain.signing import to_checksum_address
from stateless_billing.bookkeeping.records import RECORD_MARKER
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.credit_case import cursor_covers
from stateless_billing.crediting.daily_limit import DailyLimit
from stateless_billing.crediting.payment_status import PaymentStatus, confirming_status
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.finality import Heads, is_final
from stateless_billing.payers.claims import payment_response
from stateless_billing.runtime.clock import Clock
from stateless_billing.runtime.token_bucket import RateLimit, TokenBucket
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import RequestRejected
from stateless_billing.stripe.lookups import search_metadata
from stateless_billing.stripe.objects import WALLET, Customer

MAX_SHOWN_PAYMENTS = 20
_CACHE_TTL_SECONDS = 30
_SEARCHES = RateLimit(rate=5, burst=60)  # for wallets that the gateway does not know, by all visitors together


@dataclass(frozen=True, slots=True)
class Account:
    """A wallet's customer: None where there is none, or more than one (`conflict`)."""

    wallet: str
    customer: Customer | None
    registered: bool
    conflict: bool = False


class Accounts:
    """Finds accounts and shows what payers may see of them; the newest gateway's register counts."""

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
        self._search_limiter = TokenBucket(_SEARCHES)
        self._customers: TTLCache[str, Account] = TTLCache(10_000, _CACHE_TTL_SECONDS, clock.boot)

    async def find(self, wallet: str) -> Account:
        """The account of a wallet (lower-case), at one Stripe call, or none for half a minute after the last.

        Raises ChainError, StripeFailure, and ProblemError where too many unknown wallets were looked up lately.
        """
        registered = await self._gateways[0].customer_of(wallet)
        kept = self._customers.get(wallet)
        if kept is None or kept.registered != (registered is not None):
            kept = await (self._read(wallet, registered) if registered else self._search(wallet))
            self._customers[wallet] = kept
        return kept

    async def _read(self, wallet: str, customer_id: str) -> Account:
        async with self._stripe.session() as session:
            try:
                customer = await session.get_customer(customer_id)
            except RequestRejected:
                return Account(wallet, None, registered=True)
        return Account(wallet, None if customer.deleted else customer, registered=True)

    async def _search(self, wallet: str) -> Account:
        if self._search_limiter.take(self._clock.boot()):
            raise ProblemError("busy", "Too many lookups right now. No money moved. Try again in a minute.")
        async with self._stripe.session() as session:
            found = await search_metadata(session, WALLET, wallet)
        usable = [one for one in found if one.value(RECORD_MARKER) is None and is_customer_id(one.id)]
        return Account(wallet, usable[0] if len(usable) == 1 else None, registered=False, conflict=len(usable) > 1)

    async def describe(self, wallet: str) -> dict[str, Any]:
        """An account as the API shows it; the same shape whether it is found or not."""
        account = await self.find(wallet)
        customer = account.customer
        payments, maximum = [], self._daily_limit.maximum_cents
        if customer:
            payments = await self.payments(customer)
            maximum = await self._daily_limit.remaining_cents(customer.id, int(self._clock.wall()))
        return {
            "wallet": to_checksum_address(wallet),
            "found": customer is not None,
            "email": mask_email(customer.email) if customer else None,
            "registered": account.registered,
            "minimum_cents": self._minimum_cents,
            "maximum_cents": maximum,
            "payments": payments,
        }

    async def payments(self, customer: Customer) -> list[dict[str, Any]]:
        """The customer's latest payments, newest first, by the chain, the cursor and this process's memory."""
        heads = await self._confirmations.heads()
        found: list[tuple[Payment, PaymentStatus]] = []
        for gateway in self._gateways:
            stop = await gateway.payment_count(customer.id)
            payments = await gateway.payments_of(customer.id, max(0, stop - MAX_SHOWN_PAYMENTS), stop)
            cursor = self._crediting.cursor(gateway, customer)
            valid = cursor is not None and await cursor_covers(gateway, customer.id, cursor, cursor.next - 1)
            settled = cursor.next if cursor and valid else 0
            found += [(payment, await self._status_of(payment, settled, heads)) for payment in payments]
        found.sort(key=lambda one: (one[0].block, one[0].log_index), reverse=True)
        return [payment_response(payment, progress) for payment, progress in found[:MAX_SHOWN_PAYMENTS]]

    async def _status_of(self, payment: Payment, cursor_position: int, heads: Heads) -> PaymentStatus:
        if (
            known := self._status_cache.credited_status(payment)
            or self._status_cache.pending_status(payment)
            or self._status_cache.recent_lookup(payment)
        ):
            return known
        if payment.sequence < cursor_position and is_final(payment, heads):
            return PaymentStatus("credited")
        depth = await self._confirmations.depth_of(payment, heads)
        return PaymentStatus("pending") if depth.reached else confirming_status(depth)


def mask_email(email: str | None) -> str | None:
    """Enough of an email address to recognise one's own: `c…s@l…`."""
    name, at, host = (email or "").rpartition("@")
    if not at or not name or not host:
        return None
    return f"{name[0]}…{name[-1] if len(name) > 1 else ''}@{host[0]}…"
