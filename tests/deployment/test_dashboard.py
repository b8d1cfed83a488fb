"""The dashboard for Grafana: well-formed, and every query asks for what a process exports."""

import json
import re
from itertools import combinations
from typing import Any

import pytest
import yaml

from stateless_billing.sandbox.processes import ROOT
from tests.deployment.series import Query, served_series

FOLDER = ROOT / "deployments" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel, target) for panel in PANELS for target in panel["targets"]]
SUBJECTS = {  # what must be seen, and the series that shows it
    "credits a minute": "billing_credits_total",
    "time to credit": "billing_block_to_credit_seconds_bucket",
    "pending and held by cause": "billing_uncredited_payments",
    "Stripe's calls and 429": "billing_stripe_requests_total",
    "node heads": "billing_head_timestamp_seconds",
    "node health": "billing_node_up",
    "finality": "billing_finalized_timestamp_seconds",
    "price age": "billing_rate_timestamp_seconds",
    "read budget": "billing_visitor_reads",
    "sign-ins": "billing_security_events_total",
    "broken assumptions": "billing_assumption_broken_total",
    "release": "billing_build_info",
}


def query(target: dict[str, Any]) -> Query:
    """Return a target's query, with Grafana's own variable replaced as Grafana does."""
    return Query(target["expr"].replace("$__rate_interval", "1m"))


@pytest.mark.parametrize(("panel", "target"), QUERIES, ids=[f"{p['id']}{t['refId']}" for p, t in QUERIES])
def test_a_panel_queries_served_metrics(panel: dict[str, Any], target: dict[str, Any]) -> None:
    asked = query(target)
    assert asked.selected
    assert not asked.faults(served_series()), panel["title"]
    assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= asked.grouped | {"instance"}


def test_every_subject_is_shown() -> None:
    shown = set().union(*(query(target).selected for _, target in QUERIES))
    assert set(SUBJECTS.values()) <= shown


def test_held_payments_are_those_of_the_alert() -> None:
    [alert] = re.findall(r'expr: sum by \(cause\) \(billing_uncredited_payments{cause=~"(over_limit[^"]*)"}', ALERTS)
    [panel] = [panel for panel in PANELS if panel["title"] == "Held"]
    assert f'{{cause=~"{alert}"}}' in panel["targets"][0]["expr"]


ALERTS = (ROOT / "deployments" / "alerts.yml").read_text()


def test_panels_have_an_identity_a_title_and_a_place_of_their_own() -> None:
    everything = DASHBOARD["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({panel["title"] for panel in everything}) == len(everything)
    for panel in everything:
        place = panel["gridPos"]
        assert place["w"] > 0
        assert place["x"] + place["w"] <= 24
    for one, other in combinations((panel["gridPos"] for panel in everything), 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart or above


def test_the_dashboard_reads_the_provisioned_source() -> None:
    assert {"uid", "title", "schemaVersion", "panels", "time", "refresh"} <= set(DASHBOARD)
    assert "id" not in DASHBOARD, "Grafana numbers it"
    [source] = yaml.safe_load((FOLDER / "datasource.yml").read_text())["datasources"]
    named = [panel["datasource"] for panel in PANELS] + [target["datasource"] for _, target in QUERIES]
    assert all(reference == {"type": source["type"], "uid": source["uid"]} for reference in named)
