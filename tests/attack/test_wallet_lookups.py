"""Nobody burns Stripe's read allowance by asking for random wallets, nor keeps first-time payers from quotes."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from chain.contracts import TokenContract, contract_functions
from chain.payment import customer_id_to_bytes32
from stateless_billing.domain.errors import ProblemError
from stateless_billing.services.container import Services
from stateless_billing.web.api.handlers import Api
from stateless_billing.web.routes import create_app
from stateless_billing.web.server.metrics_app import ServiceCollector
from tests.fakes.in_process_service import BEGIN, READS, Town

contract_functions(TokenContract.abi)  # a virtual loop cannot wait for the thread that loads it

SEARCHES = "GET /v1/customers/search"
DAY = 24 * 3600
HEADER = "x-ip"
HONEST = 35  # origins
ATTACKER = "2001:db8:bad::{:x}"  # all in one /64

Ask = Callable[[str, str], Coroutine[Any, Any, httpx.Response]]


def wallet(number: int) -> str:
    """Return one of many wallets."""
    return f"0x{number:040x}"


def town_of(payers: int) -> Town:
    """Create a town of customers with wallets that the gateway does not know."""
    town = Town([])
    for number in range(1, payers + 1):
        town.add(f"cus_Payer{number}", {"wallet_address": wallet(number)})
    node = town.nodes[0]
    node.views |= {"rateCeiling": 10**12}
    node.lies["symbol"] = lambda _: [int.from_bytes(b"T".ljust(32, b"\0"))]  # a text of one letter
    return town


def process(town: Town, **environ: str) -> Services:
    """Create a process that takes client addresses from a header."""
    services = town.process(SIGNER_KEY="11" * 32, CLIENT_IP_HEADER=HEADER, **environ)
    services.startup.has_passed = True
    return services


def asking(services: Services) -> Ask:
    """Return a function that asks the application for a quote, from an address."""
    client = httpx.AsyncClient(transport=httpx.ASGITransport(create_app(services)), base_url="http://pay.test")

    async def ask(address: str, asked: str) -> httpx.Response:
        body = {"wallet": asked, "cents": 5_000}
        return await client.post("/api/quotes", json=body, headers={HEADER: address})

    return ask


def refused(limit: str) -> float:
    """Return how often a limit refused a search, in all tests."""
    return REGISTRY.get_sample_value("billing_visitor_lookups_total", {"wallet": "unknown", "outcome": limit}) or 0.0


def test_one_origin_asks_for_random_wallets_and_35_others_get_their_quotes() -> None:
    town = town_of(HONEST)

    async def scenario() -> None:
        services = process(town)
        ask, answers = asking(services), Counter[int]()

        async def attack() -> None:
            for number in range(10**6):
                answers[(await ask(ATTACKER.format(number), wallet(10**9 + number))).status_code] += 1
                await asyncio.sleep(0.05)

        attacker = asyncio.create_task(attack())
        await asyncio.sleep(30)
        for number in range(1, HONEST + 1):
            answer = await ask(f"198.51.100.{number}", wallet(number))
            assert (answer.status_code, answer.json().get("registered")) == (200, False), answer.text
            await asyncio.sleep(0.5)
        attacker.cancel()
        assert answers[404] <= 15 + 0.5 * 50, "one origin has its own rate"
        assert answers.keys() == {404, 429, 503} or answers.keys() == {404, 503}
        assert town.asked(SEARCHES) == answers[404] + HONEST

    town.run(scenario())


def test_one_origin_gets_a_tenth_of_a_day() -> None:
    town = town_of(1)

    async def scenario() -> None:
        services = process(town, VISITOR_READS_PER_DAY="200")
        for number in range(20):
            await services.accounts.find(wallet(10**9 + number), "192.0.2.1")
            await asyncio.sleep(10)
        for number in range(20, 40):
            with pytest.raises(ProblemError, match=r"for your network.*midnight UTC"):
                await services.accounts.find(wallet(10**9 + number), "192.0.2.1")
        assert town.asked(SEARCHES) == 20
        assert (await services.accounts.find(wallet(1), "192.0.2.2")).customer

    town.run(scenario())


def test_a_spent_day_stops_only_first_time_payers_and_ends_at_midnight(caplog: pytest.LogCaptureFixture) -> None:
    """Many addresses can spend the day. That costs its reads, and nobody whose wallet is registered notices."""
    town = town_of(2)

    async def scenario() -> None:
        services = process(town, VISITOR_READS_PER_DAY="40", PROCESSES="4")
        ask, number = asking(services), 0
        while (await ask(f"10.0.0.{number}", wallet(10**9 + number))).status_code != 503:
            number += 1
        assert number == 10 == town.asked(SEARCHES), "each process has its share"
        assert [record.getMessage() for record in caplog.records if "four fifths" in record.getMessage()]
        before = refused("day")
        answer = await ask("198.51.100.1", wallet(1))
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/busy")
        assert "No money moved" in answer.json()["detail"]
        assert "ask support" in answer.json()["detail"]
        assert refused("day") == before + 1
        town.nodes[0].views["customerOf"] = int.from_bytes(customer_id_to_bytes32("cus_Payer1"))
        assert (await ask("198.51.100.1", wallet(1))).json()["registered"]
        gauges = {metric.name: metric.samples[0].value for metric in ServiceCollector(services).collect()}
        assert (gauges["billing_visitor_reads"], gauges["billing_visitor_reads_limit"]) == (10, 10)

        town.nodes[0].views["customerOf"] = 0
        await asyncio.sleep(DAY - BEGIN % DAY - 60)
        assert (await ask("198.51.100.2", wallet(2))).status_code == 503
        await asyncio.sleep(60)
        assert (await ask("198.51.100.2", wallet(2))).status_code == 200
        assert services.lookup_budget.daily.used() == 1

    town.run(scenario())


def test_wallets_that_the_chain_knows_cost_no_search() -> None:
    town = town_of(1)
    town.nodes[0].views["customerOf"] = int.from_bytes(customer_id_to_bytes32("cus_Payer1"))

    async def scenario() -> None:
        services = process(town, VISITOR_READS_PER_DAY="1")
        for _ in range(50):
            assert (await services.accounts.find(wallet(1), "192.0.2.1")).registered
            await asyncio.sleep(10)
        assert (town.asked(SEARCHES), town.asked(READS)) == (0, 17)
        assert services.lookup_budget.daily.used() == 0

    town.run(scenario())


def test_negative_answers_are_kept_for_a_minute() -> None:
    town = town_of(1)

    async def scenario() -> None:
        services = process(town)
        for _ in range(6):
            assert (await services.accounts.find(wallet(99), "192.0.2.1")).customer is None
            await asyncio.sleep(10)
        assert town.asked(SEARCHES) == 1
        town.add("cus_New", {"wallet_address": wallet(99)})
        assert (await services.accounts.find(wallet(99), "192.0.2.1")).customer
        assert town.asked(SEARCHES) == 2

    town.run(scenario())


def test_loopback_hides_many_visitors_and_has_only_the_limits_of_all() -> None:
    town = town_of(1)

    async def scenario() -> None:
        services = process(town)
        for number in range(60):
            await services.accounts.find(wallet(10**9 + number), "127.0.0.1")
        with pytest.raises(ProblemError, match="Too many lookups"):
            await asyncio.gather(*(services.accounts.find(wallet(number), "127.0.0.1") for number in range(1, 20)))

    town.run(scenario())


def test_unknown_wallets_answer_in_the_shape_and_time_of_known_ones() -> None:
    town = town_of(1)

    async def scenario() -> None:
        api, loop = Api(process(town)), asyncio.get_running_loop()
        shapes, times = set(), set()
        for asked in (wallet(1), wallet(99), wallet(1), wallet(99)):  # searched, then cached
            started_at = loop.time()
            answer = json.loads(json.dumps(await _describe(api, asked)))
            times.add(round(loop.time() - started_at, 3))
            shapes.add(tuple(answer))
        assert len(shapes) == 1
        assert times == {0.3}

    async def _describe(api: Api, asked: str) -> dict[str, Any]:
        account = await api.describe_account(asked, "192.0.2.1")
        return {name: getattr(account, name) for name in account.__struct_fields__ if name != "payments"}

    town.run(scenario())
