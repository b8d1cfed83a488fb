"""Listings to their end, searches that cannot be broken out of, sessions, health and pauses."""

import asyncio
from typing import Any

import httpx
import pytest

from stateless_billing.stripe.client import MAX_CONNECTIONS, PAGE_SIZE, StripeApi
from stateless_billing.stripe.errors import NotSent, RateLimited, RequestRejected, StripeFailure, StripeUnavailable
from stateless_billing.stripe.lookups import search_metadata
from stateless_billing.stripe.rate_limiter import Endpoint, RateLimiter
from tests.fakes.factories import CUSTOMER, START, FakeClock
from tests.fakes.fake_stripe import KEY, FakeStripe, Says, answer, error, failing, raw_customer, raw_entry, raw_list
from tests.fakes.tracing_transport import SteppingTransport
from tests.fakes.virtual_time import run_virtually

pytestmark = pytest.mark.anyio
GAP = 1.04 / 25
PAGES: list[dict[str, Any]] = [
    raw_list(raw_entry(6), raw_entry(5), has_more=True),
    raw_list(raw_entry(4), raw_entry(3), has_more=True),
    raw_list(raw_entry(2), has_more=False),
]


async def test_a_listing_of_three_pages_is_read_to_its_end() -> None:
    fake = FakeStripe(*(answer(200, page) for page in PAGES))
    async with fake.ledger().session() as session:
        found = await session.list_entries(CUSTOMER, START - 3600)
    assert [one.id for one in found] == [f"cbtxn_{number}" for number in (6, 5, 4, 3, 2)]
    asked = [fake.form(number) for number in range(3)]
    assert [one.get("starting_after") for one in asked] == [None, ["cbtxn_5"], ["cbtxn_3"]]
    assert all(one["created[gte]"] == [str(START - 3600)] and one["limit"] == [str(PAGE_SIZE)] for one in asked)


async def test_a_listing_goes_on_from_a_page_that_was_read() -> None:
    fake = FakeStripe(*(answer(200, page) for page in PAGES))
    async with fake.ledger().session() as session:
        begun = await session.list_newest_entries(CUSTOMER, START)
        assert not begun.complete
        assert len(await session.list_entries(CUSTOMER, START, begun)) == 5
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
            await session.list_entries(CUSTOMER, START)


@pytest.mark.parametrize(
    "pages",
    [
        [raw_list(raw_entry(6), raw_entry(5), has_more=True)],  # the same page for ever
        [PAGES[0], raw_list(raw_entry(4), raw_entry(6), has_more=True)],  # begins anew within a page
        [PAGES[0], PAGES[1], raw_list(raw_entry(5), has_more=False)],
    ],
)
async def test_a_listing_that_repeats_itself_is_given_up(pages: list[dict[str, Any]]) -> None:
    fake = FakeStripe(*(answer(200, page) for page in pages))
    async with fake.ledger().session() as session:
        with pytest.raises(StripeUnavailable, match="repeats itself"):
            await session.list_entries(CUSTOMER, START)
    assert len(fake.asked) <= 3


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
        assert await search_metadata(session, "mark", value) == []
    assert fake.form()["query"] == [query]


async def test_what_search_finds_is_compared_once_more() -> None:
    found = [raw_customer(id=f"cus_{n}", metadata=m) for n, m in enumerate([{"mark": "ABC"}, {"mark": "abcd"}, {}])]
    gone = {"id": "cus_gone", "object": "customer", "deleted": True}
    fake = FakeStripe(answer(200, raw_list(*found, gone)))
    async with fake.ledger().session() as session:
        assert [one.id for one in await search_metadata(session, "mark", "aBc")] == ["cus_0"]


async def test_sessions_one_after_another_share_a_connection_and_at_once_do_not() -> None:
    fake = FakeStripe(answer(200, raw_customer()))
    ledger = fake.ledger()
    for _ in range(3):
        async with ledger.session() as session:
            await session.get_customer(CUSTOMER)
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
            await session.get_customer(CUSTOMER)
            await asyncio.sleep(0)
            in_use -= 1

    await asyncio.gather(*(one() for _ in range(3 * MAX_CONNECTIONS)))
    assert (most, fake.connections) == (MAX_CONNECTIONS, MAX_CONNECTIONS)


