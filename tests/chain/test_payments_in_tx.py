"""Claims: every payment of one EVM transaction, told by its receipt, read from the logs, counted by the contract."""

from typing import Any

import pytest

from chain.decoding import TRANSFER_TOPIC
from chain.errors import ChainError
from chain.gateway import Gateway, TxPayments, find_payments_in_tx
from chain.payment import Payment
from chain.provider import ChainClient
from tests.chain.fake_node import FakeNode, FakeNodes, raw_log
from tests.fakes.factories import CHAIN_ID, GATEWAY, OTHER_GATEWAY, block, payment, tx_hash

pytestmark = pytest.mark.anyio

OTHERS = payment(tx_hash=tx_hash(5), log_index=1, sequence=0, customer_id="cus_Bob")
FIRST = payment(log_index=3, ordinal=0, sequence=0)
MIDDLE = payment(log_index=5, ordinal=0, sequence=0, gateway=OTHER_GATEWAY)
LAST = payment(log_index=8, ordinal=1, sequence=1)
ALL = [OTHERS, FIRST, MIDDLE, LAST]


async def claim(node: ChainClient, hash_: str = FIRST.tx_hash) -> TxPayments | None:
    """Claim a transaction of both gateways, the newer one first."""
    return await find_payments_in_tx(
        node, [Gateway(node, CHAIN_ID, address) for address in (OTHER_GATEWAY, GATEWAY)], hash_
    )


async def test_one_transaction_with_payments_of_two_gateways() -> None:
    assert await claim(FakeNode(ALL)) == TxPayments(failed=False, payments=(FIRST, MIDDLE, LAST))


async def test_a_transaction_nobody_knows_one_that_failed_and_one_that_is_not_ours() -> None:
    node = FakeNode(ALL)
    node.reverted.add(tx_hash(6))
    assert await claim(node, tx_hash(7)) is None
    assert await claim(node, tx_hash(6)) == TxPayments(failed=True, payments=())
    node.lies["eth_getTransactionReceipt"] = lambda raw: raw | {"logs": raw["logs"][:1]}
    node.payments = [OTHERS]
    assert await claim(node, OTHERS.tx_hash) == TxPayments(failed=False, payments=(), block=100)


async def test_a_gateway_that_is_not_configured_is_passed_over() -> None:
    node = FakeNode(ALL)
    assert await find_payments_in_tx(node, [Gateway(node, CHAIN_ID, OTHER_GATEWAY)], FIRST.tx_hash) == TxPayments(
        False, (MIDDLE,)
    )


@pytest.mark.parametrize(
    ("what", "lie"),
    [
        ("eth_getTransactionReceipt", lambda raw: raw | {"blockHash": block(101).hash}),
        ("eth_getTransactionReceipt", lambda raw: raw | {"blockNumber": hex(101)}),
        ("eth_getTransactionReceipt", lambda raw: raw | {"transactionHash": tx_hash(2)}),
        ("eth_getTransactionReceipt", lambda raw: raw | {"logs": raw["logs"][:-1]}),
        ("eth_getTransactionReceipt", lambda raw: raw | {"logs": [*raw["logs"], raw["logs"][-1]]}),
        ("eth_getTransactionReceipt", lambda raw: raw | {"logs": [*raw["logs"], 5]}),
        ("eth_getTransactionReceipt", lambda raw: raw | {"logs": [log | {"topics": None} for log in raw["logs"]]}),
        ("eth_getTransactionReceipt", lambda raw: raw | {"logs": [*raw["logs"], {"address": GATEWAY, "data": "0x"}]}),
        ("eth_getTransactionReceipt", lambda raw: raw | {"logs": [*raw["logs"], {"topics": [None]}]}),
        ("eth_getLogs", lambda _: []),
        ("eth_getLogs", lambda logs: logs[:1]),
        ("eth_getLogs", lambda logs: [*logs, raw_log(payment(log_index=99, sequence=2, gateway=logs[0]["address"]))]),
        ("eth_getBlockByNumber", lambda raw: raw | {"hash": block(101).hash}),
        ("paymentBlocksOf", lambda blocks: [99 for _ in blocks]),
        ("paymentBlocksOf", lambda blocks: blocks[1:]),
    ],
)
async def test_a_receipt_that_differs_from_the_chain_is_no_claim(what: str, lie: Any) -> None:
    node = FakeNode(ALL)
    node.lies[what] = lie
    with pytest.raises(ChainError):
        await claim(node)


async def test_a_forged_payment_in_both_receipt_and_logs_is_not_one_the_contract_counts() -> None:
    node = FakeNode(ALL)
    forged: Payment = payment(log_index=9, ordinal=2, sequence=2)
    node.lies["eth_getTransactionReceipt"] = lambda raw: raw | {"logs": [*raw["logs"], raw_log(forged)]}
    node.lies["eth_getLogs"] = lambda logs: [*logs, raw_log(forged)] if logs[0]["address"] == GATEWAY else logs
    with pytest.raises(ChainError):
        await claim(node)


