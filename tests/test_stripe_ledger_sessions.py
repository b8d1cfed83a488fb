"""Listings to their end, searches that cannot be broken out of, sessions, health and pauses."""

import asyncio
from typing import Any

import httpx
import pytest

from stateless_billing.errors import Down, NotSent, RateLimited, StripeFailure
from stateless_billing.pacer import Endpoint, Pacer
from stateless_billing.stripe_ledger import CONNECTIONS, PAGE, StripeLedger
from tests.factories import CUSTOMER, START, FakeClock
from tests.fake_stripe import KEY, FakeStripe, Says, answer, error, failing, raw_customer, raw_entry, raw_list
from tests.stepping import SteppingTransport
from tests.virtual_time import run_virtually

pytestmark = pytest.mark.anyio
PAGES: list[dict[str, Any]] = [
    raw_list(raw_entry(6), raw_entry(5), has_more=True),
    raw_list(raw_entry(4), raw_entry(3), has_more=True),
    raw_list(raw_entry(2), has_more=False),
]


async def test_a_listing_of_three_pages_is_read_to_its_end() -> None:
    fake = FakeStripe(*(answer(200, page) for page in PAGES))
    async with fake.ledger().session() as session:
        found = await session.entries(CUSTOMER, START - 3600)
    assert [one.id for one in found] == [f"cbtxn_{number}" for number in (6, 5, 4, 3, 2)]
    asked = [fake.form(number) for number in range(3)]
    assert [one.get("starting_after") for one in asked] == [None, ["cbtxn_5"], ["cbtxn_3"]]
    assert all(one["created[gte]"] == [str(START - 3600)] and one["limit"] == [str(PAGE)] for one in asked)


async def test_a_listing_goes_on_from_a_page_that_was_read() -> None:
    fake = FakeStripe(*(answer(200, page) for page in PAGES))
    async with fake.ledger().session() as session:
        begun = await session.newest_entries(CUSTOMER, START)
        assert not begun.complete
        assert len(await session.entries(CUSTOMER, START, begun)) == 5
    assert len(fake.asked) == 3


@pytest.mark.parametrize(
    "broken",
    [
        answer(500, "<html>"),
        answer(200, '{"object": "list", "data": ['),
        error(429, "rate_limit_error"),
        failing(httpx.ReadTimeout),
        answer(200, raw_list(has_more=True)),
        answer(200, raw_list(raw_entry(4), has_more=None)),
        answer(200, raw_list(raw_entry(4, customer="cus_Other"))),
        answer(200, raw_list(raw_entry(4), None)),
    ],
)
@pytest.mark.parametrize("page", [0, 1, 2])
async def test_a_listing_that_breaks_proves_nothing(broken: Says, page: int) -> None:
    says = [answer(200, one) for one in PAGES]
    says[page] = broken
    async with FakeStripe(*says).ledger().session() as session:
        with pytest.raises(StripeFailure):
            await session.entries(CUSTOMER, START)


@pytest.mark.parametrize(
    ("value", "query"),
    [
        ("service", 'metadata["mark"]:"service"'),
        ('x" OR email:"a', 'metadata["mark"]:"x\\" OR email:\\"a"'),
        ("back\\slash", 'metadata["mark"]:"back\\\\slash"'),
        ('\\"', 'metadata["mark"]:"\\\\\\""'),
        ("ünï + & =", 'metadata["mark"]:"ünï + & ="'),
    ],
)
async def test_a_search_cannot_be_broken_out_of(value: str, query: str) -> None:
    fake = FakeStripe(answer(200, raw_list()))
    async with fake.ledger().session() as session:
        assert await session.search_metadata("mark", value) == []
    assert fake.form()["query"] == [query]


async def test_what_search_finds_is_compared_once_more() -> None:
    found = [raw_customer(id=f"cus_{n}", metadata=m) for n, m in enumerate([{"mark": "ABC"}, {"mark": "abcd"}, {}])]
    gone = {"id": "cus_gone", "object": "customer", "deleted": True}
    fake = FakeStripe(answer(200, raw_list(*found, gone)))
    async with fake.ledger().session() as session:
        assert [one.id for one in await session.search_metadata("mark", "aBc")] == ["cus_0"]


