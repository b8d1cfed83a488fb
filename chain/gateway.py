"""The gateway contract as a reader sees it: what it says of itself, and its payments, counted against its own index.

Nothing here scans a range to discover: the contract is asked *where* its payments are, and the logs of those blocks are
read by block hash. What the logs hold must be what the contract counts, else Inconsistent is raised.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from chain import decoding, node
from chain.calls import view
from chain.decoding import PAYMENT_TOPIC
from chain.errors import BadAnswer, Inconsistent
from chain.node import Reader
from chain.payment import Payment, customer_id_from_bytes32, customer_id_to_bytes32

WINDOW = 500  # index entries in one call, blocks read before the next one
_AT_ONCE = 8  # blocks read side by side


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one EVM transaction holds for one gateway set: `failed` where it reverted."""

    failed: bool
    payments: tuple[Payment, ...]


class Gateway:
    """One deployed gateway, read through `reader`. Every method raises ChainError where it could not be told."""

    def __init__(self, reader: Reader, chain_id: int, address: str) -> None:
        self.reader = reader
        self.chain_id = chain_id
        self.address = address

    @property
    def short(self) -> str:
        """The first eight hex digits of the address, as Stripe's metadata keys carry them."""
        return self.address[2:10]

    def through(self, reader: Reader) -> "Gateway":
        """The same gateway, asked of another node."""
        return Gateway(reader, self.chain_id, self.address)

    async def _word(self, function: str, *arguments: int | str | bytes) -> int:
        def parse(raw: bytes) -> int:
            if len(raw) != 32:
                raise BadAnswer(f"{function} answered {len(raw)} bytes")
            return int.from_bytes(raw)

        return await node.call(self.reader, self.address, view(function, *arguments), parse)

    async def _address(self, function: str) -> str:
        return decoding.word_as_address(await self._word(function))

    async def token(self) -> str:
        """The token's address."""
        return await self._address("token")

    async def signer(self) -> str:
        """The address whose quotes and registrations the contract accepts."""
        return await self._address("signer")

    async def paused(self) -> bool:
        """Whether paying is paused."""
        return await self._word("paused") != 0

    async def minimum_amount(self) -> int:
        """The smallest payment, in base units."""
        return await self._word("minimumAmount")

    async def rate_ceiling(self) -> int:
        """The most a quote may promise: millionths of a cent per whole token; 0 = quotes off."""
        return await self._word("rateCeiling")

    async def customer_of(self, wallet: str) -> str | None:
        """The Stripe customer registered for a wallet, None where there is none."""
        word = (await self._word("customerOf", wallet)).to_bytes(32)
        customer_id = customer_id_from_bytes32(word)
        if customer_id is None and any(word):
            raise BadAnswer("customerOf answered something that is no customer ID")
        return customer_id

    async def total_payments(self) -> int:
        """How many payments the gateway has ever taken, at the head."""
        return await self._word("totalPayments")

    async def payment_count(self, customer_id: str) -> int:
        """How many of them for one customer: the sequence of the next."""
        return await self._word("paymentCount", customer_id_to_bytes32(customer_id))

    async def payment_blocks(self, start: int, stop: int) -> list[int]:
        """The blocks of the payments `[start, stop)` in the contract's own order."""
        return await self._blocks(stop - start, view("paymentBlocks", start, stop))

    async def payment_blocks_of(self, customer_id: str, start: int, stop: int) -> list[int]:
        """The blocks of one customer's payments with the sequences `[start, stop)`."""
        customer = customer_id_to_bytes32(customer_id)
        return await self._blocks(stop - start, view("paymentBlocksOf", customer, start, stop))

    async def _blocks(self, expected: int, calldata: str) -> list[int]:
        blocks = await node.call(self.reader, self.address, calldata, decoding.uint64_array)
        if len(blocks) != expected:
            raise Inconsistent(f"asked the gateway for {expected} blocks, got {len(blocks)}")
        if any(later < earlier for earlier, later in pairwise(blocks)):
            raise Inconsistent("the gateway's index goes backwards")
        return blocks

    async def payments_in(self, number: int) -> list[Payment]:
        """All payments of one block, in order."""
        within = await node.block(self.reader, number)
        raw = await node.logs(self.reader, within, self.address, PAYMENT_TOPIC)
        return decoding.payments(raw, chain_id=self.chain_id, gateway=self.address, within=within)

    async def _payments_in(self, numbers: Sequence[int]) -> dict[int, list[Payment]]:
        found: dict[int, list[Payment]] = {}
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            read = await asyncio.gather(*(self.payments_in(number) for number in some))
            found.update(zip(some, read, strict=True))
        return found

    async def payments(self, start: int, stop: int) -> AsyncIterator[list[tuple[int, Payment]]]:
        """The payments `[start, stop)` of the index as `(index, payment)`, in windows that end with a block.

        `stop` must be a `total_payments`, so that it ends with a block. Each block's logs are counted against the
        index. A window may begin before `start`, where `start` lies within a block.
        """
        start -= await self._same_block_before(start, stop)
        while start < stop:
            blocks = await self.payment_blocks(start, min(start + WINDOW, stop))
            if start + len(blocks) < stop and blocks[0] != blocks[-1]:
                blocks = [block for block in blocks if block != blocks[-1]]
            elif start + len(blocks) < stop:
                blocks = await self._whole_block(start, stop)
            counted = Counter(blocks)
            read = await self._payments_in(sorted(counted))
            for block, payments in read.items():
                if len(payments) != counted[block]:
                    raise Inconsistent(
                        f"block {block} shows {len(payments)} payments, the gateway counts {counted[block]}"
                    )
            window = [payment for block in sorted(read) for payment in read[block]]
            yield list(enumerate(window, start))
            start += len(window)

    async def _same_block_before(self, start: int, stop: int) -> int:
        """How many entries before `start` lie in the block of the entry at `start`."""
        if start <= 0 or start >= stop:
            return 0
        step = 1
        while True:
            first = max(0, start - step)
            blocks = await self.payment_blocks(first, start + 1)
            before = sum(block == blocks[-1] for block in blocks) - 1
            if before < start - first or first == 0:
                return before
            step *= 2

    async def _whole_block(self, start: int, stop: int) -> list[int]:
        """The entries of the one block that fills more than a window."""
        size = WINDOW * 2
        while True:
            blocks = await self.payment_blocks(start, min(start + size, stop))
            if blocks[0] != blocks[-1] or start + len(blocks) == stop:
                return [block for block in blocks if block == blocks[0]]
            size *= 2

    async def payment_at(self, index: int) -> Payment:
        """The payment at one place of the index."""
        before = await self._same_block_before(index, index + 1)
        [number] = await self.payment_blocks(index, index + 1)
        found = await self.payments_in(number)
        if len(found) <= before:
            raise Inconsistent(f"block {number} shows {len(found)} payments, the gateway counts more")
        await check_counted(self, found[before])
        return found[before]

    async def payments_above(self, number: int) -> list[Payment]:
        """All payments in blocks after `number`, in order."""
        total = await self.total_payments()
        start, size = total, 16
        while start > 0:
            blocks = await self.payment_blocks(max(0, start - size), start)
            above = sum(block > number for block in blocks)
            start -= above
            if above < len(blocks):
                break
            size *= 2
        return [payment async for window in self.payments(start, total) for _, payment in window]

    async def payments_of(self, customer_id: str, start: int, stop: int) -> list[Payment]:
        """One customer's payments with the sequences `[start, stop)`, in order, none missing."""
        if start >= stop:
            return []
        blocks = await self.payment_blocks_of(customer_id, start, stop)
        read = await self._payments_in(sorted(set(blocks)))
        found = [
            payment
            for number in sorted(read)
            for payment in read[number]
            if payment.customer_id == customer_id and start <= payment.sequence < stop
        ]
        if [(payment.sequence, payment.block) for payment in found] != list(enumerate(blocks, start)):
            raise Inconsistent(f"the logs of {customer_id}'s payments are not those the gateway counts")
        return found


