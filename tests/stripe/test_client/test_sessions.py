"""Sessions and their connections, health, guarded writes, and pauses after a 429."""

import asyncio
import json

import httpx
import pytest

from stateless_billing.stripe.client import MAX_CONNECTIONS, StripeApi, StripeSession
from stateless_billing.stripe.errors import NotSent, RateLimited, RequestRejected, StripeFailure, StripeUnavailable
from stateless_billing.stripe.rate_limiter import Endpoint, RateLimiter
from tests.fakes.factories import CUSTOMER, START, FakeClock
from tests.fakes.fake_stripe import (
    KEY,
    FakeStripe,
    Respond,
    raw_customer,
    raw_entry,
    raw_list,
    respond,
    respond_error,
    respond_failure,
)
from tests.fakes.tracing_transport import TracingTransport
from tests.fakes.virtual_time import run_virtually

pytestmark = pytest.mark.anyio
GAP = 1.04 / 25


async def test_consecutive_sessions_share_a_connection_and_concurrent_ones_do_not() -> None:
    fake = FakeStripe(respond(200, raw_customer()))
    api = fake.api()
    for _ in range(3):
        async with api.session() as session:
            await session.get_customer(CUSTOMER)
    assert fake.connections == 1
    async with api.session(), api.session():
        assert fake.connections == 2
    await api.aclose()


async def test_connections_are_limited() -> None:
    fake = FakeStripe(respond(200, raw_customer()))
    api = fake.api()
    in_use = peak = 0

    async def use_session() -> None:
        nonlocal in_use, peak
        async with api.session() as session:
            in_use += 1
            peak = max(peak, in_use)
            await session.get_customer(CUSTOMER)
            await asyncio.sleep(0)
            in_use -= 1

    await asyncio.gather(*(use_session() for _ in range(3 * MAX_CONNECTIONS)))
    assert (peak, fake.connections) == (MAX_CONNECTIONS, MAX_CONNECTIONS)


async def test_a_failed_session_returns_its_connection() -> None:
    fake = FakeStripe(respond(200, raw_customer()))
    api = fake.api()
    for _ in range(MAX_CONNECTIONS + 1):
        with pytest.raises(asyncio.CancelledError):
            async with api.session():
                raise asyncio.CancelledError
    assert fake.connections == 1


async def test_health_reflects_the_last_call() -> None:
    failed = respond(500, "<html>")
    fake = FakeStripe(respond(200, raw_customer()), failed, failed, respond(200, raw_customer()))
    api = fake.api()
    fake.clock.wall_time += 3
    async with api.session() as session:
        await session.get_customer(CUSTOMER)
        assert (api.health.answered_at, api.health.failure, api.health.skew) == (fake.clock.boot_time, None, 3)
        with pytest.raises(StripeUnavailable):
            await session.get_customer(CUSTOMER)
        assert api.health.failure is not None
        await session.get_customer(CUSTOMER)
        assert api.health.failure is None


REJECTED = respond_error(404, "invalid_request_error")


@pytest.mark.parametrize("response", [REJECTED, respond_error(429, "rate_limit_error")])
async def test_a_rejection_counts_as_healthy(response: Respond) -> None:
    fake = FakeStripe(respond(500, "<html>"), respond(500, "<html>"), response)
    api = fake.api()
    async with api.session() as session:
        with pytest.raises(StripeUnavailable):
            await session.get_customer(CUSTOMER)
        assert (api.health.failure is None, api.health.failed_at) == (False, fake.clock.boot_time)
        fake.clock.wait(5)
        with pytest.raises(StripeFailure):
            await session.get_customer(CUSTOMER)
    assert (api.health.failure, api.health.answered_at) == (None, fake.clock.boot_time)


@pytest.mark.parametrize("response", [respond(200, "<html>"), respond_error(401, "invalid_request_error")])
async def test_an_unavailable_api_is_unhealthy_since_now(response: Respond) -> None:
    fake = FakeStripe(REJECTED, response)
    api = fake.api()
    async with api.session() as session:
        with pytest.raises(RequestRejected):
            await session.get_customer(CUSTOMER)
        assert api.health.failure is None
        fake.clock.wait(5)
        with pytest.raises(StripeUnavailable):
            await session.get_customer(CUSTOMER)
    assert api.health.failed_at == fake.clock.boot_time
    assert api.health.failure


