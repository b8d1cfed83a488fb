"""Many payments at once, for those who read all of them: several calls in one request, and the treasury's own receipts.

The contract's index says which blocks to read, as everywhere; what a block's logs show is counted against it. Beside
the payments, each block's `Transfer` logs to the treasury are read: what the token itself says of the same money.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chain import decoding
from chain.calls import view
from chain.decoding import PAYMENT_TOPIC
from chain.errors import InconsistentChainData, InvalidResponse, NodeError
from chain.payment import Block, Payment, customer_id_from_bytes32, customer_id_to_bytes32
from chain.payment_index import PaymentIndex
from chain.provider import Call, ChainClient

T = TypeVar("T")

# keccak256("Transfer(address,address,uint256)"); tests/chain/test_bulk_reader.py recomputes it.
TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
BATCH = 100
_AT_ONCE = 4  # batches side by side


@dataclass(frozen=True, slots=True)
class PaymentBatch:
    """Payments by their place in the index, and what the token says was sent to the treasury in their blocks.

    `received` is the sum of what came with exactly these payments; `loose` holds, by EVM transaction and sender, what
    was sent there that is not exactly what this gateway's payments say: straight, or to another gateway.
    """

    payments: list[tuple[int, Payment]]
    received: int
    loose: Mapping[tuple[str, str], int]


class BulkReader(PaymentIndex):
    """One gateway at one node, read in batches. Every method raises ChainError where it could not be told."""

    async def read(self, start: int, stop: int, token: str, treasury: str) -> PaymentBatch:
        """About a window of payments from the block of `start` on, to the end of a block."""
        start -= await self._same_block_before(start)
        counted = Counter(await self._whole_blocks(start, stop))
        numbers = sorted(counted)
        blocks = await many(self.reader, [("eth_getBlockByNumber", [hex(one), False]) for one in numbers], _block)
        if [block.number for block in blocks] != numbers:
            raise InvalidResponse("blocks other than those asked for")
        shown = await many(self.reader, [self.logs_of(block, self.address) for block in blocks], _items)
        moved = await many(self.reader, [_transfers(block, token, treasury) for block in blocks], _items)
        found: list[Payment] = []
        received = 0
        loose: dict[tuple[str, str], int] = {}
        for block, logs, transfers in zip(blocks, shown, moved, strict=True):
            payments = decoding.payments(logs, chain_id=self.chain_id, gateway=self.address, within=block)
            if len(payments) != counted[block.number]:
                raise InconsistentChainData(
                    f"block {block.number} shows {len(payments)} payments, not {counted[block.number]}"
                )
            sent = transfers_to(transfers, token, treasury, block)
            paid = paid_by(payments)
            exact = {who for who, amount in paid.items() if sent.get(who, 0) == amount}
            received += sum(sent[who] for who in exact)
            loose |= {who: sent.get(who, 0) for who in sent.keys() | paid.keys() if who not in exact}
            found += payments
        return PaymentBatch(list(enumerate(found, start)), received, loose)

    @staticmethod
    def logs_of(within: Block, gateway: str) -> Call:
        """The question for the payments of one block."""
        return "eth_getLogs", [{"blockHash": within.hash, "address": gateway, "topics": [PAYMENT_TOPIC]}]

    async def counts(self, customers: Sequence[str]) -> list[int]:
        """How many payments the gateway counts for each customer."""
        calls = [self._view("paymentCount", customer_id_to_bytes32(one)) for one in customers]
        return await many(self.reader, calls, lambda value: int.from_bytes(decoding.data(value, 32)))

    async def customers_of(self, wallets: Sequence[str]) -> list[str | None]:
        """The customer that the gateway has for each wallet."""
        calls = [self._view("customerOf", wallet) for wallet in wallets]
        return await many(self.reader, calls, lambda value: customer_id_from_bytes32(decoding.data(value, 32)))

    def _view(self, function: str, argument: str | bytes) -> Call:
        return "eth_call", [{"to": self.address, "data": view(function, argument)}, "latest"]

    async def treasury(self) -> str:
        """Where the tokens go."""
        return await self._address("treasury")


def _transfers(within: Block, token: str, treasury: str) -> Call:
    topics = [TRANSFER_TOPIC, None, "0x" + treasury[2:].rjust(64, "0")]
    return "eth_getLogs", [{"blockHash": within.hash, "address": token, "topics": topics}]


def transfers_to(logs: Sequence[object], token: str, treasury: str, within: Block) -> Mapping[tuple[str, str], int]:
    """What `(EVM transaction, sender)` sent to the treasury in one block."""
    found: dict[tuple[str, str], int] = defaultdict(int)
    for raw in logs:
        log = decoding.fields(raw, "a log")
        topics = [decoding.hash32(topic) for topic in decoding.items(log.get("topics"), "topics")]
        if decoding.address(log.get("address")) != token or len(topics) != 3 or topics[0] != TRANSFER_TOPIC:
            raise InvalidResponse("a log that is no transfer of the token")
        if decoding.hash32(log.get("blockHash")) != within.hash or topics[2] != "0x" + treasury[2:].rjust(64, "0"):
            raise InvalidResponse("a transfer of another block or to somebody else")
        sender = decoding.word_as_address(int(topics[1], 16))
        found[decoding.hash32(log.get("transactionHash")), sender] += int.from_bytes(decoding.data(log.get("data"), 32))
    return found


def paid_by(payments: Iterable[Payment]) -> Mapping[tuple[str, str], int]:
    """What `(EVM transaction, payer)` paid, by the payments' own word."""
    found: Counter[tuple[str, str]] = Counter()
    for payment in payments:
        found[payment.tx_hash, payment.payer] += payment.amount
    return found


async def many(reader: ChainClient, calls: Sequence[Call], parse: Callable[[object], T]) -> list[T]:
    """All answers in order, in batches. What a node does not answer is asked in halves, down to single calls."""
    found: list[T] = []
    size = BATCH
    while len(found) < len(calls):
        left = calls[len(found) : len(found) + size * _AT_ONCE]
        parts = [left[at : at + size] for at in range(0, len(left), size)]
        answers = await asyncio.gather(*(_batch(reader, part, parse) for part in parts), return_exceptions=True)
        for part, answer in zip(parts, answers, strict=True):
            if isinstance(answer, BaseException):
                if len(part) == 1 or not isinstance(answer, NodeError):
                    raise answer
                size = (len(part) + 1) // 2
                break
            found += answer
    return found


async def _batch(reader: ChainClient, part: Sequence[Call], parse: Callable[[object], T]) -> list[T]:
    return await reader.request_batch(part, parse) if len(part) > 1 else [await reader.ask(*part[0], parse)]


def _block(value: object) -> Block:
    return decoding.block(value)


def _items(value: object) -> list[object]:
    return decoding.items(value, "logs")
