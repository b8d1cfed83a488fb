"""A wallet whose customer has many payments costs a visitor's request, and each further payment, a bounded amount."""

import asyncio
from typing import Any

import httpx
import pytest

from chain.contracts import TokenContract, contract_functions
from chain.payment import Payment, customer_id_to_bytes32
from stateless_billing.services.container import Services
from stateless_billing.web.routes import create_app
from tests.fakes.factories import WALLET, payment, tx_hash
from tests.fakes.in_process_service import Town

contract_functions(TokenContract.abi)  # a virtual loop cannot wait for the thread that loads it

BUSY, HONEST = "cus_Busy", "cus_Honest"
HASH = tx_hash(1)
MAX_NODE_CALLS = 200
MAX_STRIPE_CALLS = 80  # a claim attempts 20 payments, with three or four requests each
QUOTE = {"wallet": WALLET, "cents": 500}


def spread(count: int) -> list[Payment]:
    """Small plain payments of the busy customer, one a block."""
    return [
        payment(customer_id=BUSY, sequence=number, block=100 + number, tx_hash=tx_hash(number), cents=0, amount=10**19)
        for number in range(count)
    ]


def at_once(count: int) -> list[Payment]:
    """The same in one EVM transaction."""
    return [
        payment(customer_id=BUSY, sequence=number, ordinal=number, log_index=number, cents=0, amount=10**19)
        for number in range(count)
    ]


def town_of(payments: list[Payment]) -> Town:
    """Create a town where the wallet is registered for the busy customer."""
    town = Town(payments)
    town.set_metadata(BUSY, {"wallet_address": WALLET})
    node = town.nodes[0]
    node.views |= {"rateCeiling": 10**12, "customerOf": int.from_bytes(customer_id_to_bytes32(BUSY))}
    node.lies["symbol"] = lambda _: [int.from_bytes(b"T".ljust(32, b"\0"))]  # a text of one letter
    return town


def process(town: Town) -> tuple[Services, httpx.AsyncClient]:
    """Create a process, as after a restart, and a client of its application."""
    services = town.process(SIGNER_KEY="11" * 32)
    services.startup.has_passed = True
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(services)),
        base_url="http://localhost:8000",
        headers={"accept-encoding": "identity"},  # a virtual loop cannot wait for the thread that compresses
    )
    return services, client


async def cost(town: Town, client: httpx.AsyncClient, method: str, path: str, **options: Any) -> tuple[int, int, int]:
    """Send a request: its status, and how often nodes and Stripe were asked for it."""
    town.stripe.log.reset()
    before = len(town.nodes[0].asked)
    answer = await client.request(method, path, **options)
    return answer.status_code, len(town.nodes[0].asked) - before, town.stripe.log.counts.total()


@pytest.mark.parametrize("payments", [spread(1_000), at_once(400)], ids=["1,000 blocks", "one transaction"])
def test_what_visitors_ask_about_a_busy_wallet_costs_a_bounded_number_of_calls(
    payments: list[Payment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chain.provider._MAX_BYTES_ON_LOOP", 2**30)  # a virtual loop cannot wait for a thread
    town = town_of(payments)

    async def scenario() -> None:
        _, client = process(town)
        for method, path, options in (
            ("GET", f"/api/accounts/{WALLET}", {}),
            ("POST", "/api/quotes", {"json": QUOTE}),
            ("GET", f"/api/payments/{HASH}", {}),
            ("GET", f"/receipt/{HASH}/0", {"headers": {"accept": "application/json"}}),
            ("POST", "/api/payments", {"json": {"tx_hash": HASH}}),
        ):
            status, nodes, stripe = await cost(town, client, method, path, **options)
            assert status in (200, 503), path
            assert nodes <= MAX_NODE_CALLS, (path, nodes)
            assert stripe <= MAX_STRIPE_CALLS, (path, stripe)

    town.run(scenario())


def test_a_quote_for_a_busy_wallet_costs_what_another_does() -> None:
    """The payments of 24 hours are counted once; a visitor who asks before that is told to come again."""
    usual, town = town_of(spread(1)), town_of(spread(300))

    async def ask(town: Town) -> tuple[int, int]:
        _, client = process(town)
        refused = 0
        while (await cost(town, client, "POST", "/api/quotes", json=QUOTE))[0] == 503:
            refused += 1
        return refused, (await cost(town, client, "POST", "/api/quotes", json=QUOTE))[1]

    async def scenario() -> None:
        _, calls = await ask(usual)
        refused, busy_calls = await ask(town)
        assert refused <= 300 // 64 + 1
        assert busy_calls <= 2 * calls

    town.run(scenario())


def test_hundreds_of_payments_in_one_transaction_refuse_no_quote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chain.provider._MAX_BYTES_ON_LOOP", 2**30)  # a virtual loop cannot wait for a thread
    town = town_of(at_once(400))

    async def scenario() -> None:
        _, client = process(town)
        assert (await cost(town, client, "POST", "/api/quotes", json=QUOTE))[0] == 200

    town.run(scenario())


def test_each_claim_of_hundreds_of_payments_goes_on_where_the_last_ended() -> None:
    town = town_of(at_once(50))

    async def scenario() -> None:
        _, client = process(town)
        states = []
        for _ in range(3):
            answer = (await client.post("/api/payments", json={"tx_hash": HASH})).json()
            assert len(answer["payments"]) == 50
            states.append((answer["state"], len(town.rows(BUSY))))
            assert (answer["retry_after"] is None) == (answer["state"] == "credited")
        assert states == [("pending", 20), ("pending", 40), ("credited", 50)]
        assert len({row.metadata["sequence"] for row in town.rows(BUSY)}) == 50

    town.run(scenario())


@pytest.mark.parametrize("held", [False, True])
def test_an_honest_payment_is_credited_in_the_usual_time_beside_a_backlog(held: bool) -> None:
    """It is final with the sixty of another customer, and behind them; usually a round of three seconds credits it."""
    honest = payment(customer_id=HONEST, sequence=0, block=200, tx_hash=tx_hash(9_999))
    town = Town([*spread(60), honest], strangers=[BUSY] if held else [])

    async def scenario() -> None:
        services = town.process()
        services.sweeper.start(await services.records.load())
        work = asyncio.create_task(services.sweeper.run(3, 15))
        await asyncio.sleep(4.5)
        assert town.rows(HONEST)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    town.run(scenario())
