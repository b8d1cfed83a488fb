"""Builds what takes payments to their credits. No I/O."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from chain.failover import FailoverProvider
from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.assumptions.price_watch import PriceWatch
from stateless_billing.bookkeeping.orders import Orders
from stateless_billing.bookkeeping.proofs import Proofs
from stateless_billing.bookkeeping.records import ServiceRecords
from stateless_billing.bookkeeping.reversals import Reversals
from stateless_billing.crediting.attempts import CreditTools
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.credit_terms import CreditPricer
from stateless_billing.crediting.daily_limit import DailyLimit, Histories, Market
from stateless_billing.crediting.payment_status import STRIPE_CAUSES
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.crediting.webhook import CreditWebhook, create_webhook
from stateless_billing.domain.order_rules import OrderCaps
from stateless_billing.pricing.price_feed import PriceFeed
from stateless_billing.pricing.rate_overrides import Overrides, RateSource
from stateless_billing.runtime.clock import Clock
from stateless_billing.runtime.keyed_locks import KeyedLocks
from stateless_billing.services.clients import Clients
from stateless_billing.settings import Settings
from stateless_billing.stripe.ledger_reader import ListingCache
from stateless_billing.sweep.cursors import CursorUpdater
from stateless_billing.sweep.held_watch import HeldWatch
from stateless_billing.sweep.index_agreement import IndexAgreement
from stateless_billing.sweep.order_watch import OrderWatch
from stateless_billing.sweep.sweeper import Sweeper


@dataclass(frozen=True, kw_only=True)
class CreditingCore:
    """What credits one payment, and the state that this process shares about payments."""

    confirmations: Confirmations
    status_cache: StatusCache
    locks: KeyedLocks
    webhook: CreditWebhook | None
    processor: CreditProcessor


@dataclass(frozen=True, kw_only=True)
class CreditingServices:
    """Rates, orders, the core and the sweep."""

    records: ServiceRecords
    reversals: Reversals
    price_feed: PriceFeed
    overrides: Overrides
    rates: RateSource
    orders: Orders
    pricer: CreditPricer
    daily_limit: DailyLimit
    core: CreditingCore
    sweeper: Sweeper


def create_crediting(settings: Settings, clock: Clock, clients: Clients) -> CreditingServices:
    """Everything that the sweep works with."""
    records = ServiceRecords(clients.stripe, settings.service_customer_id)
    price_feed = create_price_feed(settings, clock, clients)
    overrides = Overrides(clients.order_stripe, records, clock)
    rates = RateSource(price_feed, overrides, clock)
    order_caps = OrderCaps(per_order=settings.max_order_cents, per_day=settings.max_order_cents)
    orders = Orders(stripe=clients.order_stripe, records=records, clock=clock, caps=order_caps)
    confirmations = create_confirmations(settings, clients, clients.nodes, clients.gateways)
    daily_limit = create_daily_limit(settings, clients.gateways, confirmations, rates)
    pricer = CreditPricer(rates, daily_limit, settings.discount_bps)
    proofs = Proofs()
    listings = ListingCache(clock)
    tools = CreditTools(
        pricer=pricer, orders=orders, proofs=proofs, listings=listings, other_credits=settings.other_credits
    )
    core = _create_core(settings, clock, clients, confirmations, tools, create_recoveries(clients, price_feed))
    order_watch = OrderWatch(orders, core.status_cache, clock)
    sweeper = _create_sweeper(settings, clock, clients, core, records, listings, order_watch)
    return CreditingServices(
        records=records,
        reversals=Reversals(clients.stripe, proofs),
        price_feed=price_feed,
        overrides=overrides,
        rates=rates,
        orders=orders,
        pricer=pricer,
        daily_limit=daily_limit,
        core=core,
        sweeper=sweeper,
    )


def create_recoveries(clients: Clients, price_feed: PriceFeed) -> Callable[[str], float]:
    """Tell for each cause when the party that it blames last answered again."""

    def recovered_at(cause: str) -> float:
        if cause == "rate_limited":
            return clients.stripe.health.unlimited_at
        if cause in STRIPE_CAUSES:
            return clients.stripe.health.recovered_at
        return price_feed.recovered_at if cause == "rate_unavailable" else 0.0

    return recovered_at


def _create_core(
    settings: Settings,
    clock: Clock,
    clients: Clients,
    confirmations: Confirmations,
    tools: CreditTools,
    recovered_at: Callable[[str], float],
) -> CreditingCore:
    status_cache, locks = StatusCache(clock, recovered_at), KeyedLocks()
    webhook = create_webhook(
        clients.http,
        settings.credit_hook_url,
        settings.credit_hook_secret,
        clock,
        secret_header=settings.credit_hook_header,
    )
    processor = CreditProcessor(
        stripe=clients.stripe,
        confirmations=confirmations,
        tools=tools,
        status_cache=status_cache,
        locks=locks,
        clock=clock,
        on_credited=webhook.enqueue if webhook else None,
    )
    return CreditingCore(
        confirmations=confirmations, status_cache=status_cache, locks=locks, webhook=webhook, processor=processor
    )


def _create_sweeper(
    settings: Settings,
    clock: Clock,
    clients: Clients,
    core: CreditingCore,
    records: ServiceRecords,
    listings: ListingCache,
    order_watch: OrderWatch,
) -> Sweeper:
    cursors = CursorUpdater(
        stripe=clients.stripe,
        crediting=core.processor,
        status_cache=core.status_cache,
        listings=listings,
        clock=clock,
        other_credits=settings.other_credits,
    )
    return Sweeper(
        gateways=clients.gateways,
        confirmations=core.confirmations,
        agreement=IndexAgreement(clients.nodes),
        crediting=core.processor,
        cursors=cursors,
        order_watch=order_watch,
        held_watch=HeldWatch(_look_of(core, clients.gateways), core.status_cache, clock),
        status_cache=core.status_cache,
        records=records,
        clock=clients.stripe_time,
    )


def _look_of(core: CreditingCore, gateways: Sequence[Gateway]) -> Callable[[Payment], Awaitable[None]]:
    """A look at one payment of any of these gateways."""
    by_address = {gateway.address: gateway for gateway in gateways}

    async def look(payment: Payment) -> None:
        await core.processor.look(by_address[payment.gateway], payment, await core.confirmations.heads())

    return look


def create_confirmations(
    settings: Settings, clients: Clients, nodes: FailoverProvider, gateways: Sequence[Gateway]
) -> Confirmations:
    """The depth rule of the settings, read from these nodes."""
    return Confirmations(
        nodes=nodes,
        gateways=gateways,
        tiers=settings.confirmations,
        max_unfinalized_cents=settings.max_unfinalized_cents,
        clock=clients.stripe_time,
        watch=clients.chain_watch,
    )


def create_daily_limit(
    settings: Settings,
    gateways: Sequence[Gateway],
    confirmations: Confirmations,
    rates: Market,
    histories: Histories | None = None,
) -> DailyLimit:
    """The daily limit of the settings, summed from these gateways' payments."""
    return DailyLimit(
        gateways=gateways,
        finality=confirmations,
        maximum_cents=settings.max_payment_cents,
        rates=rates,
        discount_bps=settings.discount_bps,
        histories=histories,
    )


def create_price_feed(settings: Settings, clock: Clock, clients: Clients) -> PriceFeed:
    """The price feed of the settings."""
    return PriceFeed(
        http=clients.http,
        base=settings.price_api_base,
        coin=settings.coingecko_id,
        api_key=settings.coingecko_api_key,
        clock=clock,
        watch=PriceWatch(clients.breaches),
    )
