"""Alerts query existing metrics and say what to do, and the runbook lists each of them."""

import re
import sys
from functools import cache
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.processes import ROOT
from stateless_billing.stripe.rate_limiter import Endpoint
from stateless_billing.web.server.rate_limits import GROUPS
from tests.deployment.series import Query, served_series

RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "deployments" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
DURATION = re.compile(r"\d+[smhd]")
NEW_PROCESS = "import stateless_billing.web.routes; from prometheus_client import *; print(generate_latest().decode())"


@pytest.mark.parametrize(
    "text", ["billing_credits", 'billing_credits_total{node="x"}', "sum by (node) (billing_credits_total)"]
)
def test_a_wrong_query_is_noticed(text: str) -> None:
    assert len(Query(text).faults(served_series())) == 1


def test_a_malformed_query_is_noticed() -> None:
    with pytest.raises(ValueError, match="unclosed"):
        Query("sum(billing_credits_total")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_queries_served_metrics(rule: dict[str, Any]) -> None:
    query = Query(rule["expr"])
    assert query.selected
    assert not query.faults(served_series())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert DURATION.fullmatch(rule.get("for", "0s"))
    assert set(rule["labels"]) == {"severity"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "do"}
    assert all(len(text) > 20 for text in rule["annotations"].values())
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    assert named <= Query(rule["expr"]).grouped


def test_the_runbook_lists_every_alert() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    for rule in RULES:
        assert f"| `{rule['alert']}` |" in runbook


@cache
def exported_at_the_start() -> list[tuple[str, dict[str, str]]]:
    """The counters of a process before its first request: names and labels."""
    run = processes.run([sys.executable, "-c", NEW_PROCESS], check=True, cwd=ROOT)
    families = text_string_to_metric_families(run.stdout)
    return [(sample.name, sample.labels) for family in families for sample in family.samples]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_on_an_increase_sees_the_first_occurrence(rule: dict[str, Any]) -> None:
    """Prometheus takes the first value of a series for where it always was, so it must be 0."""
    for name, wanted in Query(rule["expr"]).increasing:
        of_counter = [labels for exported, labels in exported_at_the_start() if exported == name]
        assert of_counter, f"{name} is not exported before the first"
        for label, values in wanted.items():
            assert values <= {labels.get(label) for labels in of_counter}


def test_the_429s_of_a_deployment_are_no_alert() -> None:
    """While three processes find their pattern, one in a thousand of 6,000 calls is refused (docs/scale.md)."""
    [rule] = [rule for rule in RULES if rule["alert"] == "BillingRateLimited"]
    amount, _, threshold = rule["expr"].rpartition(" > ")
    assert amount == 'sum(increase(billing_stripe_requests_total{outcome="limited"}[15m]))'
    assert 6 < int(threshold) <= 20


def test_the_first_failure_of_each_part_and_endpoint_is_an_increase() -> None:
    exported = exported_at_the_start()
    for part in GROUPS:
        for method in ("GET", "HEAD", "POST", "OPTIONS", "other"):
            labels = {"part": part or "other", "method": method, "status": "500"}
            assert ("billing_http_requests_total", labels) in exported
    for endpoint in Endpoint:
        for outcome in ("limited", "down", "unclear"):
            assert ("billing_stripe_requests_total", {"endpoint": endpoint, "outcome": outcome}) in exported
    for kind in ("quoted", "plain"):
        assert ("billing_block_to_credit_seconds_count", {"kind": kind}) in exported
