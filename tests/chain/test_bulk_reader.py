"""Many answers in few requests, and the token's own word of what was paid."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest
from eth_utils.crypto import keccak

from chain import decoding
from chain.bulk_reader import BATCH_SIZE, paid_by, request_many, transfers_to
from chain.decoding import TRANSFER_TOPIC
from chain.errors import InvalidResponse, NodeError
from chain.provider import Call
from tests.audit.builders import TOKEN
from tests.audit.world import TREASURY, transfer
from tests.chain.fake_node import FakeNode, history
from tests.fakes.factories import block, payment

pytestmark = pytest.mark.anyio
T = TypeVar("T")


class Few(FakeNode):
    """A node that takes only so many calls in one request."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.sizes: list[int] = []

    async def request_batch(self, calls: Sequence[Call], parse: Callable[[object], T], form: Any = Any) -> list[T]:
        """Refuse what is too much."""
        self.sizes.append(len(calls))
        if len(calls) > self.most:
            raise NodeError("too many")
        return await super().request_batch(calls, parse, form)


@pytest.mark.parametrize("most", [1, 3, 50, 1000])
async def test_batches_are_halved_until_the_node_takes_them(most: int) -> None:
    node = Few(most)
    calls: list[Call] = [("eth_getBlockByNumber", [hex(number), False]) for number in range(230)]

    def number_of(raw: Any) -> int:
        return int(raw["number"], 16)

    assert await request_many(node, calls, number_of) == list(range(230))
    assert max(node.sizes) <= BATCH_SIZE


async def test_one_call_that_fails_alone_fails() -> None:
    with pytest.raises(NodeError):
        await request_many(Few(1), [("eth_getBlockByNumber", [hex(10**9), False])] * 2, decoding.block)


def test_the_topic_is_the_tokens() -> None:
    assert "0x" + keccak(text="Transfer(address,address,uint256)").hex() == TRANSFER_TOPIC


def test_transfers_are_summed_by_transaction_and_sender() -> None:
    [first, second] = history(2, customers=1)
    logs = [transfer(first), transfer(first) | {"logIndex": "0x2"}, transfer(second) | {"logIndex": "0x3"}]
    sent = transfers_to(logs, TOKEN, TREASURY, block(100))
    assert sent == {(first.tx_hash, first.payer): 2 * first.amount, (second.tx_hash, second.payer): second.amount}
    assert paid_by([first, second]) == {
        (first.tx_hash, first.payer): first.amount,
        (second.tx_hash, second.payer): second.amount,
    }


@pytest.mark.parametrize(
    "lie",
    [
        {"address": TREASURY},
        {"topics": ["0x" + "00" * 32] * 3},
        {"topics": ["0x" + "00" * 32]},
        {"blockHash": block(7).hash},
        {"data": "0x"},
        {"data": "0x" + "00" * 64},
        {"removed": True},
        {"blockNumber": hex(101)},
    ],
)
def test_a_log_that_is_no_such_transfer_is_refused(lie: dict[str, Any]) -> None:
    with pytest.raises(InvalidResponse):
        transfers_to([transfer(payment()) | lie], TOKEN, TREASURY, block(100))


def test_a_transfer_that_is_shown_twice_is_refused() -> None:
    with pytest.raises(InvalidResponse, match="order"):
        transfers_to([transfer(payment())] * 2, TOKEN, TREASURY, block(100))
