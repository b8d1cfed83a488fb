"""Reads many payments at once, for the audit: several calls in one request, and the treasury's own receipts.

As everywhere, the contract's index says which blocks to read, and a block's logs are counted against it. Each block's
`Transfer` logs to the treasury are read as well: the token's own record of the same money.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from chain import decoding
from chain.decoding import PAYMENT_TOPIC, TRANSFER_TOPIC, Log
from chain.errors import InconsistentChainData, InvalidResponse, NodeError
from chain.payment import Block, Payment, customer_id_to_bytes32, registered_customer
from chain.payment_index import PaymentIndex
from chain.provider import Call, ChainClient

T = TypeVar("T")

BATCH_SIZE = 100
LOGS = list[Log]
_MAX_CONCURRENT_BATCHES = 4


@dataclass(frozen=True, slots=True)
class PaymentBatch:
    """Payments by index, and the token's record of transfers to the treasury in their blocks.

    `received` is the sum of the transfers that match these payments exactly. `unmatched_transfers` holds, by EVM
    transaction and sender, transfers that differ from this gateway's payments: direct, or through another gateway.
    """

    payments: list[tuple[int, Payment]]
    received: int
    unmatched_transfers: Mapping[tuple[str, str], int]


class BulkReader(PaymentIndex):
    """One gateway at one node, read in batches. Every method raises ChainError if the chain cannot be read."""

    async def read(self, start: int, stop: int, token: str, treasury: str) -> PaymentBatch:
        """Read about a window of payments from the block of `start` on, to the end of a block."""
        start -= await self._count_same_block_before(start)
        counts = Counter(await self._whole_blocks(start, stop))
        numbers = sorted(counts)
        headers: list[Call] = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
        blocks = await request_many(self.reader, headers, decoding.block)
        if [block.number for block in blocks] != numbers:
            raise InvalidResponse("blocks other than those asked for")
        logs = await request_many(self.reader, [self.logs_of(block, self.address) for block in blocks], as_logs, LOGS)
        transfers = await request_many(
            self.reader, [_transfers_of(block, token, treasury) for block in blocks], as_logs, LOGS
        )
        payments: list[Payment] = []
        received = 0
        unmatched: dict[tuple[str, str], int] = {}
        for block, block_logs, block_transfers in zip(blocks, logs, transfers, strict=True):
            in_block = decoding.payments(block_logs, chain_id=self.chain_id, gateway=self.address, within=block)
            if len(in_block) != counts[block.number]:
                raise InconsistentChainData(
                    f"block {block.number} shows {len(in_block)} payments, not {counts[block.number]}"
                )
            sent = transfers_to(block_transfers, token, treasury, block)
            paid = paid_by(in_block)
            matched = {sender for sender, amount in paid.items() if sent.get(sender, 0) == amount}
            received += sum(sent[sender] for sender in matched)
            unmatched |= {sender: sent.get(sender, 0) for sender in sent.keys() | paid.keys() if sender not in matched}
            payments += in_block
        return PaymentBatch(list(enumerate(payments, start)), received, unmatched)

    async def _read_logs(self, calls: Sequence[Call]) -> list[list[Log]]:
        return await request_many(self.reader, calls, as_logs, LOGS)

    @staticmethod
    def logs_of(within: Block, gateway: str) -> Call:
        """Build the call for the payments of one block."""
        return "eth_getLogs", [{"blockHash": within.hash, "address": gateway, "topics": [PAYMENT_TOPIC]}]

    async def counts(self, customers: Sequence[str]) -> list[int]:
        """Read how many payments the gateway counts for each customer."""
        function = await self.load_function("paymentCount")
        calls = [self.view_call(function, customer_id_to_bytes32(customer)) for customer in customers]
        return await request_many(self.reader, calls, lambda value: int(function.decode(decoding.data(value))))

    async def customers_of(self, wallets: Sequence[str]) -> list[str | None]:
        """Read the customer that the gateway has for each wallet."""
        function = await self.load_function("customerOf")
        calls = [self.view_call(function, wallet) for wallet in wallets]
        return await request_many(
            self.reader, calls, lambda value: registered_customer(function.decode(decoding.data(value)))
        )


def _transfers_of(within: Block, token: str, treasury: str) -> Call:
    topics = [TRANSFER_TOPIC, None, treasury_topic(treasury)]
    return "eth_getLogs", [{"blockHash": within.hash, "address": token, "topics": topics}]


def treasury_topic(treasury: str) -> str:
    """Encode the treasury as a Transfer log's recipient."""
    return "0x" + treasury[2:].rjust(64, "0")


def transfers_to(logs: object, token: str, treasury: str, within: Block) -> Mapping[tuple[str, str], int]:
    """Sum the transfers to the treasury in one block by `(EVM transaction, sender)`."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    previous = -1
    for log in decoding.typed(logs, list[Log], "logs"):
        topics = [decoding.hash32(topic) for topic in log.topics]
        if decoding.address(log.address) != token or len(topics) != 3 or topics[0] != TRANSFER_TOPIC:
            raise InvalidResponse("a log that is no transfer of the token")
        decoding.check_block(log, within)
        if topics[2] != treasury_topic(treasury):
            raise InvalidResponse("a transfer to somebody else")
        position = decoding.quantity(log.log_index)
        if position <= previous:
            raise InvalidResponse("logs are not in the order of their index")
        previous = position
        amount = decoding.uint256(decoding.data(log.data))
        sums[decoding.hash32(log.transaction_hash), decoding.topic_address(topics[1])] += amount
    return sums


def paid_by(payments: Iterable[Payment]) -> Mapping[tuple[str, str], int]:
    """Sum the payments by `(EVM transaction, payer)`."""
    sums: Counter[tuple[str, str]] = Counter()
    for payment in payments:
        sums[payment.tx_hash, payment.payer] += payment.amount
    return sums


async def request_many(
    reader: ChainClient, calls: Sequence[Call], parse: Callable[[object], T], form: Any = Any
) -> list[T]:
    """Make all calls in batches; the results are in order. A batch that fails is halved, down to single calls.

    `form` is the type to decode batches to, for `parse`, which must also take the JSON of a single call.
    """
    results: list[T] = []
    size = BATCH_SIZE
    while len(results) < len(calls):
        pending = calls[len(results) : len(results) + size * _MAX_CONCURRENT_BATCHES]
        batches = [pending[start : start + size] for start in range(0, len(pending), size)]
        responses = await asyncio.gather(
            *(_request(reader, batch, parse, form) for batch in batches), return_exceptions=True
        )
        for batch, response in zip(batches, responses, strict=True):
            if isinstance(response, BaseException):
                if len(batch) == 1 or not isinstance(response, NodeError):
                    raise response
                size = (len(batch) + 1) // 2
                break
            results += response
    return results


async def _request(reader: ChainClient, batch: Sequence[Call], parse: Callable[[object], T], form: Any) -> list[T]:
    if len(batch) > 1:
        return await reader.request_batch(batch, parse, form)
    return [await reader.request(*batch[0], parse)]


def as_logs(value: object) -> list[Log]:
    """Take logs as they were decoded, or decode them."""
    return decoding.typed(value, LOGS, "logs")
