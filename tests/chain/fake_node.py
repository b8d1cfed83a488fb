"""A node in memory: blocks, logs, receipts and the gateways' own index; a test makes it lie about any of them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from eth_utils.crypto import keccak

from chain.contracts import contract_functions
from chain.decoding import PAYMENT_TOPIC
from chain.errors import InvalidResponse, NodeError
from chain.failover import FailoverProvider, NodeStatus, NodeStatuses
from chain.payment import Payment, customer_id_to_bytes32
from chain.provider import Call, NodeProvider, preload_web3
from tests.fakes.factories import CHAIN_ID, GATEWAY, block, payment, tx_hash

T = TypeVar("T")
NOBODY = b"\xff" * 32  # what the event of a payment without a customer ID carries here
ABI = Path(__file__).parents[2] / "chain" / "abi"


def _selectors(name: str) -> dict[str, str]:
    """Map the selectors of a committed ABI to the functions' names."""
    functions = [entry for entry in json.loads((ABI / f"{name}.json").read_text()) if entry["type"] == "function"]
    types = {entry["name"]: ",".join(argument["type"] for argument in entry["inputs"]) for entry in functions}
    return {keccak(text=f"{name}({arguments})")[:4].hex(): name for name, arguments in types.items()}


preload_web3()  # a virtual loop cannot wait for the thread that loads it
contract_functions("PaymentGateway")
FUNCTIONS = _selectors("PaymentGateway") | _selectors("ERC20Permit")


