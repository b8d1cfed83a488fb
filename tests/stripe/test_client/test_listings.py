"""Listings are read to their end, or fail."""

from typing import Any

import httpx
import pytest

from stateless_billing.stripe.client import PAGE_SIZE
from stateless_billing.stripe.errors import StripeFailure, StripeUnavailable
from tests.fakes.factories import CUSTOMER, START
from tests.fakes.fake_stripe import FakeStripe, Respond, raw_entry, raw_list, respond, respond_error, respond_failure

pytestmark = pytest.mark.anyio
PAGES: list[dict[str, Any]] = [
    raw_list(raw_entry(6), raw_entry(5), has_more=True),
    raw_list(raw_entry(4), raw_entry(3), has_more=True),
    raw_list(raw_entry(2), has_more=False),
]


async def test_three_pages_are_read_to_the_end() -> None:
    fake = FakeStripe(*(respond(200, page) for page in PAGES))
    async with fake.api().session() as session:
        entries = await session.list_entries(CUSTOMER, START - 3600)
    assert [entry.id for entry in entries] == [f"cbtxn_{number}" for number in (6, 5, 4, 3, 2)]
    queries = [fake.sent_form(number) for number in range(3)]
    assert [query.get("starting_after") for query in queries] == [None, ["cbtxn_5"], ["cbtxn_3"]]
    assert all(query["created[gte]"] == [str(START - 3600)] for query in queries)
    assert all(query["limit"] == [str(PAGE_SIZE)] for query in queries)


async def test_a_listing_continues_from_its_first_page() -> None:
    fake = FakeStripe(*(respond(200, page) for page in PAGES))
    async with fake.api().session() as session:
        first_page = await session.list_newest_entries(CUSTOMER, START)
        assert not first_page.complete
        assert len(await session.list_entries(CUSTOMER, START, first_page)) == 5
    assert len(fake.requests) == 3


@pytest.mark.parametrize(
    "broken",
    [
        respond(500, "<html>"),
        respond(200, '{"object": "list", "data": ['),
        respond_error(429, "rate_limit_error"),
        respond_failure(httpx.ReadTimeout),
        respond(200, raw_list(has_more=True)),
        respond(200, raw_list(raw_entry(4), has_more=None)),
        respond(200, raw_list(raw_entry(4, customer="cus_Other"))),
        respond(200, raw_list(raw_entry(4), None)),
    ],
)
@pytest.mark.parametrize("page", [0, 1, 2])
async def test_a_failed_page_fails_the_listing(broken: Respond, page: int) -> None:
    responses = [respond(200, body) for body in PAGES]
    responses[page : page + 1] = [broken, broken]  # a page without a proper answer is read twice
    async with FakeStripe(*responses).api().session() as session:
        with pytest.raises(StripeFailure):
            await session.list_entries(CUSTOMER, START)


@pytest.mark.parametrize(
    "pages",
    [
        [raw_list(raw_entry(6), raw_entry(5), has_more=True)],  # the same page again and again
        [PAGES[0], raw_list(raw_entry(4), raw_entry(6), has_more=True)],  # starts again within a page
        [PAGES[0], PAGES[1], raw_list(raw_entry(5), has_more=False)],
    ],
)
async def test_a_listing_that_repeats_itself_fails(pages: list[dict[str, Any]]) -> None:
    fake = FakeStripe(*(respond(200, page) for page in pages))
    async with fake.api().session() as session:
        with pytest.raises(StripeUnavailable, match="repeats itself"):
            await session.list_entries(CUSTOMER, START)
    assert len(fake.requests) <= 3