async def test_a_session_that_fails_gives_its_connection_back() -> None:
    fake = FakeStripe(answer(200, raw_customer()))
    ledger = fake.ledger()
    for _ in range(MAX_CONNECTIONS + 1):
        with pytest.raises(asyncio.CancelledError):
            async with ledger.session():
                raise asyncio.CancelledError
    assert fake.connections == 1


async def test_health_tells_of_the_last_calls() -> None:
    fake = FakeStripe(answer(200, raw_customer()), answer(500, "<html>"), answer(200, raw_customer()))
    ledger = fake.ledger()
    fake.clock.wall_time += 3
    async with ledger.session() as session:
        await session.get_customer(CUSTOMER)
        assert (ledger.health.answered_at, ledger.health.failure, ledger.health.skew) == (fake.clock.boot_time, None, 3)
        with pytest.raises(StripeUnavailable):
            await session.get_customer(CUSTOMER)
        assert ledger.health.failure is not None
        await session.get_customer(CUSTOMER)
        assert ledger.health.failure is None


REFUSED = error(404, "invalid_request_error")


@pytest.mark.parametrize("says", [REFUSED, error(429, "rate_limit_error")])
async def test_a_refusal_is_a_sign_of_good_health(says: Says) -> None:
    fake = FakeStripe(answer(500, "<html>"), says)
    ledger = fake.ledger()
    async with ledger.session() as session:
        with pytest.raises(StripeUnavailable):
            await session.get_customer(CUSTOMER)
        assert (ledger.health.failure is None, ledger.health.failed_at) == (False, fake.clock.boot_time)
        fake.clock.wait(5)
        with pytest.raises(StripeFailure):
            await session.get_customer(CUSTOMER)
    assert (ledger.health.failure, ledger.health.answered_at) == (None, fake.clock.boot_time)


@pytest.mark.parametrize("says", [answer(200, "<html>"), error(401, "invalid_request_error")])
async def test_what_is_no_answer_is_ill_health_since_now(says: Says) -> None:
    fake = FakeStripe(REFUSED, says)
    ledger = fake.ledger()
    async with ledger.session() as session:
        with pytest.raises(RequestRejected):
            await session.get_customer(CUSTOMER)
        assert ledger.health.failure is None
        fake.clock.wait(5)
        with pytest.raises(StripeUnavailable):
            await session.get_customer(CUSTOMER)
    assert ledger.health.failed_at == fake.clock.boot_time
    assert ledger.health.failure


async def test_a_credit_is_guarded_by_its_judge_and_nothing_else_is() -> None:
    clock = FakeClock()
    made = SteppingTransport(clock)
    ledger = StripeApi(
        key=KEY,
        base="https://stripe.example",
        rate_limiter=RateLimiter(1_000_000, 1),
        clock=clock,
        transport_factory=lambda: made,
    )
    judged: list[int] = []

    def refuse(now: int) -> bool:
        judged.append(now)
        return False

    async with ledger.session() as session:
        with pytest.raises(StripeUnavailable):  # `{}` is no customer, but it was an answer
            await session.get_customer(CUSTOMER)
        with pytest.raises(NotSent):
            await session.create_entry(CUSTOMER, 1, "", {}, "k", refuse)
        with pytest.raises(NotSent, match="gone"):  # the refused write closed the connection of this session
            await session.set_metadata(CUSTOMER, {"a": "b"})
    assert made.wrote == ["connect", "GET"]
    async with ledger.session() as session:
        await session.set_metadata(CUSTOMER, {"a": "b"})
    assert judged == [START]
    assert made.wrote == ["connect", "GET", "connect", "POST", "metadata[a]=b"]


