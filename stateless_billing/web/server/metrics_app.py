"""`GET /metrics` on its own port: counters of this process and gauges from its memory."""

import platform
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stateless_billing.services.container import Services
from stateless_billing.version import VERSION, read_commit
from stateless_billing.web.server import serving


async def serve_metrics(services: Services) -> None:
    """Serve the metrics on METRICS_PORT until cancelled, unless it is 0."""
    if port := services.settings.metrics_port:
        await serving.serve_secondary(create_metrics_app(services), services.settings.host, port)


def create_metrics_app(services: Services) -> Starlette:
    """Create the application behind METRICS_PORT."""
    service_registry = CollectorRegistry()
    service_registry.register(ServiceCollector(services))

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(REGISTRY) + generate_latest(service_registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/metrics", metrics)])


def _build_info() -> Metric:
    """Return the constant 1, whose labels say which program this process runs."""
    labels = {"version": VERSION, "commit": read_commit(), "python": platform.python_version()}
    info = GaugeMetricFamily("billing_build_info", "The program that this process runs.", None, list(labels))
    info.add_metric(list(labels.values()), 1)
    return info


class ServiceCollector(Collector):
    """Collects gauges from the services' memory, without requests to Stripe or nodes."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """Collect the current gauges."""
        yield _build_info()
        yield from self._uncredited()
        yield from self._timestamps()
        yield from self._nodes()
        caps = GaugeMetricFamily(
            "billing_grants_cap_cents", "The caps on grants; the last two in 24 hours.", None, ["cap"]
        )
        settings = self._services.settings
        caps.add_metric(["grant"], settings.max_grant_cents)
        caps.add_metric(["operator"], settings.max_grants_per_day_cents)
        caps.add_metric(["everyone"], settings.max_grants_all_cents)
        yield caps
        daily = self._services.lookup_budget.daily
        yield GaugeMetricFamily(
            "billing_visitor_reads", "Lookups of wallets unknown to the chain, this UTC day.", daily.used()
        )
        yield GaugeMetricFamily("billing_visitor_reads_limit", "This process's share of them a day.", daily.limit)

    def _uncredited(self) -> Iterator[Metric]:
        """Collect the gauges of the sweep, if this process has completed a round: others know of no payment."""
        sweeper, now = self._services.sweeper, self._services.clock.wall()
        if sweeper.completed_at is None:
            return
        yield GaugeMetricFamily(
            "billing_sweep_completed_timestamp_seconds",
            "When this process last completed a round of the sweep that read every gateway.",
            sweeper.completed_at,
        )
        waiting = sweeper.uncredited()
        count, cents = Counter[str](), Counter[str]()
        for payment, cause in waiting:
            count[cause] += 1
            cents[cause] += payment.cents
        payments = GaugeMetricFamily(
            "billing_uncredited_payments",
            "Payments on the chain without a credit yet, by what they wait for.",
            None,
            ["cause"],
        )
        promised = GaugeMetricFamily(
            "billing_uncredited_cents", "What they were promised; plain payments count 0.", None, ["cause"]
        )
        for cause in count:
            payments.add_metric([cause], count[cause])
            promised.add_metric([cause], cents[cause])
        yield payments
        yield promised
        oldest = min((payment.time for payment, _ in waiting), default=now)
        yield GaugeMetricFamily(
            "billing_oldest_uncredited_seconds",
            "The age of the oldest of them; 0 where there is none.",
            max(0, now - oldest),
        )
        swept = GaugeMetricFamily(
            "billing_swept_payments", "Up to which place of a gateway's index all is done or known.", None, ["gateway"]
        )
        for gateway, index in sweeper.swept().items():
            swept.add_metric([gateway], index)
        yield swept
        yield GaugeMetricFamily(
            "billing_unreadable_blocks",
            "Blocks whose payments no node shows as the contract counts them. Only these payments wait.",
            len(sweeper.unreadable()),
        )

    def _nodes(self) -> Iterator[Metric]:
        nodes = self._services.nodes.statuses.nodes
        if len(nodes) == 1:
            return  # nothing to compare it with
        up = GaugeMetricFamily(
            "billing_node_up", "Whether a node, one of several, answered properly when last asked.", None, ["node"]
        )
        behind = GaugeMetricFamily(
            "billing_node_behind_seconds", "How far a node's newest block is behind another node's.", None, ["node"]
        )
        for node in nodes:
            up.add_metric([node.name], not node.failure)
            behind.add_metric([node.name], node.behind_seconds)
        yield up
        yield behind

    def _timestamps(self) -> Iterator[Metric]:
        heads, rate = self._services.confirmations.latest, self._services.price_feed.latest
        if heads:
            yield GaugeMetricFamily(
                "billing_head_timestamp_seconds", "When the newest known block was made.", heads.latest.time
            )
            yield GaugeMetricFamily(
                "billing_finalized_timestamp_seconds", "When the newest final block was made.", heads.finalized.time
            )
        if rate:
            yield GaugeMetricFamily("billing_rate_timestamp_seconds", "Of when the newest known price is.", rate.at)
        skew = self._services.stripe.health.skew
        if skew is not None:
            yield GaugeMetricFamily("billing_clock_skew_seconds", "This machine's clock minus Stripe's.", skew)
