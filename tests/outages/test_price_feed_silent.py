"""A price feed that never answers: no page and no answer of the API waits for it longer than a moment."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from chain.contracts import TokenContract, contract_functions
from chain.payment import Payment
from stateless_billing.operators.roster import Operator
from stateless_billing.pricing.price_feed import MAX_WAIT_SECONDS
from stateless_billing.services.container import Services
from stateless_billing.services.startup import Token
from stateless_billing.web.operators.sessions import SESSION_COOKIE
from stateless_billing.web.routes import create_app
from tests.fakes.factories import CUSTOMER, GATEWAY, START, WALLET, payment, tx_hash
from tests.fakes.in_process_service import HOUR, NOW_BLOCK, NodesLine, StripeLine, Town

contract_functions(TokenContract.abi)  # a virtual loop cannot wait for the thread that loads it

ADMIN = "admin@example.org"
HOST = {"host": "pay.example.org"}
OTHER_SECONDS = 1.0  # of virtual time, in which everything but the feed answers
RECENT, OLD = tx_hash(1), tx_hash(2)
ROUTES = (
    ("GET", f"/pay?wallet={WALLET}&usd=50"),
    ("GET", f"/pay?wallet={WALLET}&tx_hash={RECENT}"),
    ("GET", f"/api/accounts/{WALLET}"),
    ("POST", "/api/quotes"),
    ("POST", "/api/payments"),
    ("GET", f"/api/payments/{RECENT}"),
    ("GET", f"/receipt/{RECENT}/0"),
    ("GET", "/readyz"),
    ("GET", "/admin/rate"),
    ("GET", "/admin/stuck"),
)


class SilentFeed(NodesLine):
    """Nodes answer, the feed does not: its connection hangs for `seconds`."""

    seconds: float = 10**6

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Hang if it is a question to the feed."""
        if request.url.host == "prices.test":
            await asyncio.sleep(self.seconds)
        return await super().handle_async_request(request)


def plain_payments() -> list[Payment]:
    """Two plain payments within the last hours, both final."""
    return [
        payment(tx_hash=hash_, sequence=number, block=NOW_BLOCK // 2 + number, cents=0)
        for number, hash_ in enumerate((RECENT, OLD))
    ]


def play(scenario: Callable[[Town, Services, SilentFeed, httpx.AsyncClient], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario against one process and its application."""
    town = Town(plain_payments())
    town.customer(CUSTOMER).set_metadata(START, {"wallet_address": WALLET})
    node = town.nodes[0]
    node.views |= {"rateCeiling": 10**12}
    node.lies["symbol"] = lambda _: [int.from_bytes(b"T".ljust(32, b"\0"))]

    async def whole() -> None:
        settings = town.process(
            SIGNER_KEY="11" * 32,
            OPERATORS=f"{ADMIN}=admin",
            SESSION_SECRETS="x" * 32,
            PUBLIC_URL="https://pay.example.org",
        ).settings
        feed = SilentFeed(town)
        async with Services(settings, town.process().clock, feed, lambda: StripeLine(town)) as services:
            service = await services.records.load()
            services.startup.token = Token(GATEWAY, "LITKEY", 18)
            services.startup.has_passed = True
            services.sign_outs.load(service.metadata or {}, services.clock.boot())
            services.sweeper.start(service)
            transport = httpx.ASGITransport(create_app(services))
            async with httpx.AsyncClient(transport=transport, base_url="https://pay.example.org") as client:
                client.cookies.set(SESSION_COOKIE, services.sign_ins.create_session(Operator(ADMIN, "admin")))
                await scenario(town, services, feed, client)

    town.run(whole())


async def ask(client: httpx.AsyncClient, method: str, path: str) -> tuple[httpx.Response, float]:
    """Send a request; the answer and the virtual seconds that it took."""
    loop = asyncio.get_running_loop()
    body = {"wallet": WALLET, "cents": 5_000} if path == "/api/quotes" else {"tx_hash": RECENT}
    begun = loop.time()
    answer = await client.request(method, path, json=body if method == "POST" else None)
    return answer, loop.time() - begun


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_route_waits_for_a_feed_that_never_answers(method: str, path: str) -> None:
    async def scenario(town: Town, services: Services, feed: SilentFeed, client: httpx.AsyncClient) -> None:
        for _ in range(2):  # the second asks while the first one's request is still out
            answer, seconds = await ask(client, method, path)
            assert seconds < MAX_WAIT_SECONDS + OTHER_SECONDS
            assert answer.status_code == (503 if path == "/api/quotes" else 200), answer.text
            assert path != "/api/quotes" or answer.json()["type"].endswith("/rate_unavailable")

    play(scenario)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_the_last_rate_serves_while_it_is_valid(method: str, path: str) -> None:
    async def scenario(town: Town, services: Services, feed: SilentFeed, client: httpx.AsyncClient) -> None:
        feed.seconds = 0.1
        await services.price_feed.current_rate()
        feed.seconds = 10**6
        await asyncio.sleep(120)
        answer, seconds = await ask(client, method, path)
        assert seconds < MAX_WAIT_SECONDS + OTHER_SECONDS
        assert answer.status_code == 200, answer.text
        if path == "/api/quotes":
            assert services.clock.wall() - answer.json()["rate_at"] < 600
        await asyncio.sleep(600)
        quoted, _ = await ask(client, "POST", "/api/quotes")
        assert quoted.status_code == 503, "a rate of ten minutes ago is none"

    play(scenario)


def test_a_payment_whose_price_came_late_is_credited_when_it_comes() -> None:
    async def scenario(town: Town, services: Services, feed: SilentFeed, client: httpx.AsyncClient) -> None:
        feed.seconds = 5
        answer, _ = await ask(client, "POST", "/api/payments")
        [status] = answer.json()["payments"]
        assert (status["state"], status["cause"]) == ("held", "rate_unavailable"), answer.text
        work = asyncio.create_task(services.sweeper.run(3, 15))
        await asyncio.sleep(10)
        work.cancel()
        assert [row.amount for row in town.rows(CUSTOMER)] == [-5400, -5400]

    play(scenario)


def test_a_day_old_block_waits_no_longer() -> None:
    async def scenario(town: Town, services: Services, feed: SilentFeed, client: httpx.AsyncClient) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        times = [int(services.clock.wall()) - hours * HOUR for hours in (22, 23, 24, 48, 49, 500)]
        rates = [services.price_feed.rate_at(time) for time in times]
        failures = await asyncio.gather(*rates, return_exceptions=True)
        assert all("has not answered yet" in str(failure) for failure in failures)
        assert loop.time() - begun == MAX_WAIT_SECONDS

    play(scenario)
