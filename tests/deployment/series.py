"""What the service exports to Prometheus, and what a query asks for."""

import ast
from pathlib import Path

import promql_parser
from prometheus_client import REGISTRY

from stateless_billing.runtime import metrics as counters
from stateless_billing.stripe import metrics as stripe_counters
from stateless_billing.web.server import metrics_app

_SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
_OF_PROMETHEUS = {"up": set[str]()}
_TARGET_LABELS = {"job", "instance"}


def served_series() -> dict[str, set[str]]:
    """Return the labels of every series that Prometheus gets from a process, by the name of the series."""
    assert counters.CREDITS._name == "billing_credits"
    assert stripe_counters.STRIPE_CALLS._name == "billing_stripe_requests"
    series = _gauges() | {name: set(labels) for name, labels in _OF_PROMETHEUS.items()}
    for collector in REGISTRY._collector_to_names:
        name, kind = getattr(collector, "_name", ""), getattr(collector, "_type", "")
        labels = set(getattr(collector, "_labelnames", ()))
        for suffix in _SUFFIXES.get(kind, [""]) if name.startswith("billing_") else []:
            series[name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return {name: labels | _TARGET_LABELS for name, labels in series.items()}


def _gauges() -> dict[str, set[str]]:
    """The gauges that are computed on each scrape, from the code that computes them."""
    gauges = {metrics_app._build_info().name: set(metrics_app._build_info().samples[0].labels)}
    for node in ast.walk(ast.parse(Path(metrics_app.__file__).read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "GaugeMetricFamily"):
            continue
        name, labels = node.args[0], node.args[3] if len(node.args) > 3 else None
        assert isinstance(name, ast.Constant)
        if isinstance(labels, ast.List):
            gauges[str(name.value)] = {str(label.value) for label in labels.elts if isinstance(label, ast.Constant)}
        else:
            gauges.setdefault(str(name.value), set())
    return gauges


class Query:
    """A parsed PromQL expression: the series it reads, and the labels it needs of each."""

    def __init__(self, text: str) -> None:
        """Raises: ValueError."""
        self.selected: dict[str, set[str]] = {}
        self.grouped: set[str] = set()
        self.increasing: list[tuple[str, dict[str, set[str]]]] = []
        """The counters whose increase it asks for, and the values it names of each label."""
        promql_parser.walk(promql_parser.parse(text), self._visit)

    def _visit(self, node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            self._select(node.vector_selector)
        if isinstance(node, promql_parser.Call) and node.func.name == "increase":
            self.increasing += [_named(each.vector_selector) for each in node.args]
        if isinstance(node, promql_parser.VectorSelector):
            self._select(node)
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            self.grouped |= set(node.modifier.labels)

    def _select(self, selector: promql_parser.VectorSelector) -> None:
        assert selector.name, "a query names its series"
        self.selected.setdefault(selector.name, set()).update(
            matcher.name for matcher in selector.matchers.matchers if matcher.name != "__name__"
        )

    def faults(self, series: dict[str, set[str]]) -> list[str]:
        """Return what the query asks for that no process exports."""
        faults = [f"no series {name}" for name in self.selected if name not in series]
        for name, labels in self.selected.items():
            faults += [f"{name} has no label {label}" for label in labels - series.get(name, labels)]
        exported = set().union(*(series.get(name, set()) for name in self.selected))
        return faults + [f"no label {label} to group by" for label in self.grouped - exported]


def _named(selector: promql_parser.VectorSelector) -> tuple[str, dict[str, set[str]]]:
    """A selector's series, and the values it names of each label."""
    assert selector.name, "a query names its series"
    return selector.name, {each.name: set(each.value.split("|")) for each in selector.matchers.matchers}
