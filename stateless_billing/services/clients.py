"""Builds the clients of nodes, price feed and Stripe. No I/O."""

from collections.abc import Callable
from dataclasses import dataclass

import httpx

from chain.failover import FailoverProvider
from chain.gateway import Gateway
from stateless_billing.assumptions.breaches import Breaches
from stateless_billing.assumptions.chain_watch import ChainWatch
from stateless_billing.assumptions.ledger_watch import LedgerWatch
from stateless_billing.runtime import metrics
from stateless_billing.runtime.bounded_http import create_http_client
from stateless_billing.runtime.clock import Clock, ReferenceClock
from stateless_billing.settings import Settings
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.connection import Health
from stateless_billing.stripe.rate_limiter import RateLimiter

_LOOKUP_CONNECTIONS = 3
_ORDER_CONNECTIONS = 2
_NODE_LIMITS = httpx.Limits(max_connections=20, max_keepalive_connections=20, keepalive_expiry=30)


@dataclass(frozen=True, kw_only=True)
class Clients:
    """Visitors have HTTP and Stripe connections of their own: they never wait for, nor hold, those that credit."""

    http: httpx.AsyncClient
    nodes: FailoverProvider
    gateways: list[Gateway]
    visitor_http: httpx.AsyncClient
    visitor_nodes: FailoverProvider
    visitor_gateways: list[Gateway]
    rate_limiter: RateLimiter
    stripe_time: ReferenceClock
    """Stripe's clock, by the last response to any of these."""
    stripe: StripeApi
    lookup_stripe: StripeApi
    order_stripe: StripeApi
    """For orders and rate overrides, read while a connection that credits is held. Its health is that of `stripe`."""
    chain_watch: ChainWatch

    @property
    def breaches(self) -> Breaches:
        """What this process saw of Stripe, nodes and price feed that should be impossible."""
        return self.chain_watch.breaches

    async def aclose(self) -> None:
        """Close all idle connections."""
        for stripe in (self.stripe, self.lookup_stripe, self.order_stripe):
            await stripe.aclose()
        await self.nodes.aclose()
        await self.visitor_http.aclose()
        await self.http.aclose()


def create_clients(
    settings: Settings,
    clock: Clock,
    node_transport: httpx.AsyncBaseTransport | None,
    stripe_transport_factory: Callable[[], httpx.AsyncBaseTransport],
) -> Clients:
    """`node_transport` carries requests to nodes and price feed; None opens sockets."""
    http, visitor_http = (create_http_client(node_transport, limits=_NODE_LIMITS) for _ in range(2))
    nodes = FailoverProvider(http, settings.rpc_urls, settings.chain_id, metrics.record_node_call)
    visitor_nodes = FailoverProvider(
        visitor_http, settings.rpc_urls, settings.chain_id, metrics.record_node_call, nodes.statuses
    )
    rate_limiter = RateLimiter(
        rate=settings.stripe_rate, total_rate=settings.stripe_total_rate, processes=settings.processes
    )

    stripe_time = ReferenceClock(clock)
    health = Health(stripe_time)
    nodes.statuses.wall = stripe_time.wall
    watch = LedgerWatch(Breaches())

    def create_stripe(health: Health, **limits: int) -> StripeApi:
        return StripeApi(
            key=settings.stripe_api_key,
            base=settings.stripe_api_base,
            rate_limiter=rate_limiter,
            clock=clock,
            transport_factory=stripe_transport_factory,
            health=health,
            watch=watch,
            **limits,
        )

    gateways, visitor_gateways = _create_gateways(nodes, settings), _create_gateways(visitor_nodes, settings)
    for gateway, visitor_gateway in zip(gateways, visitor_gateways, strict=True):
        visitor_gateway.share_blocks(gateway, zip(nodes.nodes, visitor_nodes.nodes, strict=True))
    return Clients(
        http=http,
        nodes=nodes,
        gateways=gateways,
        visitor_http=visitor_http,
        visitor_nodes=visitor_nodes,
        visitor_gateways=visitor_gateways,
        rate_limiter=rate_limiter,
        stripe_time=stripe_time,
        stripe=create_stripe(health),
        lookup_stripe=create_stripe(Health(stripe_time), max_connections=_LOOKUP_CONNECTIONS),
        order_stripe=create_stripe(health, max_connections=_ORDER_CONNECTIONS),
        chain_watch=ChainWatch(watch.breaches),
    )


def _create_gateways(nodes: FailoverProvider, settings: Settings) -> list[Gateway]:
    return [Gateway(nodes, settings.chain_id, address) for address in settings.gateway_addresses]