async def test_an_id_that_is_refused_leaves_no_guard_behind() -> None:
    made = SteppingTransport(FakeClock())
    ledger = StripeApi(
        key=KEY,
        base="https://stripe.example",
        rate_limiter=RateLimiter(1_000_000, 1),
        clock=made.clock,
        transport_factory=lambda: made,
    )

    def never(_: int) -> bool:
        raise AssertionError("the refused write's judge was asked about another request")

    async with ledger.session() as session:
        with pytest.raises(RequestRejected):
            await session.create_entry("cus_a/../b", 1, "", {}, "k", never)
        await session.set_metadata(CUSTOMER, {"a": "b"})  # the first request: it may open the connection
    assert made.wrote == ["connect", "POST", "metadata[a]=b"]


async def test_a_session_stays_on_its_connection_and_the_next_may_open_another() -> None:
    made = SteppingTransport(FakeClock())
    ledger = StripeApi(
        key=KEY,
        base="https://stripe.example",
        rate_limiter=RateLimiter(1_000_000, 1),
        clock=made.clock,
        transport_factory=lambda: made,
    )
    async with ledger.session() as session:
        await session.set_metadata(CUSTOMER, {"a": "1"})
        made.open = False  # Stripe closed it
        with pytest.raises(NotSent, match="gone"):
            await session.set_metadata(CUSTOMER, {"a": "2"})
    async with ledger.session() as session:
        await session.set_metadata(CUSTOMER, {"a": "3"})
    written = [one for one in made.wrote if one.startswith("metadata")]
    assert written == ["metadata[a]=1", "metadata[a]=3"]


def limited(reason: str) -> Says:
    """A rate limiter's 429."""
    return error(429, "rate_limit_error", stripe_rate_limited_reason=reason)


def pauses(says: Says) -> tuple[float, float]:
    """How long the same endpoint and another one wait after this answer."""

    async def until(endpoint: Endpoint) -> float:
        fake = FakeStripe(says, answer(200, raw_customer()))
        fake.pacer = RateLimiter(25, 1)
        async with fake.ledger().session() as session:
            with pytest.raises(RateLimited):
                await session.get_customer(CUSTOMER)
            await session.reserve_together(endpoint)
        return asyncio.get_running_loop().time()

    same, other = (run_virtually(until(one)) for one in (Endpoint.READ_CUSTOMER, Endpoint.LIST_ENTRIES))
    return same, other


@pytest.mark.parametrize(
    ("says", "same", "other"),
    [
        (limited("endpoint-rate"), 1, GAP / 4),
        (limited("endpoint-concurrency"), 1, GAP / 4),
        (limited("global-rate"), 1, 1),
        (limited("global-concurrency"), 1, 1),
        (error(429, "invalid_request_error", "lock_timeout"), GAP, GAP / 4),  # somebody else writes that one customer
    ],
)
def test_a_429_pauses_what_its_reason_names(says: Says, same: float, other: float) -> None:
    assert pauses(says) == pytest.approx((same, other))


def test_after_a_429_the_endpoint_rests_and_what_was_granted_together_goes_on() -> None:
    fake = FakeStripe(limited("endpoint-rate"), answer(200, raw_list()), answer(200, raw_customer()))
    fake.pacer = RateLimiter(25, 1)

    async def scenario() -> list[float]:
        loop = asyncio.get_running_loop()
        times = []
        async with fake.ledger().session() as session:
            with pytest.raises(RateLimited):
                await session.list_newest_entries(CUSTOMER, 0)
            await session.list_newest_entries(CUSTOMER, 0)
            times.append(loop.time())
            await session.reserve_together(Endpoint.READ_CUSTOMER, Endpoint.CREATE_ENTRY)
            times.append(loop.time())
            await session.get_customer(CUSTOMER)  # granted already
            times.append(loop.time())
            await session.get_customer(CUSTOMER)  # granted anew
            times.append(loop.time())
        return times

    assert run_virtually(scenario()) == pytest.approx([1, 1, 1, 1 + GAP])
