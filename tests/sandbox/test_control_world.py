"""Control commands for the clock, the price feed, the mailbox and the connections."""

from decimal import Decimal

from stateless_billing.sandbox.sandbox import Sandbox
from tests.sandbox.in_process_client import START, SetClock
from tests.sandbox.test_control import ask as command
from tests.sandbox.test_mailbox import HEADERS, MAIL


def test_the_clock_is_offset_and_advanced(clock: SetClock) -> None:
    sandbox = Sandbox(clock)
    assert command(sandbox, "POST", "clock", {"offset": 100})[1] == {"clock": START + 100, "offset": 100}
    assert command(sandbox, "POST", "clock", {"advance": 10})[1]["offset"] == 110
    assert sandbox.stripe.clock() == START + 110


def test_prices_are_set_exactly(sandbox: Sandbox) -> None:
    assert command(sandbox, "POST", "price", {"price": "0.0061"})[1] == {"price": "0.0061"}
    command(sandbox, "POST", "price", {"steps": [[0, "0.005"], [START, "0.007"]]})
    assert [sandbox.prices.price_at(moment) for moment in (START - 1, START)] == [Decimal("0.005"), Decimal("0.007")]
    command(sandbox, "POST", "price/faults", {"name": "lost", "times": 2})
    assert [sandbox.prices.handle("GET", "/api/v3/ping", {}).status for _ in range(3)] == [0, 0, 200]


def test_mails_are_read_failed_and_forgotten(sandbox: Sandbox) -> None:
    command(sandbox, "POST", "mails/faults", {"name": "daily_quota"})
    assert [sandbox.mailbox.handle("POST", "/emails", HEADERS, MAIL).status for _ in range(2)] == [429, 200]
    (mail,) = command(sandbox, "GET", "mails")[1]
    assert (mail["to"], mail["subject"]) == (["a@b.c"], "Hello")
    command(sandbox, "DELETE", "mails")
    assert command(sandbox, "GET", "mails")[1] == []
    command(sandbox, "POST", "mails/settings", {"per_second": 1})
    assert sandbox.mailbox.per_second == 1


def test_connections_are_refused_until_faults_are_cleared(sandbox: Sandbox) -> None:
    command(sandbox, "POST", "connections", {"refuse": 3})
    assert sandbox.refused_connections == 3
    command(sandbox, "DELETE", "faults")
    assert sandbox.refused_connections == 0
