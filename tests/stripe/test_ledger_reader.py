"""ListingCache: a long listing serves its customer for a minute, while newer entries are read each time."""

from typing import Any, cast

import pytest

from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe import ledger_reader
from stateless_billing.stripe.ledger_reader import ListingCache
from stateless_billing.stripe.objects import Page
from tests.fakes.factories import CUSTOMER, FakeClock, entry

pytestmark = pytest.mark.anyio


class FakeSession:
    """A ledger, newest entry first, in pages of 100; it records the size of each page that it shows."""

    def __init__(self, count: int) -> None:
        self.entries = [row(number) for number in reversed(range(count))]
        self.pages: list[int] = []

    async def list_newest_entries(
        self, customer_id: str, since: int, after: str | None = None, limit: int | None = None
    ) -> Page:
        """Show one page."""
        rows = [shown for shown in self.entries if shown.created >= since]
        first = [shown.id for shown in rows].index(after) + 1 if after else 0
        stop = first + (limit or 100)
        self.pages.append(len(rows[first:stop]))
        return Page(rows[first:stop], complete=stop >= len(rows))

    async def list_entries(self, customer_id: str, since: int, page: Page) -> list[Entry]:
        """Show all pages."""
        rows = list(page.entries)
        while not page.complete:
            page = await self.list_newest_entries(customer_id, since, rows[-1].id)
            rows += page.entries
        return rows

    def write(self, count: int = 1) -> None:
        """Add entries."""
        for _ in range(count):
            self.entries.insert(0, row(len(self.entries)))


def row(number: int) -> Entry:
    """The entry of a number, a second younger than the one before."""
    return entry(id=f"cbtxn_{number}", created=1_000 + number)


class Scene:
    """A cache over one ledger."""

    def __init__(self, count: int) -> None:
        self.session, self.clock = FakeSession(count), FakeClock()
        self.cache = ListingCache(self.clock)

    async def look(self, since: int = 1_000) -> list[int]:
        """List the ledger as an attempt does, and compare with the ledger; the sizes of the pages that were read."""
        self.session.pages.clear()
        first = await self.cache.newest_or_none(cast("Any", self.session), CUSTOMER, since)
        entries = await self.cache.list_entries(cast("Any", self.session), CUSTOMER, since, first)
        assert list(entries) == [shown for shown in self.session.entries if shown.created >= since]
        return self.session.pages.copy()


async def test_within_a_minute_only_the_newest_entries_are_read() -> None:
    scene = Scene(250)
    assert await scene.look() == [100, 100, 50]
    for _ in range(30):
        scene.session.write()
        assert await scene.look() == [20]
    scene.session.write(16)
    assert await scene.look(since=1_200) == [20]
    scene.clock.wait(60)
    assert sum(await scene.look()) == 296


async def test_an_earlier_time_or_too_many_new_entries_need_all_pages() -> None:
    scene = Scene(250)
    await scene.look(since=1_100)
    assert await scene.look(since=1_000) == [100, 100, 50]
    scene.session.write(20)
    assert await scene.look() == [20, 100, 100, 50]
    assert await scene.look() == [20]


async def test_a_ledger_of_one_page_is_read_each_time() -> None:
    scene = Scene(99)
    assert [await scene.look(), await scene.look()] == [[99], [99]]


async def test_customers_do_not_share_a_listing() -> None:
    scene = Scene(250)
    await scene.look()
    scene.session = FakeSession(3)
    other = await scene.cache.list_entries(cast("Any", scene.session), "cus_Other", 1_000)
    assert len(other) == 3


async def test_a_listing_that_outgrows_the_cache_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_reader, "_MAX_CACHED_ENTRIES", 260)
    scene = Scene(250)
    await scene.look()
    for _ in range(4):
        scene.session.write(5)
        await scene.look()
    assert len(scene.session.pages) > 1
