"""Alerts query existing metrics and say what to do, and the runbook lists each of them."""

import re
from pathlib import Path

from prometheus_client import REGISTRY

from stateless_billing.runtime import metrics
from stateless_billing.web.server import metrics_app as known

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "deployments" / "alerts.yml").read_text()
ALERTS = re.split(r"\n\s+- alert: ", RULES)[1:]


def served_metrics() -> set[str]:
    """Return the names of all series in Prometheus."""
    assert metrics.CREDITS._name == "billing_credits"
    counted = {sample for metric in REGISTRY.collect() for sample in _series(metric.name, metric.type)}
    gauges = set(re.findall(r'"(billing_\w+)"', Path(known.__file__).read_text()))
    return counted | gauges


def _series(name: str, kind: str) -> set[str]:
    endings = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
    return {name + ending for ending in endings.get(kind, [""])}


def test_alerts_query_served_metrics() -> None:
    queried = set(re.findall(r"billing_\w+", " ".join(re.findall(r"expr: (.*)", RULES))))
    assert queried
    assert queried <= served_metrics()


def test_every_alert_says_what_to_do() -> None:
    assert len(ALERTS) == RULES.count("expr:")
    for alert in ALERTS:
        assert re.search(r"severity: (page|ticket)", alert)
        assert re.search(r"\n\s+summary: .{20,}", alert), alert
        assert re.search(r"\n\s+do: .{20,}", alert), alert


def test_the_runbook_lists_every_alert() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    for alert in ALERTS:
        assert f"| `{alert.split()[0]}` |" in runbook