async def test_topics_and_addresses_in_capitals_are_the_same() -> None:
    node = FakeNode(ALL)

    def shout(text: str) -> str:
        return "0x" + text[2:].upper()

    node.lies["eth_getTransactionReceipt"] = lambda raw: (
        raw
        | {
            "logs": [
                log | {"address": shout(log["address"]), "topics": [shout(topic) for topic in log["topics"]]}
                for log in raw["logs"]
            ]
        }
    )
    assert await claim(node) == TxPayments(failed=False, payments=(FIRST, MIDDLE, LAST))


async def test_what_the_first_node_does_not_know_the_second_may() -> None:
    behind, ahead = FakeNode([]), FakeNode(ALL)
    ahead.reverted.add(tx_hash(6))
    nodes = FakeNodes(behind, ahead)
    assert await claim(nodes) == TxPayments(failed=False, payments=(FIRST, MIDDLE, LAST))
    assert await claim(nodes, tx_hash(6)) == TxPayments(failed=True)
    assert await claim(nodes, tx_hash(7)) is None
    assert behind.asked.count("eth_getTransactionReceipt") == 3  # being behind is no failure


async def test_what_the_first_node_knows_the_second_is_not_asked() -> None:
    knows, other = FakeNode(ALL), FakeNode(ALL)
    assert await claim(FakeNodes(knows, other)) is not None
    assert other.asked == []


@pytest.mark.parametrize("broken", [0, 1])
async def test_nobody_knows_it_but_one_that_could_not_be_asked_might(broken: int) -> None:
    nodes = [FakeNode([]), FakeNode([])]
    nodes[broken].lies["eth_getTransactionReceipt"] = lambda _: []
    with pytest.raises(ChainError):
        await claim(FakeNodes(*nodes))
    nodes[1 - broken].payments = ALL
    assert await claim(FakeNodes(*nodes)) == TxPayments(failed=False, payments=(FIRST, MIDDLE, LAST))


async def test_a_node_without_the_logs_of_its_receipt_is_passed_over() -> None:
    liar, honest = FakeNode(ALL), FakeNode(ALL)
    liar.lies["eth_getLogs"] = lambda logs: logs[:1]
    assert await claim(FakeNodes(liar, honest)) == TxPayments(failed=False, payments=(FIRST, MIDDLE, LAST))


TOKEN, TREASURY, ROUTER = "0x" + "70" * 20, "0x" + "7e" * 20, "0x" + "66" * 20
SENT = tx_hash(9)


def transfer(recipient: str = TREASURY, token: str = TOKEN, amount: str = f"{1:064x}", more: int = 0) -> dict[str, Any]:
    """Return the log of a transfer; an NFT's has `more` topics."""
    indexed = ["0x" + who[2:].rjust(64, "0") for who in (ROUTER, recipient)]
    return {"address": token, "topics": [TRANSFER_TOPIC, *indexed, *indexed[:more]], "data": "0x" + amount}


def node_with(*logs: dict[str, Any]) -> FakeNode:
    """Create a node that has an EVM transaction with these logs."""
    node = FakeNode([])
    node.other_logs[SENT] = list(logs)
    node.views |= {"token": int(TOKEN, 16), "treasury": int(TREASURY, 16)}
    return node


@pytest.mark.parametrize(
    ("logs", "reached"),
    [
        ([], False),
        ([transfer()], True),
        ([transfer(ROUTER), transfer("0x" + "55" * 20), transfer()], True),  # through a router
        ([transfer(ROUTER)], False),
        ([transfer(token=ROUTER)], False),  # another token, or a forged event
        ([transfer(token=ROUTER, amount="")], False),
        ([transfer(amount=f"{0:064x}")], False),
        ([transfer(amount=f"{0:064x}"), transfer()], True),
        ([transfer(token=ROUTER, more=1)], False),
    ],
)
async def test_tokens_that_reach_the_treasury_by_any_path(logs: list[dict[str, Any]], reached: bool) -> None:
    for node in (node_with(*logs), FakeNodes(node_with(*logs), node_with(*logs))):
        assert await claim(node, SENT) == TxPayments(failed=False, block=1, treasury_transfer=reached)


async def test_payment_beside_a_transfer_is_a_payment() -> None:
    node = node_with()
    node.payments = ALL
    node.other_logs[FIRST.tx_hash] = [transfer()]
    assert await claim(node) == TxPayments(failed=False, payments=(FIRST, MIDDLE, LAST))


@pytest.mark.parametrize("amount", ["", "00", "1" * 66])
async def test_transfer_of_our_token_that_cannot_be_read_is_the_nodes_fault(amount: str) -> None:
    with pytest.raises(ChainError):
        await claim(node_with(transfer(amount=amount)), SENT)


async def test_one_of_two_nodes_does_not_say_that_it_paid_nothing() -> None:
    behind, ahead = FakeNode([]), node_with(transfer())
    for nodes in ((behind, ahead), (ahead, behind)):
        assert await claim(FakeNodes(*nodes), SENT) is None
    assert await claim(FakeNodes(ahead, behind, ahead), SENT) is not None


async def test_node_that_hides_the_payments_does_not_make_it_unrelated() -> None:
    liar, honest = FakeNode(ALL), FakeNode(ALL)
    liar.lies["eth_getTransactionReceipt"] = lambda raw: raw | {"logs": []}
    assert await claim(FakeNodes(liar, honest)) == TxPayments(failed=False, payments=(FIRST, MIDDLE, LAST))