class FakeNode(NodeProvider):
    """Answers as a node would. `lies[what]` alters a method's result, or a view's value before it is encoded."""

    def __init__(self, payments: Sequence[Payment] = (), *, latest: int = 10_000, finalized: int = 9_000) -> None:
        self.name = "the fake node"
        self.backoff_until = 0.0
        self._url = "https://fake.example"
        self._on_request = None
        self.payments = list(payments)
        self.tags = {"latest": latest, "safe": (latest + finalized) // 2, "finalized": finalized}
        self.lies: dict[str, Callable[[Any], Any]] = {}
        self.reverted: set[str] = set()
        self.other_logs: dict[str, list[dict[str, Any]]] = {}  # of other contracts, by EVM transaction
        self.views: dict[str, int] = {}
        self.asked: list[str] = []
        self.viewed: list[tuple[str, str]] = []  # gateway and function of each call

    async def request(self, method: str, params: Sequence[Any], parse: Callable[[object], T]) -> T:
        """Like `NodeProvider.request`: a result that does not parse is a failure of this node."""
        try:
            return parse(self.answer(method, params))
        except InvalidResponse as error:
            raise NodeError(f"the fake node did not answer {method}: {error}") from error

    async def request_batch(self, calls: Sequence[Call], parse: Callable[[object], T], form: Any = Any) -> list[T]:
        """Like `NodeProvider.request_batch`, call after call."""
        return [await self.request(method, params, parse) for method, params in calls]

    def answer(self, method: str, params: Sequence[Any]) -> Any:
        """The result as it would stand in the JSON-RPC answer. Raises NodeError where that would be an error."""
        self.asked.append(method)
        answer = getattr(self, "_" + method)(*params)
        return self.lies[method](answer) if method in self.lies else answer

    def _eth_chainId(self) -> str:  # noqa: N802 # the method's own name
        return hex(CHAIN_ID)

    def _eth_getCode(self, address: str, block: str) -> str:  # noqa: N802
        return "0x60"

    def _eth_getBlockByNumber(self, which: str, _: bool) -> dict[str, str] | None:  # noqa: N802
        number = self.tags[which] if which in self.tags else int(which, 16)
        if number > self.tags["latest"]:
            return None
        header = block(number)
        return {"number": hex(number), "hash": header.hash, "timestamp": hex(header.time)}

    def _eth_getLogs(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:  # noqa: N802
        return [
            raw_log(paid)
            for paid in self.payments
            if (paid.block_hash, paid.gateway) == (wanted["blockHash"], wanted["address"])
        ]

    def _eth_getTransactionReceipt(self, hash_: str) -> dict[str, Any] | None:  # noqa: N802
        logs = [raw_log(paid) for paid in self.payments if paid.tx_hash == hash_]
        if not logs and hash_ not in self.reverted and hash_ not in self.other_logs:
            return None
        return {
            "transactionHash": hash_,
            "status": "0x0" if hash_ in self.reverted else "0x1",
            "blockNumber": logs[0]["blockNumber"] if logs else "0x1",
            "blockHash": logs[0]["blockHash"] if logs else block(1).hash,
            "logs": [
                {"address": "0x" + "ee" * 20, "topics": ["0x" + "00" * 32], "data": "0x"},
                *self.other_logs.get(hash_, []),
                *logs,
            ],
        }

    def _eth_call(self, call: dict[str, str], _: str) -> str:
        function, arguments = FUNCTIONS[call["data"][2:10]], bytes.fromhex(call["data"][10:])
        self.viewed.append((call["to"], function))
        words = [arguments[at : at + 32] for at in range(0, len(arguments), 32)]
        value = self._view(call["to"], function, words)
        if function in self.lies:
            value = self.lies[function](value)
        return "0x" + b"".join(word(number) for number in _flat(value)).hex()

    def _view(self, gateway: str, function: str, words: list[bytes]) -> int | list[int]:
        if not function.startswith(("total", "paymentBlocks", "paymentCount")):
            return self.views.get(function, 0)
        mine = [paid for paid in self.payments if paid.gateway == gateway]
        if function in ("paymentCount", "paymentBlocksOf"):
            mine = [paid for paid in mine if event_customer(paid) == words[0]]
        if function in ("totalPayments", "paymentCount"):
            return len(mine)
        start, stop = (int.from_bytes(argument) for argument in words[-2:])
        if stop > len(mine):
            raise NodeError("the fake node did not answer eth_call: execution reverted")
        return [paid.block for paid in mine[start:stop]]


class FakeNodes(FailoverProvider):
    """Some fake nodes with the failover of real ones."""

    def __init__(self, *nodes: FakeNode) -> None:
        self.nodes = list(nodes)
        self.statuses = NodeStatuses([NodeStatus(f"fake node {position}") for position in range(1, len(nodes) + 1)])


def _flat(value: int | list[int]) -> list[int]:
    return [32, len(value), *value] if isinstance(value, list) else [value]


def word(value: int) -> bytes:
    """An ABI word."""
    return value.to_bytes(32)


def event_customer(paid: Payment) -> bytes:
    """The 32 bytes that the event carries."""
    return customer_id_to_bytes32(paid.customer_id) if paid.customer_id else NOBODY


def raw_log(paid: Payment) -> dict[str, Any]:
    """A payment's log as a node shows it."""
    indexed = [event_customer(paid), bytes.fromhex(paid.wallet[2:]).rjust(32, b"\0")]
    indexed.append(bytes.fromhex(paid.payer[2:]).rjust(32, b"\0"))
    return {
        "address": paid.gateway,
        "topics": [PAYMENT_TOPIC, *("0x" + topic.hex() for topic in indexed)],
        "data": "0x" + (word(paid.sequence) + word(paid.amount) + word(paid.cents)).hex(),
        "blockNumber": hex(paid.block),
        "blockHash": paid.block_hash,
        "transactionHash": paid.tx_hash,
        "logIndex": hex(paid.log_index),
        "removed": False,
    }


def history(*sizes: int, customers: int = 3, gateway: str = GATEWAY, first_block: int = 100) -> list[Payment]:
    """Payments in blocks of these sizes, two blocks apart, of a few customers in turn, one EVM transaction each."""
    made: list[Payment] = []
    sequences = [0] * customers
    for place, size in enumerate(sizes):
        for log_index in range(size):
            customer = len(made) % customers
            made.append(
                payment(
                    gateway=gateway,
                    block=first_block + 2 * place,
                    log_index=log_index * 2,
                    tx_hash=tx_hash(len(made) + 1),
                    customer_id=f"cus_Payer{customer}",
                    sequence=sequences[customer],
                )
            )
            sequences[customer] += 1
    return made
