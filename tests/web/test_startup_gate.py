"""Requests wait for the checks of the start; until these have passed nothing is signed or written."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import httpx
import pytest

from stateless_billing.domain.errors import StartupReadFailed
from stateless_billing.services.container import Services
from stateless_billing.web.routes import create_app
from tests.chain.fake_node import history
from tests.fakes.factories import WALLET
from tests.fakes.in_process_service import Town

Scenario: TypeAlias = Callable[[Services, httpx.AsyncClient], Awaitable[None]]
WRITES = {
    "/api/quotes": {"wallet": WALLET, "cents": 5000},
    "/api/payments": {"tx_hash": "0x" + "ab" * 32},
}


def starting_town() -> Town:
    town = Town(history(1))
    town.nodes[0].views |= {"token": 0x77, "decimals": 18}
    town.nodes[0].lies["symbol"] = lambda _: [ord("L") << 248]  # a string of one letter
    return town


def run(town: Town, scenario: Scenario) -> None:
    """Run a scenario against a process that has not begun its checks."""

    async def serve() -> None:
        async with town.process(SIGNER_KEY="11" * 32) as services:
            transport = httpx.ASGITransport(create_app(services))
            async with httpx.AsyncClient(transport=transport, base_url="http://pay.test") as client:
                await scenario(services, client)

    town.run(serve())


def refuse(request: httpx.Request) -> None:
    """No connection to Stripe."""
    raise httpx.ConnectError("refused")


def test_a_process_that_listens_is_alive_before_its_checks() -> None:
    async def scenario(services: Services, client: httpx.AsyncClient) -> None:
        began = asyncio.get_running_loop().time()
        assert (await client.get("/healthz")).json() == {"ok": True}
        assert asyncio.get_running_loop().time() == began

    run(starting_town(), scenario)


@pytest.mark.parametrize("path", ["/readyz", "/api/payments/0x" + "ab" * 32])
def test_other_requests_wait_for_the_checks(path: str) -> None:
    async def scenario(services: Services, client: httpx.AsyncClient) -> None:
        waiting = asyncio.create_task(client.get(path))
        await asyncio.sleep(3)
        assert not waiting.done()
        await services.start()
        assert (await waiting).status_code != 503 or path == "/readyz"  # there is no price without a feed
        assert services.startup.has_passed

    run(starting_town(), scenario)


@pytest.mark.parametrize("path", WRITES)
def test_nothing_is_written_while_stripe_was_not_read(path: str) -> None:
    town = starting_town()
    town.meddle = refuse

    async def scenario(services: Services, client: httpx.AsyncClient) -> None:
        starting = asyncio.create_task(services.start(waits_for_stripe=True))
        refused = await client.post(path, json=WRITES[path])
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/stripe_unavailable")
        assert refused.headers["retry-after"] == "5"
        assert "no money moved" in refused.json()["detail"]
        assert (await client.get("/pay")).status_code == 200
        for operators in ("/admin", "/admin/customers/cus_Payer0", "/audit", "/api/admin/heads"):
            assert (await client.get(operators)).status_code == 503, "these pages complete grants"
        assert (await client.get("/api/payments/0x" + "ab" * 32)).json()["state"] == "unknown"
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        assert ready.json()["checks"]["startup"] == {
            "ok": False,
            "age": None,
            "detail": "Stripe could not be read since the start; the log says why",
        }
        town.meddle = lambda _: None
        await starting
        services.startup.admit()
        await asyncio.sleep(1)  # an answer of /readyz counts for a second
        assert (await client.post(path, json=WRITES[path])).status_code != 503
        assert (await client.get("/readyz")).json()["checks"]["startup"]["ok"]

    run(town, scenario)


def test_pages_say_so_while_the_chain_was_not_read() -> None:
    town = starting_town()
    town.nodes[0].lies["eth_chainId"] = lambda _: None

    async def scenario(services: Services, client: httpx.AsyncClient) -> None:
        starting = asyncio.create_task(services.start(waits_for_stripe=True))
        for method, path in (("GET", "/pay"), ("POST", "/api/quotes")):
            refused = await client.request(method, path)
            assert (refused.status_code, refused.json()["type"]) == (503, "/problems/chain_unavailable")
        with pytest.raises(StartupReadFailed):
            await starting

    run(town, scenario)


def test_nobody_waits_long_for_checks_that_hang() -> None:
    async def scenario(services: Services, client: httpx.AsyncClient) -> None:
        began = asyncio.get_running_loop().time()
        assert (await client.get("/api/payments/0x" + "ab" * 32)).json()["state"] == "unknown"
        assert asyncio.get_running_loop().time() - began == pytest.approx(10)

    run(starting_town(), scenario)
