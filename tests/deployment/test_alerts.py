"""The alerts ask for metrics that exist, in words that say what to do, and the runbook knows each of them."""

import re
from pathlib import Path

from prometheus_client import REGISTRY

from stateless_billing.runtime import metrics
from stateless_billing.web.server import metrics_app as known

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "deployments" / "alerts.yml").read_text()
ALERTS = re.split(r"\n\s+- alert: ", RULES)[1:]


def served() -> set[str]:
    """The names of all series, as Prometheus knows them."""
    assert metrics.CREDITS._name == "billing_credits"
    counted = {sample for one in REGISTRY.collect() for sample in _series(one.name, one.type)}
    told = set(re.findall(r'"(billing_\w+)"', Path(known.__file__).read_text()))
    return counted | told


def _series(name: str, kind: str) -> set[str]:
    endings = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
    return {name + ending for ending in endings.get(kind, [""])}


def test_alerts_ask_for_what_is_served() -> None:
    asked = set(re.findall(r"billing_\w+", " ".join(re.findall(r"expr: (.*)", RULES))))
    assert asked
    assert asked <= served()


def test_every_alert_says_what_to_do() -> None:
    assert len(ALERTS) == RULES.count("expr:")
    for one in ALERTS:
        assert re.search(r"severity: (page|ticket)", one)
        assert re.search(r"\n\s+summary: .{20,}", one), one
        assert re.search(r"\n\s+do: .{20,}", one), one


def test_the_runbook_knows_every_alert() -> None:
    told = (ROOT / "docs" / "runbook.md").read_text()
    for one in ALERTS:
        assert f"| `{one.split()[0]}` |" in told