CUSTOMER_READ = respond(200, raw_customer())


@pytest.mark.parametrize(
    "broken", [respond(503, "<html>"), respond(200, "{"), respond_failure(httpx.ReadError)], ids=["503", "cut", "reset"]
)
async def test_a_read_without_a_proper_answer_is_repeated_at_once(broken: Respond) -> None:
    fake = FakeStripe(broken, CUSTOMER_READ)
    api = fake.api()
    async with api.session() as session:
        assert (await session.get_customer(CUSTOMER)).id == CUSTOMER
        assert api.health.failure is None
        await credit(session, fake)


@pytest.mark.parametrize("answer", [respond_error(401, "x"), respond_error(404, "x"), respond_error(429, "x")])
async def test_a_proper_answer_is_not_asked_for_twice(answer: Respond) -> None:
    fake = FakeStripe(answer)
    async with fake.api().session() as session:
        with pytest.raises(StripeFailure):
            await session.get_customer(CUSTOMER)
    assert len(fake.requests) == 1


async def test_a_write_is_never_repeated() -> None:
    fake = FakeStripe(CUSTOMER_READ, respond(503, "<html>"))
    async with fake.api().session() as session:
        await session.get_customer(CUSTOMER)
        with pytest.raises(StripeFailure):
            await session.set_metadata(CUSTOMER, {"a": "b"})
        with pytest.raises(StripeFailure):
            await session.create_entry(CUSTOMER, 1, "", {}, "k", lambda _: True)
    assert len(fake.requests) == 3


async def test_no_credit_follows_reads_over_two_connections() -> None:
    fake = FakeStripe(CUSTOMER_READ, respond(503, "<html>"), CUSTOMER_READ)
    async with fake.api().session() as session:
        await session.get_customer(CUSTOMER)
        await session.get_customer(CUSTOMER)
        with pytest.raises(NotSent, match="broke between the reads"):
            await session.create_entry(CUSTOMER, 1, "", {}, "k", lambda _: True)
    async with fake.api().session() as session:
        await session.get_customer(CUSTOMER)
        await credit(session, fake)


async def test_no_credit_follows_a_refused_read_over_another_connection() -> None:
    """That the customer is missing was told over the first connection."""
    missing = respond_error(404, "invalid_request_error", "resource_missing")
    fake = FakeStripe(missing, respond(503, "<html>"), CUSTOMER_READ)
    async with fake.api().session() as session:
        with pytest.raises(RequestRejected):
            await session.get_customer(CUSTOMER)
        await session.get_customer(CUSTOMER)
        with pytest.raises(NotSent, match="broke between the reads"):
            await session.create_entry(CUSTOMER, 1, "", {}, "k", lambda _: True)


async def credit(session: StripeSession, fake: FakeStripe) -> None:
    """Credit a cent in this session."""
    written = raw_entry(1, amount=-1, metadata={}, description="")
    fake.responses = [respond(200, written)]
    assert (await session.create_entry(CUSTOMER, 1, "", {}, "k", lambda _: True)).cents == 1


async def test_only_a_credit_is_guarded() -> None:
    clock = FakeClock()
    transport = TracingTransport(clock)
    transport.body = json.dumps(raw_customer()).encode()
    api = StripeApi(
        key=KEY,
        base="https://stripe.example",
        rate_limiter=RateLimiter(rate=1_000_000, total_rate=4000000, processes=1),
        clock=clock,
        transport_factory=lambda: transport,
    )
    checked_at: list[int] = []

    def refuse(now: int) -> bool:
        checked_at.append(now)
        return False

    async with api.session() as session:
        await session.get_customer(CUSTOMER)
        with pytest.raises(NotSent):
            await session.create_entry(CUSTOMER, 1, "", {}, "k", refuse)
        with pytest.raises(NotSent, match="gone"):  # the stopped write closed this session's connection
            await session.set_metadata(CUSTOMER, {"a": "b"})
    assert transport.written == ["connect", "GET"]
    async with api.session() as session:
        await session.set_metadata(CUSTOMER, {"a": "b"})
    assert checked_at == [START]
    assert transport.written == ["connect", "GET", "connect", "POST", "metadata[a]=b"]


