"""Security events are always counted, logged a few times a minute where strangers repeat them, and reveal nobody."""

import json
import logging
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from stateless_billing.runtime import logs
from stateless_billing.runtime.security_log import EVENTS, SecurityLog, mask_name, mask_origin
from tests.fakes.factories import FakeClock

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    """Return the lines as they are written to the log."""
    format_line = logs._JsonLineFormatter(()).format
    return [json.loads(format_line(record)) for record in caplog.records]


def counted(event: str) -> float:
    return REGISTRY.get_sample_value("billing_security_events_total", {"event": event}) or 0.0


def test_a_line_has_the_event_and_its_fields(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    SecurityLog(clock).record("grant_given", "192.0.2.7", "ann@example.org", customer="cus_A", cents=750, role="")
    line = lines(caplog)[0]
    assert line["message"] == ("grant_given operator=ann@example.org network=192.0.2.0/24 customer=cus_A cents=750")
    assert (line["event"], line["operator"], line["network"]) == ("grant_given", "ann@example.org", "192.0.2.0/24")
    assert (line["customer"], line["cents"], line["level"]) == ("cus_A", 750, "INFO")
    assert "role" not in line


def test_a_flood_is_counted_and_does_not_fill_the_log(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    security_log, before = SecurityLog(clock), counted("sign_in_failed")
    for number in range(1_000):
        security_log.record("sign_in_failed", f"192.0.2.{number % 250}", method="code")
    assert len(caplog.records) == 10
    assert counted("sign_in_failed") - before == 1_000
    security_log.record("sign_in_failed", "192.0.2.1", "ann@example.org")
    security_log.record("sign_in_failed", "198.51.100.1")
    assert len(caplog.records) == 12, "attempts at an operator and other networks have lines of their own"
    clock.wait(7)
    security_log.record("sign_in_failed", "192.0.2.9")
    assert lines(caplog)[-1]["suppressed"] == 990


def test_what_operators_do_is_always_logged(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    security_log = SecurityLog(clock)
    for _ in range(100):
        security_log.record("order_written", "192.0.2.7", "ann@example.org")
    assert len(caplog.records) == 100


def test_no_field_forges_a_line(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    SecurityLog(clock).record("request_forged", "192.0.2.7", site="evil\nERROR everything\u2028is lost" + "x" * 1_000)
    assert len(caplog.messages[0]) < 300
    assert len(caplog.messages[0].splitlines()) == 1


@pytest.mark.parametrize(
    ("origin", "masked"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("127.0.0.1", "127.0.0.0/24"),
        ("2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8:1:2::9", "2001:db8:1::/48"),
        ("/run/socket", "unknown"),
        ("", "unknown"),
    ],
)
def test_addresses_are_shortened_to_their_network(origin: str, masked: str) -> None:
    assert mask_origin(origin) == masked


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("Jane.Doe@Example.org", "j…@example.org"),
        ("0x" + "ab" * 20, "0xabab…abab"),
        ("@", "…@"),
        ("short", "…"),
        ("", "…"),
    ],
)
def test_strangers_are_masked(name: str, masked: str) -> None:
    assert mask_name(name) == masked


def test_every_event_is_served_from_the_start_and_in_the_runbook() -> None:
    text = RUNBOOK.read_text()
    for event in EVENTS:
        assert REGISTRY.get_sample_value("billing_security_events_total", {"event": event}) is not None
        assert f"| `{event}` |" in text