async def test_sessions_one_after_another_share_a_connection_and_at_once_do_not() -> None:
    fake = FakeStripe(answer(200, raw_customer()))
    ledger = fake.ledger()
    for _ in range(3):
        async with ledger.session() as session:
            await session.customer(CUSTOMER)
    assert fake.connections == 1
    async with ledger.session(), ledger.session():
        assert fake.connections == 2
    await ledger.aclose()


async def test_there_are_never_more_connections_than_slots() -> None:
    fake = FakeStripe(answer(200, raw_customer()))
    ledger = fake.ledger()
    in_use = most = 0

    async def one() -> None:
        nonlocal in_use, most
        async with ledger.session() as session:
            in_use += 1
            most = max(most, in_use)
            await session.customer(CUSTOMER)
            await asyncio.sleep(0)
            in_use -= 1

    await asyncio.gather(*(one() for _ in range(3 * CONNECTIONS)))
    assert (most, fake.connections) == (CONNECTIONS, CONNECTIONS)


async def test_a_session_that_fails_gives_its_connection_back() -> None:
    fake = FakeStripe(answer(200, raw_customer()))
    ledger = fake.ledger()
    for _ in range(CONNECTIONS + 1):
        with pytest.raises(asyncio.CancelledError):
            async with ledger.session():
                raise asyncio.CancelledError
    assert fake.connections == 1


async def test_health_tells_of_the_last_calls() -> None:
    fake = FakeStripe(answer(200, raw_customer()), answer(500, "<html>"), answer(200, raw_customer()))
    ledger = fake.ledger()
    fake.clock.wall_time += 3
    async with ledger.session() as session:
        await session.customer(CUSTOMER)
        assert (ledger.health.answered, ledger.health.failure, ledger.health.skew) == (fake.clock.boot_time, None, 3)
        with pytest.raises(Down):
            await session.customer(CUSTOMER)
        assert ledger.health.failure is not None
        await session.customer(CUSTOMER)
        assert ledger.health.failure is None


@pytest.mark.parametrize("says", [error(404, "invalid_request_error"), error(429, "rate_limit_error")])
async def test_a_refusal_is_no_sign_of_ill_health(says: Says) -> None:
    ledger = FakeStripe(says).ledger()
    async with ledger.session() as session:
        with pytest.raises(StripeFailure):
            await session.customer(CUSTOMER)
    assert ledger.health.failure is None


async def test_a_credit_is_guarded_by_its_judge_and_nothing_else_is() -> None:
    clock = FakeClock()
    made = SteppingTransport(clock)
    ledger = StripeLedger(KEY, "https://stripe.example", Pacer(1_000_000, 1), clock, lambda: made)
    judged: list[int] = []

    def refuse(now: int) -> bool:
        judged.append(now)
        return False

    async with ledger.session() as session:
        with pytest.raises(Down):  # `{}` is no customer, but it was an answer
            await session.customer(CUSTOMER)
        with pytest.raises(NotSent):
            await session.create_credit(CUSTOMER, 1, "", {}, "k", refuse)
        await session.set_metadata(CUSTOMER, {"a": "b"})
    assert judged == [START]
    assert made.wrote == ["connect", "GET", "connect", "POST", "metadata[a]=b"]


def test_after_a_429_the_endpoint_rests_and_what_was_granted_together_goes_on() -> None:
    fake = FakeStripe(error(429, "rate_limit_error"), answer(200, raw_list()), answer(200, raw_customer()))
    fake.pacer = Pacer(25, 1)

    async def scenario() -> list[float]:
        loop = asyncio.get_running_loop()
        times = []
        async with fake.ledger().session() as session:
            with pytest.raises(RateLimited):
                await session.newest_entries(CUSTOMER, 0)
            await session.newest_entries(CUSTOMER, 0)
            times.append(loop.time())
            await session.granted(Endpoint.READ_CUSTOMER, Endpoint.CREATE_ENTRY)
            times.append(loop.time())
            await session.customer(CUSTOMER)  # granted already
            times.append(loop.time())
            await session.customer(CUSTOMER)  # granted anew
            times.append(loop.time())
        return times

    assert run_virtually(scenario()) == pytest.approx([1, 1.01, 1.01, 1.05])
