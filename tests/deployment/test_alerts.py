"""Alerts query existing metrics and say what to do, and the runbook lists each of them."""

import re
from typing import Any

import pytest
import yaml

from stateless_billing.sandbox.processes import ROOT
from tests.deployment.series import Query, served_series

RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "deployments" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
DURATION = re.compile(r"\d+[smhd]")


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
