"""The audit's temporary file: an order of its own, several values of one name, and one value replaced."""

import argparse
import sqlite3
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stateless_billing.audit import command as audit_command
from stateless_billing.audit.readers.chain import Payments
from stateless_billing.audit.report.disk_table import DiskTable, DiskTableFailed
from tests.audit.builders import quoted
from tests.fakes.factories import tx_hash


def test_values_come_in_the_order_of_their_places() -> None:
    table = DiskTable()
    table.add((f"name{number % 3}", b"%03d" % (7 * number % 10), b"%d" % number) for number in range(10))
    assert [int(value) for value in table] == sorted(range(10), key=lambda number: 7 * number % 10)
    assert table.names() == ["name0", "name1", "name2"]
    assert [int(value) for value in table.values_of("name0")] == [0, 3, 6, 9]
    assert table.values_of("nobody") == []
    assert len(table) == 10
    table.close()


def test_a_value_replaces_the_one_of_its_name() -> None:
    table = DiskTable()
    for place, value in ((b"2", b"first"), (b"1", b"second")):
        table.put("a", place, value)
    table.put("b", b"1", b"other")
    assert (table.get("a"), table.get("c"), len(table)) == (b"second", None, 2)
    assert list(table) == [b"second", b"other"], "of equal places, the one that came first"
    table.close()


def test_threads_read_at_once() -> None:
    table, seen = DiskTable(), []
    table.add(("a", b"%05d" % number, b"%d" % number) for number in range(2_000))
    threads = [threading.Thread(target=lambda: seen.append(list(table))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [[b"%d" % number for number in range(2_000)]] * 4
    table.close()


def test_a_file_that_cannot_be_used_is_a_failure_of_the_file() -> None:
    table = DiskTable()
    table.close()
    with pytest.raises(OSError, match="temporary file"):
        table.put("a", b"", b"")


def test_a_disk_that_fills_up_ends_every_method_alike() -> None:
    table = DiskTable()
    table.add([(str(number), b"%04d" % number, b"x" * 1_000) for number in range(2_000)])
    values = iter(table)
    assert next(values) == b"x" * 1_000
    table.close()
    with pytest.raises(DiskTableFailed, match="Free space"):
        list(values)
    small = DiskTable()
    small._run("PRAGMA max_page_count = 50")
    with pytest.raises(DiskTableFailed, match=r"full\. Nothing was changed"):
        small.add([("a", b"", b"x" * 1_000_000)])


@pytest.mark.parametrize("command", ["audit", "explain"])
def test_a_full_disk_is_no_fault_of_the_options(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> int:
        raise DiskTableFailed(sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr(audit_command, "_run" if command == "audit" else "_explain", fail)
    monkeypatch.setattr("stateless_billing.settings.load", lambda _: SimpleNamespace(chain_id=8453))
    monkeypatch.setattr(audit_command, "Auditor", lambda **_: None)
    if command == "explain":
        assert audit_command.explain("0x", "never", lambda _: None, print) == audit_command.UNREAD
    else:
        options = argparse.Namespace(self_test=False, step=None, progress="never", spool=None)
        assert audit_command.run(options, lambda _: None, print, cast("Any", None)) == audit_command.UNREAD


def test_payments_come_back_as_they_were_in_chain_order() -> None:
    made = [quoted(n, block=300 - 100 * n, tx_hash=tx_hash(n + 1), amount=2**255 + n) for n in range(3)]
    lost = quoted(0, block=2**200, customer_id=None)
    payments = Payments()
    payments.add([*made, lost])
    assert payments[made[0].customer_id or ""] == made[::-1]
    assert (payments[""], payments.get("cus_Nobody"), payments.count(), len(payments)) == ([lost], None, 4, 2)
