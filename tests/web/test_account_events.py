"""Server-sent events: their form, their end, and that nobody keeps others out."""

import asyncio
from collections import Counter

import httpx
import pytest
from starlette.applications import Starlette

from stateless_billing.web.routes import create_app
from tests.fakes.event_streams import HEADER, EventClient
from tests.fakes.factories import CUSTOMER, WALLET, payment
from tests.fakes.in_process_service import NOW_BLOCK, Town

MINUTE = 60


def town_and_app() -> tuple[Town, Starlette]:
    """Create a town with one account, and a process that takes client addresses from a header."""
    town = Town([])
    town.add(CUSTOMER, {"wallet_address": WALLET})
    services = town.process(SIGNER_KEY="11" * 32, CLIENT_IP_HEADER=HEADER, VISITOR_READS_PER_DAY="100000")
    services.startup.has_passed = True
    return town, create_app(services)


def register(town: Town, customer_id: str = CUSTOMER) -> None:
    """Register every wallet for a customer."""
    town.nodes[0].views["customerOf"] = int.from_bytes(customer_id.encode().ljust(32, b"\0"))


def browser(app: Starlette) -> httpx.AsyncClient:
    """Return a client for everything but streams, of an origin of its own."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://pay.test", headers={HEADER: "203.0.113.9"}
    )


def test_it_tells_the_account_once_and_whenever_it_changed_and_comments_every_15_seconds() -> None:
    town, app = town_and_app()
    register(town)

    async def scenario() -> None:
        client = EventClient(app, WALLET)
        await asyncio.sleep(MINUTE + 1)
        assert (client.status, client.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert client.accounts == [(await browser(app).get(f"/api/accounts/{WALLET}")).json()]
        assert client.text.count(": still here\n\nevent: alive\ndata\n\n") == client.text.count("\n\n: ") == 4
        town.nodes[0].payments.append(payment(block=NOW_BLOCK))
        await asyncio.sleep(3)
        assert client.accounts[1:] == [(await browser(app).get(f"/api/accounts/{WALLET}")).json()]
        assert len(client.accounts[1]["payments"]) == 1
        await client.leave()
        assert not app.state.streams._slots

    town.run(scenario())


def test_an_unknown_wallet_is_answered_in_the_same_form_at_the_same_moments() -> None:
    town, app = town_and_app()

    async def scenario() -> None:
        clients = [EventClient(app, WALLET), EventClient(app, f"0x{77:040x}", "192.0.2.2")]
        for _ in range(40):
            await asyncio.sleep(0.5)
            assert len({(client.status, client.messages, len(client.accounts)) for client in clients}) == 1
        known, unknown = (client.accounts[0] for client in clients)
        assert known.keys() == unknown.keys()
        assert (known["found"], unknown["found"]) == (True, False)

    town.run(scenario())


@pytest.mark.parametrize(
    ("wallet", "method", "status"),
    [("0x12", "GET", 422), (WALLET, "POST", 405), (WALLET, "HEAD", 200), ("0x12", "HEAD", 422)],
)
def test_what_opens_no_stream_is_answered_at_once(wallet: str, method: str, status: int) -> None:
    town, app = town_and_app()

    async def scenario() -> None:
        client = EventClient(app, wallet, method=method)
        await asyncio.sleep(1)
        assert (client.status, client.is_open, client.accounts) == (status, False, [])
        if status == 422:
            answer = await browser(app).get(f"/api/accounts/{wallet}")
            assert answer.json()["detail"] in client.text or method == "HEAD"
        assert not town.stripe.log.counts

    town.run(scenario())


def test_a_displaced_browser_does_not_come_back_by_itself() -> None:
    town, app = town_and_app()

    async def scenario() -> None:
        clients = []
        for _ in range(7):
            clients.append(EventClient(app, WALLET))
            await asyncio.sleep(1)
        assert [client.is_open for client in clients] == [False] + [True] * 6
        assert "id: displaced\nretry: " in clients[0].text
        again = EventClient(app, WALLET, last_event_id="displaced")
        await asyncio.sleep(1)
        assert (again.status, again.text, again.is_open) == (204, "", False)
        assert all(client.is_open for client in clients[1:])

    town.run(scenario())


def test_a_slow_reader_gets_the_newest_state_and_no_queue() -> None:
    town, app = town_and_app()
    register(town)

    async def scenario() -> None:
        client = EventClient(app, WALLET)
        await asyncio.sleep(1)
        client.reading.clear()
        for number in range(10):
            paid = payment(block=NOW_BLOCK + number, sequence=number, tx_hash=f"0x{number:064x}")
            town.nodes[0].payments.append(paid)
            await asyncio.sleep(3)
        client.reading.set()
        await asyncio.sleep(1)
        assert [len(account["payments"]) for account in client.accounts] == [0, 1, 10]

    town.run(scenario())


def test_a_wallet_that_moved_ends_its_stream_so_that_the_browser_connects_again() -> None:
    town, app = town_and_app()

    async def scenario() -> None:
        client = EventClient(app, WALLET)
        await asyncio.sleep(1)
        register(town, "cus_Elsewhere")
        await asyncio.sleep(3)
        assert not client.is_open
        assert client.text.endswith("retry: 500\n\n")

    town.run(scenario())


async def require_served(app: Starlette) -> None:
    """Require that an origin without streams is served, and may open a stream."""
    async with browser(app) as client:
        assert (await client.get(f"/api/accounts/{WALLET}")).status_code == 200
        assert (await client.get("/healthz")).status_code == 200
    mine = EventClient(app, WALLET, "203.0.113.9")
    await asyncio.sleep(1)
    assert len(mine.accounts) == 1
    assert mine.is_open
    await mine.leave()


def test_700_streams_of_one_origin_keep_nobody_out() -> None:
    town, app = town_and_app()

    async def scenario() -> None:
        bystander = EventClient(app, WALLET, "203.0.113.8")
        await asyncio.sleep(1)
        clients = []
        for _ in range(700):
            clients.append(EventClient(app, WALLET))
            await asyncio.sleep(0.01)
        await asyncio.sleep(2)
        assert sum(client.is_open for client in clients) == 6
        assert Counter(client.status for client in clients).keys() == {200, 429}
        await require_served(app)
        assert bystander.is_open

    town.run(scenario())


def test_600_streams_of_a_hundred_origins_keep_nobody_out() -> None:
    town, app = town_and_app()

    async def scenario() -> None:
        clients = []
        for number in range(600):
            clients.append(EventClient(app, WALLET, f"198.51.100.{number % 100}"))
            await asyncio.sleep(0.01)
        await asyncio.sleep(2)
        assert {client.status for client in clients} == {200}
        assert sum(client.is_open for client in clients) == 200
        await require_served(app)
        for client in clients:
            await client.leave()
        assert not app.state.streams._slots

    town.run(scenario())


def test_streams_do_not_count_as_requests_in_progress() -> None:
    """The limit of concurrent requests is 400, and 100 of an origin; the streams have their own."""
    town, app = town_and_app()

    async def scenario() -> None:
        await require_served(app)
        clients = [EventClient(app, WALLET, f"198.51.100.{number}") for number in range(200)]
        await asyncio.sleep(2)
        assert all(client.is_open for client in clients)
        async with browser(app) as client:
            answers = await asyncio.gather(
                *(client.get(f"/api/accounts/{WALLET}", headers={HEADER: f"10.0.0.{number}"}) for number in range(250))
            )
        assert {answer.status_code for answer in answers} == {200}

    town.run(scenario())
