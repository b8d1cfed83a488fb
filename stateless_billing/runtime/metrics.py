"""Prometheus metrics of this process (prometheus.io/docs/practices/naming).

Counters count what this process did. `web/server/metrics_app.py` adds gauges that are computed on each scrape.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

_METHODS = ("GET", "HEAD", "POST", "OPTIONS")
_OTHER = "other"

NODE_CALLS = Counter(
    "billing_node_requests", "Calls to the chain's nodes. outcome: ok, failed.", ["node", "method", "outcome"]
)
PRICE_CALLS = Counter("billing_price_requests", "Calls to the price feed. outcome: ok, failed.", ["outcome"])
CREDITS = Counter(
    "billing_credits",
    "Credits that this process wrote. path: claim, sweep, order, other; kind: quoted, plain.",
    ["path", "kind"],
)
CREDIT_CENTS = Counter("billing_credit_cents", "Cents that this process credited.", ["path", "kind"])
CREDIT_SECONDS = Histogram(
    "billing_block_to_credit_seconds",
    "From a payment's block to its credit.",
    ["kind"],
    buckets=(5, 10, 20, 30, 60, 120, 300, 900, 1800, 3600, 14400, 86400),
)
for _kind in ("quoted", "plain"):
    CREDIT_SECONDS.labels(_kind)  # exported as 0 before the first, so that the first is an increase
GRANTS = Counter(
    "billing_grants", "Grants that were asked of this process. state: given, open, refused, undone.", ["state"]
)
GRANT_CENTS = Counter("billing_grant_cents", "Cents of the grants that were asked of this process and given.")
VISITOR_LOOKUPS = Counter(
    "billing_visitor_lookups",
    "Lookups of wallets that would read Stripe. wallet: registered, unknown (to the gateway); outcome: ok, or the limit"
    " that refused it: origin, all, day_of_origin, day.",
    ["wallet", "outcome"],
)
ACCOUNT_STREAMS = Gauge("billing_account_streams", "Open streams of accounts.")
ACCOUNT_STREAMS_ENDED = Counter(
    "billing_account_streams_ended",
    "Streams of accounts that ended. cause: closed (by the client), displaced (made room), moved, shutdown.",
    ["cause"],
)
SECURITY_EVENTS = Counter(
    "billing_security_events", "Sign-ins, refusals and uses of rights; docs/runbook.md lists the events.", ["event"]
)
ASSUMPTIONS_BROKEN = Counter(
    "billing_assumption_broken",
    "What this process saw of Stripe, nodes and price feed that should be impossible; docs/exactly-once.md lists it.",
    ["assumption"],
)
REQUESTS = Counter("billing_http_requests", "Requests that were answered.", ["part", "method", "status"])
REQUEST_SECONDS = Histogram(
    "billing_http_request_seconds",
    "How long requests took, to the last byte of the answer.",
    ["part"],
    buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
)


def export_failures(part: str) -> None:
    """Export the unexpected errors of a part of the site as 0 before the first, so that the first is an increase."""
    for method in (*_METHODS, _OTHER):
        REQUESTS.labels(part or _OTHER, method, "500")


def record_node_call(node: str, method: str, answered: bool) -> None:
    """Count one call to a node."""
    NODE_CALLS.labels(node, method, "ok" if answered else "failed").inc()


@contextmanager
def record_request(part: str, method: str) -> Iterator[dict[str, int]]:
    """Count and time one request to a part of the site.

    The caller puts `status` into the dict this yields.
    """
    response: dict[str, int] = {}
    started_at = time.perf_counter()
    try:
        yield response
    finally:
        method_label = method if method in _METHODS else _OTHER
        REQUESTS.labels(part or _OTHER, method_label, str(response.get("status", 0))).inc()
        REQUEST_SECONDS.labels(part or _OTHER).observe(time.perf_counter() - started_at)
