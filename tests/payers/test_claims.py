"""Claims of EVM transactions: those that paid none of our gateways, and those with more payments than a turn takes."""

import asyncio
from collections import Counter

import pytest

from stateless_billing.payers.responses import ClaimResponse
from tests.chain.fake_node import FakeNode
from tests.chain.test_payments_in_tx import SENT, TOKEN, TREASURY, transfer
from tests.fakes.factories import block, payment
from tests.fakes.in_process_service import FINALITY, LISTS, NOW_BLOCK, Town, advanced

HIGH = hex(NOW_BLOCK)


def town_with(*nodes: FakeNode) -> Town:
    """Create a town whose nodes show transactions in the newest block."""
    town = Town([])
    town.nodes = list(nodes)
    for node in nodes:
        node.views |= {"token": int(TOKEN, 16), "treasury": int(TREASURY, 16)}
        node.lies["eth_getTransactionReceipt"] = lambda raw: (
            raw and raw | {"blockNumber": HIGH, "blockHash": block(NOW_BLOCK).hash}
        )
    return town


def answer(state: str, cause: str | None, retry_after: int | None) -> ClaimResponse:
    """Return the answer for the transaction."""
    return ClaimResponse(tx_hash=SENT, state=state, cause=cause, retry_after=retry_after, payments=[])


def test_transaction_that_paid_nothing_is_unrelated_and_settled_once_final() -> None:
    node = FakeNode([])
    town = town_with(node)

    async def scenario() -> None:
        claims = town.process().claims
        assert await claims.claim(SENT) == answer("unknown", None, 2)
        node.other_logs[SENT] = []
        assert await claims.claim(SENT) == await claims.status(SENT) == answer("unrelated", None, 5)
        node.other_logs.clear()
        assert await claims.status(SENT) == answer("unknown", None, 2), "a reorganization took it out again"
        node.other_logs[SENT] = [transfer()]
        assert await claims.claim(SENT) == answer("unrelated", "treasury_transfer", 5)
        await asyncio.sleep(2 * FINALITY + 60)
        assert await claims.claim(SENT) == await claims.status(SENT) == answer("unrelated", "treasury_transfer", None)
        node.reverted.add(SENT)
        assert await claims.status(SENT) == answer("failed", None, None)
        assert not town.stripe.log.rows, "Stripe is not asked"

    town.run(scenario())


def test_one_of_two_nodes_is_not_believed() -> None:
    nodes = FakeNode([]), FakeNode([])
    town = town_with(*nodes)

    async def scenario() -> None:
        claims = town.process().claims
        nodes[0].other_logs[SENT] = [transfer()]
        assert await claims.status(SENT) == answer("unknown", None, 2)
        nodes[1].other_logs[SENT] = [transfer()]
        assert await claims.status(SENT) == answer("unrelated", "treasury_transfer", 5)

    town.run(scenario())


MANY = 24
HELD = [
    payment(tx_hash=SENT, customer_id=f"cus_Held{n}" if n < 20 else f"cus_Due{n}", ordinal=n, log_index=n)
    for n in range(MANY)
]


def states(answer: ClaimResponse) -> Counter[str]:
    """Count the states of an answer."""
    return Counter(shown.state for shown in answer.payments)


@pytest.mark.parametrize("credited", [False, True])
def test_twenty_held_payments_do_not_hide_the_others(*, credited: bool) -> None:
    town = Town(HELD)

    async def scenario() -> None:
        for n in range(20):
            town.set_metadata(f"cus_Held{n}", {"gateway_payments": "off"})
        if credited:
            other = await town.started()
            for each in HELD[20:]:
                await advanced(other, each)
        services = await town.started()
        ask = services.claims.status if credited else services.claims.claim
        seen = [states(await ask(SENT))]
        for _ in range(3):
            await asyncio.sleep(30)
            seen.append(states(await ask(SENT)))
        assert seen[0] == {"held": 20, "pending": 4}
        assert seen[1:] == [{"held": 20, "credited": 4}] * 3

    town.run(scenario())


def test_payments_on_their_way_do_not_hide_the_others() -> None:
    young = [
        payment(tx_hash=SENT, customer_id=f"cus_Young{n}", ordinal=n, log_index=n, cents=0, block=NOW_BLOCK - 9)
        for n in range(30)
    ]
    town = Town(young)

    async def scenario() -> None:
        services = await town.started()
        for _ in range(3):
            assert states(await services.claims.claim(SENT)) == {"confirming": 30}
            await asyncio.sleep(30)
        assert all(services.status_cache.looked_at(each) for each in young), "each had its turn"

    town.run(scenario())


def test_a_question_asks_about_twenty_payments_at_most() -> None:
    town = Town(HELD)

    async def scenario() -> None:
        services = await town.started()
        town.stripe.log.reset()
        await services.claims.status(SENT)
        assert town.costs()[LISTS] == 20
        await services.claims.status(SENT)
        assert town.costs()[LISTS] == 24
        assert (await services.claims.claim(SENT)).state == "pending", "a question delays no attempt, nor does it count"
        assert (await services.claims.claim(SENT)).state == "credited"

    town.run(scenario())
