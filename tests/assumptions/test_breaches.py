"""A fact is counted once, in a bounded memory, and a fault of the watching stays there."""

import logging
import re

import pytest
from prometheus_client import REGISTRY

from stateless_billing.assumptions.breaches import Breaches, Watch, harmless
from stateless_billing.assumptions.catalog import ASSUMPTIONS
from stateless_billing.sandbox.processes import ROOT


class Broken(Watch):
    """A watch with a fault."""

    @harmless
    def look(self, number: int) -> None:
        """Divide by a number."""
        self.breaches.report("list_went_back", 100 // number, "the list of cus_Alice1 omits cbtxn_1")


def total(name: str) -> float:
    return REGISTRY.get_sample_value("billing_assumption_broken_total", {"assumption": name}) or 0.0


def test_every_counter_is_there_from_the_start() -> None:
    for name in ASSUMPTIONS:
        assert REGISTRY.get_sample_value("billing_assumption_broken_total", {"assumption": name}) is not None


def test_a_fact_is_counted_once_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    breaches, before = Breaches(), total("list_went_back")
    with caplog.at_level(logging.ERROR):
        for fact in ("a", "a", "b"):
            breaches.report("list_went_back", fact, "the list of cus_Alice1 omits cbtxn_1")
    assert breaches.counts == {"list_went_back": 2}
    assert total("list_went_back") == before + 2
    assert [record.__dict__["assumption"] for record in caplog.records] == ["list_went_back"] * 2
    assert "cus_Alice1 omits cbtxn_1" in caplog.text


def test_the_memory_is_bounded() -> None:
    breaches = Breaches()
    for fact in range(20_000):
        breaches._facts["list_went_back", fact] = True
    assert len(breaches._facts) == 10_000


def test_a_fault_of_the_watching_is_logged_and_reaches_nobody(caplog: pytest.LogCaptureFixture) -> None:
    watch = Broken(Breaches())
    for _ in range(5):
        watch.look(0)
    assert len(watch.breaches.failures) == 3
    assert "could not be watched" in caplog.text
    assert not watch.breaches.counts


def test_the_document_lists_every_assumption_that_is_counted() -> None:
    text = (ROOT / "docs" / "exactly-once.md").read_text()
    section = text.partition("## What is assumed")[2].partition("Some breaches")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")]
    counted = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row[2])}
    assert counted == set(ASSUMPTIONS)
    assert all(len(row) == 4 for row in rows), "assumed | seen | counter | money"
