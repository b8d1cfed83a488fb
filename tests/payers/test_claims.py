"""Claims of EVM transactions that paid none of our gateways: what they were, and when that is settled."""

import asyncio

from stateless_billing.payers.responses import ClaimResponse
from tests.chain.fake_node import FakeNode
from tests.chain.test_payments_in_tx import SENT, TOKEN, TREASURY, transfer
from tests.fakes.factories import block
from tests.fakes.in_process_service import FINALITY, NOW_BLOCK, Town

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