async def claimed(reader: Reader, gateways: Sequence[Gateway], tx_hash: str) -> Claimed | None:
    """The payments of one EVM transaction in all `gateways`, in the order of their logs; None while it has no receipt.

    The receipt only says where to look: the payments are read from the block's logs and counted against the contract.
    """
    receipt = await node.receipt(reader, tx_hash)
    if receipt is None:
        return None
    if not receipt.succeeded:
        return Claimed(failed=True, payments=())
    told = Counter(
        decoding.address(log.get("address"))
        for log in (decoding.fields(raw, "a log") for raw in receipt.logs)
        if log.get("topics", [])[:1] == [PAYMENT_TOPIC]
    )
    found: list[Payment] = []
    for gateway in gateways:
        if told[gateway.address]:
            payments = [one for one in await gateway.payments_in(receipt.block) if one.tx_hash == tx_hash]
            if len(payments) != told[gateway.address] or payments[0].block_hash != receipt.block_hash:
                raise Inconsistent("a receipt and the logs of its block differ")
            for payment in payments:
                await check_counted(gateway, payment)
            found += payments
    return Claimed(failed=False, payments=tuple(sorted(found, key=lambda one: one.log_index)))


async def check_counted(gateway: Gateway, payment: Payment) -> None:
    """Raise Inconsistent unless the contract itself says that this payment happened in this block."""
    if payment.customer_id is None:
        return
    blocks = await gateway.payment_blocks_of(payment.customer_id, payment.sequence, payment.sequence + 1)
    if blocks != [payment.block]:
        raise Inconsistent(f"the gateway knows no payment {payment.sequence} in block {payment.block}")