async def test_a_rejected_id_leaves_no_guard_behind() -> None:
    transport = TracingTransport(FakeClock())
    api = StripeApi(
        key=KEY,
        base="https://stripe.example",
        rate_limiter=RateLimiter(rate=1_000_000, total_rate=4000000, processes=1),
        clock=transport.clock,
        transport_factory=lambda: transport,
    )

    def never(_: int) -> bool:
        raise AssertionError("the rejected write's check was used for another request")

    async with api.session() as session:
        with pytest.raises(RequestRejected):
            await session.create_entry("cus_a/../b", 1, "", {}, "k", never)
        await session.set_metadata(CUSTOMER, {"a": "b"})  # the first request may open the connection
    assert transport.written == ["connect", "POST", "metadata[a]=b"]


async def test_only_the_next_session_may_open_another_connection() -> None:
    transport = TracingTransport(FakeClock())
    api = StripeApi(
        key=KEY,
        base="https://stripe.example",
        rate_limiter=RateLimiter(rate=1_000_000, total_rate=4000000, processes=1),
        clock=transport.clock,
        transport_factory=lambda: transport,
    )
    async with api.session() as session:
        await session.set_metadata(CUSTOMER, {"a": "1"})
        transport.is_open = False  # Stripe closed it
        with pytest.raises(NotSent, match="gone"):
            await session.set_metadata(CUSTOMER, {"a": "2"})
    async with api.session() as session:
        await session.set_metadata(CUSTOMER, {"a": "3"})
    written = [data for data in transport.written if data.startswith("metadata")]
    assert written == ["metadata[a]=1", "metadata[a]=3"]


def limited(reason: str) -> Respond:
    """Respond with a rate limiter's 429."""
    return respond_error(429, "rate_limit_error", stripe_rate_limited_reason=reason)


def pauses(response: Respond) -> tuple[float, float]:
    """Return how long the same and another endpoint pause after this response."""

    async def free_at(endpoint: Endpoint) -> float:
        fake = FakeStripe(response, respond(200, raw_customer()))
        fake.rate_limiter = RateLimiter(rate=25, total_rate=100, processes=1)
        async with fake.api().session() as session:
            with pytest.raises(RateLimited):
                await session.get_customer(CUSTOMER)
            await session.reserve_together(endpoint)
        return asyncio.get_running_loop().time()

    return run_virtually(free_at(Endpoint.READ_CUSTOMER)), run_virtually(free_at(Endpoint.LIST_ENTRIES))


SHIFT, PAUSE = (GAP / 4, 3 * GAP), (0.25, 0.75)  # at least, at most
Wait = float | tuple[float, float]


@pytest.mark.parametrize(
    ("response", "same", "other"),
    [
        (limited("endpoint-rate"), SHIFT, GAP / 4),
        (limited("endpoint-concurrency"), PAUSE, GAP / 4),
        (limited("global-rate"), SHIFT, SHIFT),
        (limited("global-concurrency"), PAUSE, PAUSE),
        (respond_error(429, "invalid_request_error", "lock_timeout"), GAP, GAP / 4),  # another write to that customer
    ],
)
def test_a_429_pauses_what_its_reason_says(response: Respond, same: Wait, other: Wait) -> None:
    for seconds, wait in zip(pauses(response), (same, other), strict=True):
        least, most = wait if isinstance(wait, tuple) else (wait, wait)
        assert least - 1e-9 <= seconds <= most + 1e-9


def test_requests_reserved_together_are_not_delayed_again() -> None:
    fake = FakeStripe(limited("endpoint-rate"), respond(200, raw_list()), respond(200, raw_customer()))
    fake.rate_limiter = RateLimiter(rate=25, total_rate=100, processes=1)

    async def scenario() -> list[float]:
        loop = asyncio.get_running_loop()
        times = []
        async with fake.api().session() as session:
            with pytest.raises(RateLimited):
                await session.list_newest_entries(CUSTOMER, 0)
            await session.list_newest_entries(CUSTOMER, 0)
            times.append(loop.time())
            await session.reserve_together(Endpoint.READ_CUSTOMER, Endpoint.CREATE_ENTRY)
            times.append(loop.time())
            await session.get_customer(CUSTOMER)  # admitted already
            times.append(loop.time())
            await session.get_customer(CUSTOMER)  # admitted anew
            times.append(loop.time())
        return times

    again, *times = run_virtually(scenario())
    assert GAP <= again <= 3 * GAP
    assert times == pytest.approx([again + GAP / 4, again + GAP / 4, again + GAP * 5 / 4])
