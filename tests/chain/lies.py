"""Lies about an index, its blocks and its logs, each of which a reader must notice."""

from collections.abc import Callable
from typing import Any

from tests.chain.fake_node import raw_log
from tests.fakes.factories import block, payment, tx_hash

Lie = Callable[[Any], Any]
FORGED = raw_log(payment(block=102, log_index=50, tx_hash=tx_hash(77), customer_id="cus_Payer0", sequence=3))


def in_block_102(lie: Callable[[list[Any]], list[Any]]) -> Lie:
    """A lie about the logs of block 102 only."""
    return lambda logs: lie(logs) if logs and logs[0]["blockNumber"] == hex(102) else logs


LIES: dict[str, tuple[str, Lie]] = {
    "omits the first log": ("eth_getLogs", in_block_102(lambda logs: logs[1:])),
    "omits the last log": ("eth_getLogs", in_block_102(lambda logs: logs[:-1])),
    "omits all logs": ("eth_getLogs", lambda _: []),
    "adds a log": ("eth_getLogs", in_block_102(lambda logs: [*logs, FORGED])),
    "repeats a log": ("eth_getLogs", in_block_102(lambda logs: [*logs, logs[-1]])),
    "shows logs of another block": ("eth_getLogs", lambda logs: [log | {"blockHash": block(9).hash} for log in logs]),
    "shows removed logs": ("eth_getLogs", lambda logs: [log | {"removed": True} for log in logs]),
    "turns the logs round": ("eth_getLogs", lambda logs: logs[::-1]),
    "answers another block": ("eth_getBlockByNumber", lambda raw: raw | {"number": "0x1"}),
    "knows another block by that number": ("eth_getBlockByNumber", lambda raw: raw | {"hash": "0x" + "cc" * 32}),
    "has no such block": ("eth_getBlockByNumber", lambda _: None),
    "shortens the index": ("paymentBlocks", lambda blocks: blocks[:-1]),
    "lengthens the index": ("paymentBlocks", lambda blocks: [*blocks, blocks[-1]]),
    "empties the index": ("paymentBlocks", lambda _: []),
    "turns the index round": ("paymentBlocks", lambda blocks: blocks[::-1]),
    "moves a payment to an empty block": ("paymentBlocks", lambda blocks: [*blocks[:-1], 500]),
    "moves a payment to the block before": (
        "paymentBlocks",
        lambda b: [100 if x == 102 and b[0] == 100 else x for x in b],
    ),
    "answers with a cut word": ("eth_call", lambda raw: raw[:-2]),
    "answers with nothing": ("eth_call", lambda _: "0x"),
}
