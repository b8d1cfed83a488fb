"""Pages of allowed origins may call the public API; operators' addresses and pages never have a header for it."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from stateless_billing.web.routes import create_app
from tests.chain.fake_node import history
from tests.fakes.factories import WALLET
from tests.fakes.in_process_service import Town

SHOP, OTHER = "https://shop.example.org", "https://other.example.org"
HASH = "0x" + "ab" * 32
ALLOW = "access-control-allow-origin"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
PUBLIC = ("/api/accounts/x", "/api/payments/x", "/api/nothing", f"/receipt/{HASH}/x", "/openapi.json", "/abi.json")
PRIVATE = ("/api/admin/find", "/api/admin/orders", "/admin", "/audit", "/login", "/pay", "/", "/healthz", "/readyz")


def run(origins: str, scenario: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    """Run a scenario against a process with these CORS_ORIGINS."""
    town = Town(history(1))

    async def serve() -> None:
        operators = {"OPERATORS": f"{WALLET}=admin", "SESSION_SECRETS": "x" * 40, "PUBLIC_URL": "https://pay.example"}
        async with await town.started(SIGNER_KEY="11" * 32, CORS_ORIGINS=origins, **operators) as services:
            transport = httpx.ASGITransport(create_app(services))
            async with httpx.AsyncClient(transport=transport, base_url="http://pay.test") as client:
                await scenario(client)

    town.run(serve())


def cors(answer: httpx.Response) -> dict[str, str]:
    """Return the headers about other origins."""
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


def varies(answer: httpx.Response) -> set[str]:
    """Return what an answer varies with."""
    return {name.strip().lower() for name in answer.headers.get("vary", "").split(",")}


@pytest.mark.parametrize("origins", [f"{SHOP},http://localhost:3000", "*"])
def test_allowed_origins_read_answers_and_refusals(origins: str) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        for path in PUBLIC:
            answer = await client.get(path, headers={"origin": SHOP})
            expected = {
                ALLOW: "*" if origins == "*" else SHOP,
                "access-control-expose-headers": "x-request-id, retry-after",
            }
            assert cors(answer) == expected, path
            assert "x-request-id" in answer.headers
            assert ("origin" in varies(answer)) == (origins != "*")
        refused = await client.post("/api/quotes", json={}, headers={"origin": SHOP})
        assert (refused.status_code, ALLOW in refused.headers, varies(refused) >= {"accept"}) == (422, True, True)

    run(origins, scenario)


def test_no_other_origin_and_no_other_address() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        for origin in (OTHER, "null", f"{SHOP}.evil.test", f"{SHOP}:8443", SHOP.upper(), "http://shop.example.org", ""):
            answer = await client.get("/openapi.json", headers={"origin": origin})
            assert (answer.status_code, cors(answer)) == (200, {})
            assert "origin" in varies(answer), "a cache must not hand this answer to an allowed origin"
            asked = await client.options("/api/quotes", headers={"origin": origin, **PREFLIGHT})
            assert (asked.status_code, cors(asked)) == (405, {})
        for path in PRIVATE:
            for asked in (
                await client.get(path, headers={"origin": SHOP}),
                await client.options(path, headers={"origin": SHOP, **PREFLIGHT}),
            ):
                assert (cors(asked), "origin" in varies(asked)) == ({}, False), path

    run(SHOP, scenario)


@pytest.mark.parametrize("origins", [SHOP, "*"])
def test_a_page_in_the_browser_is_never_readable(origins: str) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        for path in (f"/receipt/{HASH}/x", "/api/accounts/x"):
            page = await client.get(path, headers={"origin": SHOP, "accept": "text/html"})
            assert page.headers["content-type"].startswith("text/html")
            assert cors(page) == {}

    run(origins, scenario)


@pytest.mark.parametrize("origins", [SHOP, "*"])
def test_preflights(origins: str) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        for path in ("/api/quotes", "/api/quotes/status", "/api/payments", f"/api/accounts/{WALLET}/events"):
            answer = await client.options(path, headers={"origin": SHOP, **PREFLIGHT})
            assert (answer.status_code, answer.content) == (204, b"")
            assert cors(answer) == {
                ALLOW: "*" if origins == "*" else SHOP,
                "access-control-expose-headers": "x-request-id, retry-after",
                "access-control-allow-methods": "GET, HEAD, POST",
                "access-control-allow-headers": "content-type, last-event-id",
                "access-control-max-age": "600",
            }
            assert "content-security-policy" in answer.headers
        plain = await client.options("/api/quotes", headers={"origin": SHOP})
        assert plain.status_code == 405, "OPTIONS alone is no preflight"

    run(origins, scenario)


def test_without_the_setting_nothing_is_said_about_origins() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        answer = await client.get("/openapi.json", headers={"origin": SHOP})
        assert (cors(answer), "origin" in varies(answer)) == ({}, False)
        asked = await client.options("/api/quotes", headers={"origin": SHOP, **PREFLIGHT})
        assert (asked.status_code, cors(asked)) == (405, {})

    run("", scenario)


def test_preflights_are_answered_while_the_process_starts() -> None:
    town = Town(history(1))

    async def serve() -> None:
        async with town.process(SIGNER_KEY="11" * 32, CORS_ORIGINS=SHOP) as services:
            transport = httpx.ASGITransport(create_app(services))
            async with httpx.AsyncClient(transport=transport, base_url="http://pay.test") as client:
                answer = await client.options("/api/quotes", headers={"origin": SHOP, **PREFLIGHT})
                assert answer.status_code == 204

    town.run(serve())
