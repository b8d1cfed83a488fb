"""An interrupted audit goes on from the pages that it has read, if they are still true."""

import asyncio
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from stateless_billing.audit.auditor import InvalidOptions
from stateless_billing.audit.readers.ledger_spool import InvalidSpool, LedgerSpool, PageRequest, SpoolFailed, SpoolHead
from stateless_billing.audit.report.formats import write_json
from stateless_billing.audit.report.report import Options, Report, snapshot_label
from stateless_billing.sandbox.account import Entry as Row
from tests.audit.test_run import PAID, with_own_wallets
from tests.audit.world import World
from tests.fakes.factories import block

pytestmark = pytest.mark.anyio
LEDGER = "/balance_transactions"
MANY = 250  # charges of each customer: three pages


class Killed(BaseException):
    """The process was killed."""


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A file that does not exist yet."""
    return tmp_path / "october.spool"


@pytest.fixture
def world() -> World:
    """Two customers with long ledgers."""
    world = World(with_own_wallets(PAID))
    for customer in tuple(world.stripe.account.by_id.values()):
        world.add_charges(customer, MANY, block(9_000).time, 4)
    return world


async def audit(world: World, spool: Path | None, settings: dict[str, str] | None = None, **options: Any) -> Report:
    async with world.create_auditor(**settings or {}) as auditor:
        with LedgerSpool(spool) if spool else nullcontext() as pages:
            return await auditor.run(Options(**{"deep": True} | options), pages)


def text_of(report: Report) -> str:
    return "".join(write_json(report))


@contextmanager
def killed_after(world: World, pages: int) -> Iterator[None]:
    """Kill the audit within the block once it has read so many pages of ledgers."""
    read = 0

    def kill(request: httpx.Request) -> httpx.Response | None:
        nonlocal read
        if request.url.path.endswith(LEDGER):
            read += 1
            if read > pages:
                raise Killed
        return None

    world.stripe_transport.hook = kill
    with pytest.raises(Killed):
        yield


def read(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def list_folder(path: Path) -> list[Path]:
    return list(path.iterdir())


def is_private(path: Path) -> bool:
    return stat.S_IMODE(path.stat().st_mode) == 0o600


def ledger_reads(world: World) -> int:
    return sum(LEDGER in request for request in world.stripe_transport.requests)


async def interrupted(world: World, spool: Path, pages: int = 4) -> None:
    before = asyncio.all_tasks()
    with killed_after(world, pages):
        await audit(world, spool)
    # A kill ends all tasks of a process; here the others go on.
    others = asyncio.all_tasks() - before
    await asyncio.gather(*others, return_exceptions=True)
    world.stripe_transport.hook = lambda _: None
    world.stripe_transport.requests.clear()


async def test_the_report_is_that_of_an_audit_without_interruption(world: World, spool: Path) -> None:
    await interrupted(world, spool)
    assert is_private(spool)
    world.now += 60
    resumed = await audit(world, spool)
    assert ledger_reads(world) == 2, "six pages in all, of which four were read"
    whole = await audit(world, None, at=snapshot_label(resumed.scope) if resumed.scope else None)
    assert text_of(resumed) == text_of(replace(whole, options=resumed.options))
    assert resumed.is_clean
    assert list_folder(spool.parent) == [spool], "whoever has written the report removes it"


async def test_a_ledger_that_has_grown_costs_two_reads(world: World, spool: Path) -> None:
    await interrupted(world, spool)
    world.now += 60
    for customer in tuple(world.stripe.account.by_id.values()):
        world.add(customer, (world.now, Row(7, "usd", "Usage")))
    resumed = await audit(world, spool)
    reads = [request for request in world.stripe_transport.requests if LEDGER in request]
    assert [LEDGER + "/" in request for request in reads].count(True) == 2
    assert len(reads) == 6, "its newest entry, what came since, and the two pages that were not read"
    whole = await audit(world, None, at=snapshot_label(resumed.scope) if resumed.scope else None)
    assert text_of(resumed) == text_of(replace(whole, options=resumed.options))


@pytest.mark.parametrize("change", ["cents", "ending_cents", "created", "gone"])
async def test_a_ledger_without_its_newest_entry_is_read_again(world: World, spool: Path, change: str) -> None:
    await interrupted(world, spool, pages=5)
    world.now += 60
    for customer in tuple(world.stripe.account.by_id.values()):
        world.add(customer, (world.now, Row(7, "usd", "Usage")))

    def lie(request: httpx.Request) -> httpx.Response | None:
        if LEDGER + "/" not in request.url.path:
            return None
        if change == "gone":
            return httpx.Response(404, json={"error": {"code": "resource_missing"}})
        path = request.url.raw_path.decode()
        entry = msgspec.json.decode(world.stripe.handle("GET", path, dict(request.headers), b"").body)
        name = {"cents": "amount", "ending_cents": "ending_balance", "created": "created"}[change]
        return httpx.Response(200, json=entry | {name: entry[name] + 1})

    world.stripe_transport.hook = lie
    assert (await audit(world, spool)).is_clean
    assert ledger_reads(world) == 6 + 2 * 2


async def test_a_file_cut_off_within_a_line_goes_on_before_it(world: World, spool: Path) -> None:
    await interrupted(world, spool)
    content = read(spool)
    write(spool, content[:-20])
    assert (await audit(world, spool)).is_clean
    assert ledger_reads(world) == 3


@pytest.mark.parametrize(
    ("settings", "options"),
    [({}, {"deep": False}), ({}, {"until": "500"}), ({"SERVICE_CUSTOMER_ID": "cus_Other"}, {}), ({}, {"at": "9:9"})],
)
async def test_another_audit_does_not_go_on_from_it(
    world: World, spool: Path, settings: dict[str, str], options: dict[str, Any]
) -> None:
    await interrupted(world, spool)
    content = read(spool)
    with pytest.raises(InvalidOptions, match=r"Name another file, or delete it to start anew"):
        await audit(world, spool, settings, **options)
    assert read(spool) == content


async def test_another_chain_does_not_go_on_from_it(world: World, spool: Path) -> None:
    await interrupted(world, spool)
    lines = read(spool).splitlines(keepends=True)
    head = msgspec.json.decode(lines[0], type=SpoolHead)
    other = msgspec.structs.replace(head, block_hash="0x" + "00" * 32)
    write(spool, msgspec.json.encode(other) + b"\n" + b"".join(lines[1:]))
    with pytest.raises(InvalidOptions, match="the chain has another block 9000"):
        await audit(world, spool)


async def test_a_file_cut_off_within_its_first_line_begins_anew(world: World, spool: Path) -> None:
    await interrupted(world, spool)
    write(spool, read(spool)[:40])
    assert (await audit(world, spool)).is_clean
    assert ledger_reads(world) == 6


@pytest.mark.parametrize("content", [b"hello\n", b"{}\n", b'{"version":2,"inputs":"","at":"","block_hash":""}\n'])
def test_a_file_of_somebody_else_is_refused_and_left_alone(spool: Path, content: bytes) -> None:
    spool.write_bytes(content)
    with pytest.raises(InvalidSpool):
        LedgerSpool(spool)
    assert spool.read_bytes() == content


def test_two_audits_do_not_share_a_file(spool: Path) -> None:
    with LedgerSpool(spool), pytest.raises(InvalidSpool, match="in use"):
        LedgerSpool(spool)


def test_a_text_without_an_end_of_line_is_not_deleted(spool: Path) -> None:
    spool.write_bytes(b"somebody's notes")
    with pytest.raises(InvalidSpool):
        LedgerSpool(spool)
    assert spool.read_bytes() == b"somebody's notes"


def test_pages_are_kept_by_request(spool: Path) -> None:
    request = PageRequest("cus_A", 0, 9, None)
    with LedgerSpool(spool) as pages:
        pages.begin(SpoolHead(inputs="", at="1:2", block_hash="0x"))
        pages.add(request, b'{"data": [],\n "has_more": false}')
    with LedgerSpool(spool) as pages:
        assert pages.get(request) == b'{"data": [],\n "has_more": false}'
        assert pages.get(request._replace(after="cbtxn_1")) is None
        assert pages.newest_entry("cus_A") is None
        assert (pages.pages, pages.customers) == (1, 1)


def test_a_full_disk_leaves_the_file_as_it_was(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (PageRequest(name, 0, 9, None) for name in ("cus_A", "cus_B"))
    body = b'{"data": [], "has_more": false}'
    with LedgerSpool(spool) as pages:
        pages.begin(SpoolHead(inputs="", at="1:2", block_hash="0x"))
        with monkeypatch.context() as full:
            full.setattr(os, "pwrite", Full())
            with pytest.raises(SpoolFailed, match=r"No space left on device; once .* goes on from .*october.spool"):
                pages.add(first, body * 2)
        assert pages.get(first) is None
        pages.add(second, body)
        assert pages.get(second) == body
    with LedgerSpool(spool) as pages:
        assert (pages.get(first), pages.get(second)) == (None, body)


class Full:
    """A disk with room for ten more bytes."""

    def __init__(self) -> None:
        self._write, self._room = os.pwrite, 10

    def __call__(self, file: int, content: memoryview, place: int) -> int:
        """Write as much as fits."""
        if not self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written, self._room = self._write(file, content[: self._room], place), 0
        return written
