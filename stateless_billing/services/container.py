"""Everything that works together in one process, built from the settings. No I/O before `start`."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from types import TracebackType

import httpx
from cachetools import TTLCache

from chain import token
from chain.errors import ChainError
from chain.gateway import Gateway
from chain.provider import FailoverProvider
from chain.signing import Signer
from stateless_billing.bookkeeping.orders import Orders
from stateless_billing.bookkeeping.proofs import Proofs
from stateless_billing.bookkeeping.records import NotOurAccount, ServiceRecords
from stateless_billing.bookkeeping.reversals import Reversals
from stateless_billing.crediting.attempts import CreditTools
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.credit_terms import CreditPricer
from stateless_billing.crediting.daily_limit import DailyLimit
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.crediting.webhook import create_webhook
from stateless_billing.domain.order_rules import OrderCaps
from stateless_billing.grants.caps import Caps
from stateless_billing.grants.granting import Grants
from stateless_billing.operators.mailer import Mailer
from stateless_billing.operators.sign_in import SignIns
from stateless_billing.operators.signed_tokens import Tokens
from stateless_billing.payers.accounts import Accounts
from stateless_billing.payers.claims import PaymentClaims
from stateless_billing.payers.quotes import Quotes, QuoteTerms
from stateless_billing.payers.receipts import Receipts
from stateless_billing.payers.transaction_lookup import TransactionLookup
from stateless_billing.pricing.price_feed import PriceFeed
from stateless_billing.pricing.rate_overrides import Overrides, RateSource
from stateless_billing.runtime import metrics
from stateless_billing.runtime.clock import Clock
from stateless_billing.runtime.keyed_locks import KeyedLocks
from stateless_billing.services import health
from stateless_billing.services.startup import StartupReadFailed, StartupRefused, Token, check_chain
from stateless_billing.settings import Settings
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.connection import create_ssl_context, create_transport
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.stripe.rate_limiter import RateLimiter
from stateless_billing.support.customer_search import CustomerSearch
from stateless_billing.support.order_checks import OrderChecks
from stateless_billing.support.uncredited_payments import UncreditedPayments
from stateless_billing.sweep.cursors import CursorUpdater
from stateless_billing.sweep.sweeper import Sweeper

_LOOK_UP_CONNECTIONS = 3
_ORDER_CONNECTIONS = 2
_PERMIT_SECONDS = 600  # for how long it is believed that a token has permits, or has none
_SIGNER_SECONDS = 60  # for how long it is believed whose signatures a gateway accepts
_START_PAUSES = (0.5, 2.0)  # seconds between tries
# Crediting has so many connections to the nodes, and what visitors ask has as many of its own.
_NODE_CONNECTIONS = httpx.Limits(max_connections=20, max_keepalive_connections=20, keepalive_expiry=30)


log = logging.getLogger(__name__)


class Services:
    """Collaborators by name. `start` checks the world before anything is served or swept.

    `nodes` and `stripe` are the transports that requests to nodes and price feed, and to Stripe, go through.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        nodes: httpx.AsyncBaseTransport | None = None,
        stripe: Callable[[], httpx.AsyncBaseTransport] = create_transport,
    ) -> None:
        self.settings, self.clock = settings, clock
        self.node_transport, self.stripe_transport_factory = nodes, stripe
        self.http = _client(nodes)
        self.nodes = FailoverProvider(self.http, settings.rpc_urls, settings.chain_id, metrics.record_node_call)
        self.gateways = [Gateway(self.nodes, settings.chain_id, one) for one in settings.gateway_addresses]
        self.rate_limiter = pacer = RateLimiter(settings.stripe_rate, settings.processes)
        self.stripe = StripeApi(settings.stripe_api_key, settings.stripe_api_base, pacer, clock, stripe)
        # Look-ups by anybody never wait for, nor hold, the connections that credit.
        lookups = StripeApi(
            settings.stripe_api_key, settings.stripe_api_base, pacer, clock, stripe, connections=_LOOK_UP_CONNECTIONS
        )
        # Orders and overrides are read while a connection that credits is held: they have connections of their own.
        orders = StripeApi(
            settings.stripe_api_key, settings.stripe_api_base, pacer, clock, stripe, connections=_ORDER_CONNECTIONS
        )
        self._ledgers = (self.stripe, lookups, orders)
        self.records = ServiceRecords(self.stripe, settings.service_customer_id)
        self.status_cache, self.proofs = StatusCache(clock), Proofs()
        self._locks = KeyedLocks()
        self.reversals = Reversals(self.stripe, self.proofs)
        self.price_feed = PriceFeed(
            self.http, settings.price_api_base, settings.coingecko_id, settings.coingecko_api_key, clock
        )
        self.overrides = Overrides(orders, self.records, clock)
        self.rates = RateSource(self.price_feed, self.overrides, clock)
        alone = settings.max_order_cents
        self.orders = Orders(orders, self.records, clock, OrderCaps(per_order=alone, per_day=alone))
        self.confirmations = Confirmations(
            self.nodes, self.gateways, settings.confirmations, settings.max_unfinalized_cents, clock
        )
        self.daily_limit = DailyLimit(self.gateways, settings.max_payment_cents, self.rates, settings.discount_bps)
        self._hook = create_webhook(self.http, settings.credit_hook_url, settings.credit_hook_secret, clock)
        self._of_crediting()
        self._of_visitors(nodes, lookups)
        self._of_operators(lookups)
        self._of_the_contracts()

    def _of_crediting(self) -> None:
        """What takes payments to their credits."""
        settings, clock = self.settings, self.clock
        self.pricer = CreditPricer(self.rates, self.daily_limit, settings.discount_bps)
        self.crediting = CreditProcessor(
            self.stripe,
            self.confirmations,
            CreditTools(
                pricer=self.pricer,
                orders=self.orders,
                proofs=self.proofs,
                other_credits=settings.other_credits,
            ),
            self.status_cache,
            self._locks,
            clock,
            on_credited=self._hook.enqueue if self._hook else None,
        )
        sealing = CursorUpdater(self.stripe, self.crediting, self.status_cache, clock, settings.other_credits)
        self.sweeper = Sweeper(
            *(self.gateways, self.confirmations, self.crediting, sealing, self.status_cache, self.records, clock)
        )

    def _of_the_contracts(self) -> None:
        """What contracts say of themselves, believed for a while."""
        timer = self.clock.boot
        self.token: Token | None = None
        self._permit: TTLCache[None, dict[str, str] | None] = TTLCache(1, _PERMIT_SECONDS, timer)
        self._accepted: TTLCache[None, str] = TTLCache(1, _SIGNER_SECONDS, timer)

    def _of_visitors(self, transport: httpx.AsyncBaseTransport | None, lookups: StripeApi) -> None:
        """What anybody may ask."""
        settings, clock = self.settings, self.clock
        self._visitors = _client(transport)
        nodes = FailoverProvider(self._visitors, settings.rpc_urls, settings.chain_id)
        self._shown = [Gateway(nodes, settings.chain_id, one) for one in settings.gateway_addresses]
        self._shown_limit = DailyLimit(self._shown, settings.max_payment_cents, self.rates, settings.discount_bps)
        confirmations = Confirmations(nodes, self._shown, settings.confirmations, settings.max_unfinalized_cents, clock)
        hashes = TransactionLookup(nodes, self._shown, confirmations, clock)
        self.claims = PaymentClaims(hashes, self.gateways, self.crediting)
        self.accounts = Accounts(
            *(lookups, self._shown, confirmations, self.crediting, self._shown_limit, self.status_cache, clock),
            minimum_cents=settings.min_payment_cents,
        )
        self.receipts = Receipts(*(hashes, self._shown, lookups, confirmations, self.crediting, self.status_cache))

    def _of_operators(self, lookups: StripeApi) -> None:
        """What the pages behind the sign-in need."""
        settings, clock = self.settings, self.clock
        caps = Caps(settings.max_grant_cents, settings.max_grants_per_day_cents, settings.max_grants_all_cents)
        self.grants = Grants(self.stripe, self.records, self._locks, clock, caps, self.reversals)
        self.sign_ins = self._signins()
        self.customer_search = CustomerSearch(
            *(lookups, self.nodes, self.gateways, self.records, self.grants.ledger, clock)
        )
        self.order_checks = OrderChecks(lookups, self.pricer, self.rates)
        followed = self.crediting, self.pricer, self.orders
        self.uncredited_payments = UncreditedPayments(
            self.gateways, self.confirmations, *followed, self.records, self.status_cache, clock
        )

    def _signins(self) -> SignIns:
        """Signing in; without mail settings by wallet only, and without a roster nobody can."""
        settings, mailer = self.settings, None
        if settings.resend_api_key and settings.mail_from:
            mailer = Mailer(self.http, settings.resend_api_base, settings.resend_api_key, settings.mail_from)
        tokens = Tokens(settings.session_secrets or (secrets.token_hex(32),), self.clock)
        return SignIns(tokens, settings.operators, mailer, settings.chain_id, self.clock)

    def quotes(self) -> Quotes:
        """The quote maker; needs the signer's key."""
        terms = QuoteTerms(
            self.settings.min_payment_cents,
            self.settings.discount_bps,
            self.settings.quote_seconds,
            self.settings.registration_seconds,
        )
        signer = Signer(self.settings.signer_key, self.settings.chain_id)
        return Quotes(self._shown[0], self.accounts, self.rates, self._shown_limit, signer, terms, self.clock)

    async def permit_domain(self) -> dict[str, str] | None:
        """`name` and `version` by which the token's permits are signed; None where it has none, as far as is known."""
        assert self.token is not None
        if None not in self._permit:
            self._permit[None] = await token.permit_domain(self.nodes, self.token.address, self.settings.chain_id)
        return self._permit[None]

    async def signer_fault(self) -> str | None:
        """Why the newest gateway refuses what we sign, None where it does not. Raises ChainError."""
        gateway = self.gateways[0]
        if None not in self._accepted:
            self._accepted[None] = await gateway.signer()
        ours = Signer(self.settings.signer_key, self.settings.chain_id).address
        return health.signer_fault(ours, self._accepted[None], gateway.address)

    async def start(self) -> None:
        """Check that chain, gateways and Stripe account are the right ones. Raises NotFit with what to mend.

        What could not be read is tried a few times: a passing fault should not keep a process from starting.
        """
        for pause in _START_PAUSES:
            try:
                await self._check()
            except StartupReadFailed as error:
                log.warning("%s", error)
                await asyncio.sleep(pause)
            else:
                return
        await self._check()

    async def _check(self) -> None:
        try:
            both = check_chain(self.nodes, self.gateways), self.records.load()
            token, service = await asyncio.gather(*both, return_exceptions=True)
            if isinstance(token, BaseException):
                raise token
            if isinstance(service, BaseException):
                raise service
            self.token = token
            self.sweeper.start(service)
        except NotOurAccount as error:
            raise StartupRefused(
                f"{error}. Use the key of the right account, or make the records with `doctor --init`."
            ) from error
        except StripeFailure as error:
            raise StartupReadFailed(
                f"Stripe could not be read: {error}. Check STRIPE_API_KEY and STRIPE_API_BASE."
            ) from error
        except ChainError as error:
            raise StartupReadFailed(
                f"The chain could not be read: {error}. Check RPC_URLS and GATEWAY_ADDRESSES."
            ) from error

    async def __aenter__(self) -> "Services":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._hook:
            await self._hook.aclose()
        for ledger in self._ledgers:
            await ledger.aclose()
        await self._visitors.aclose()
        await self.http.aclose()


def _client(transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=transport, verify=create_ssl_context(), limits=_NODE_CONNECTIONS, trust_env=False
    )
