"""Reads a gateway's payments at one node: from the logs of the blocks that the contract's index names.

The logs must hold what the contract counts, else InconsistentChainData is raised.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from cachetools import TTLCache

from chain import decoding, provider
from chain.contracts import GatewayContract
from chain.decoding import PAYMENT_TOPIC
from chain.errors import ChainError, InconsistentChainData
from chain.payment import Payment
from chain.provider import ChainClient

OnRead = Callable[[int], None]
WINDOW = 2_000  # index entries in one call, and about as many payments read before any is processed
_NEIGHBORS = 8  # index entries read behind a payment at first, to see its block end
_MAX_CONCURRENT_BLOCKS = 8
_CACHE_SIZE = MAX_BETWEEN = 20_000  # payments: what a search of a time reads serves its repetition
_CACHE_TTL_SECONDS = 900  # even a block still on the chain is then read again: the node may have lied about it


@dataclass(frozen=True, slots=True)
class IndexedBlock:
    """The entries `[start, stop)` of the index, which are all of one block."""

    number: int
    start: int
    stop: int


class BlockCache:
    """One gateway's payments by block number, all on one chain. A reading that overlapped a change stores nothing."""

    def __init__(self) -> None:
        self._blocks: TTLCache[int, list[Payment]] = TTLCache(
            _CACHE_SIZE, _CACHE_TTL_SECONDS, lambda: asyncio.get_running_loop().time(), len
        )
        self._newest = 0  # the highest number stored, while it is cached
        self.generation = 0  # the number of changes so far
        self.tail = 0  # how many entries of the index were asked for last because they are not final

    def recent(self, numbers: Iterable[int]) -> dict[int, list[Payment]]:
        """Return those of these blocks that are cached."""
        return {number: payments for number in numbers if (payments := self._blocks.get(number))}

    def anchor(self) -> Payment | None:
        """Return a payment of the newest block. Its hash covers all blocks before it."""
        if self._newest not in self._blocks:  # looking through all each time costs more than the cache saves
            self._newest = max(self._blocks, default=0)
        return next(iter(self._blocks.get(self._newest, ())), None)

    def store(self, blocks: Mapping[int, list[Payment]], generation: int) -> None:
        """Add blocks, unless the cache changed since `generation`."""
        if blocks and self.generation == generation:
            self._blocks.update(blocks)
            self._newest = max(self._newest, *blocks)
            self.generation += 1

    def forget(self, number: int | None = None) -> None:
        """Forget one block, or all of them: after a reorg, or where a node may have lied."""
        if number is None:
            self._blocks.clear()
        else:
            self._blocks.pop(number, None)
        self.generation += 1


class PaymentIndex(GatewayContract):
    """One gateway at one node. Every method raises ChainError if the chain cannot be read.

    `cache` holds blocks that this node showed recently.
    """

    def __init__(self, reader: ChainClient, chain_id: int, address: str, cache: BlockCache | None = None) -> None:
        super().__init__(reader, chain_id, address)
        self._cache = cache or BlockCache()

    async def payments_in(self, number: int) -> list[Payment]:
        """Read all payments that one block's logs show, in order."""
        within = await provider.block(self.reader, number)
        raw = await provider.logs(self.reader, within, self.address, PAYMENT_TOPIC)
        return decoding.payments(raw, chain_id=self.chain_id, gateway=self.address, within=within)

    async def _read_blocks(self, numbers: Sequence[int]) -> dict[int, list[Payment]]:
        blocks: dict[int, list[Payment]] = {}
        for start in range(0, len(numbers), _MAX_CONCURRENT_BLOCKS):
            chunk = numbers[start : start + _MAX_CONCURRENT_BLOCKS]
            payments = await asyncio.gather(*(self.payments_in(number) for number in chunk))
            blocks.update(zip(chunk, payments, strict=True))
        return blocks

    async def _read_counted_blocks(self, counts: Mapping[int, int]) -> Mapping[int, list[Payment]]:
        """Read the payments of these blocks, as many as the contract counts in each.

        Cached blocks are used while the newest of them is on the chain: its hash covers all before it.
        """
        generation, anchor, cached = self._cache.generation, self._cache.anchor(), self._cache.recent(counts)
        missing = sorted(number for number in counts if len(cached.get(number, ())) != counts[number])
        # Newest first: blocks read between two equal readings of the newest are on its chain.
        read = await self._read_blocks(missing[-1:]) | await self._read_blocks(missing[:-1])
        for number, payments in read.items():
            if len(payments) != counts[number]:
                raise InconsistentChainData(f"block {number} shows {len(payments)} payments, not {counts[number]}")
        if anchor and not await self._is_on_chain(anchor):
            self._cache.forget()
            return await self._read_counted_blocks(counts)
        if len(read) < 2 or await self._is_on_chain(read[missing[-1]][0]):
            self._cache.store(read, generation)
        return cached | read

    async def _recent_blocks(self, numbers: Sequence[int]) -> dict[int, list[Payment]]:
        """Return those of these blocks that are cached and still on the chain."""
        cached, anchor = self._cache.recent(numbers), self._cache.anchor()
        return cached if cached and anchor and await self._is_on_chain(anchor) else {}

    async def _is_on_chain(self, payment: Payment) -> bool:
        """Check that a payment's block, and with it every block before, is on the chain."""
        try:
            return (await provider.block(self.reader, payment.block)).hash == payment.block_hash
        except ChainError:
            return False

    async def window(self, start: int, stop: int, size: int = WINDOW) -> list[tuple[int, Payment]]:
        """Read about `size` of `(index, payment)` from the block of `start` on, to the end of a block."""
        return await self.read_entries(await self.blocks(start, stop, size))

    async def blocks(self, start: int, stop: int, size: int = WINDOW) -> list[IndexedBlock]:
        """Locate about `size` entries from the block of `start` on, to the end of a block."""
        if start > 0:  # the entry before shows that a block begins at `start`, as it nearly always does
            before, *numbers = await self._whole_blocks(start - 1, stop, size + 1)
            if numbers and numbers[0] != before:
                return _group(numbers, start)
            start -= await self._count_same_block_before(start)
        return _group(await self._whole_blocks(start, stop, size), start)

    async def read_entries(self, blocks: Sequence[IndexedBlock]) -> list[tuple[int, Payment]]:
        """Read the `(index, payment)` of blocks that this node's index named."""
        read = await self._read_counted_blocks({block.number: block.stop - block.start for block in blocks})
        return [entry for block in blocks for entry in enumerate(read[block.number], block.start)]

    async def read_entries_named_elsewhere(self, blocks: Sequence[IndexedBlock]) -> list[tuple[int, Payment]]:
        """Read the `(index, payment)` of blocks that another node's index named, if this node's index names them too.

        Raises: InconsistentChainData.
        """
        if not blocks:
            return []
        first = blocks[0].start
        numbers = await self.payment_blocks(first, blocks[-1].stop)
        for block in blocks:
            if set(numbers[block.start - first : block.stop - first]) != {block.number}:
                raise InconsistentChainData(f"the index names other blocks than {block.number} for {block.start}")
        return await self.read_entries(blocks)

    async def _whole_blocks(self, start: int, stop: int, size: int = WINDOW) -> list[int]:
        """Read the index from the start of a block on, about `size` entries, to the end of a block."""
        while True:
            blocks = await self.payment_blocks(start, min(start + size, stop))
            if start + len(blocks) == stop:
                return blocks
            if blocks[0] != blocks[-1]:
                return [number for number in blocks if number != blocks[-1]]
            size *= 2  # one block fills all of it

    async def _count_same_block_before(self, start: int) -> int:
        """Count the entries before `start` in the block of the entry at `start`."""
        step = 1
        while start > 0:
            first = max(0, start - step)
            blocks = await self.payment_blocks(first, start + 1)
            before = sum(number == blocks[-1] for number in blocks) - 1
            if before < start - first or first == 0:
                return before
            step *= 2
        return 0

    async def payment_at(self, index: int) -> Payment:
        """Read the payment at one position of the index."""
        total = await self.total_payments()
        if index >= total:
            raise InconsistentChainData(f"asked for payment {index} of {total}")
        before = await self._count_same_block_before(index)
        return (await self.window(index - before, total, before + _NEIGHBORS))[before][1]

    async def blocks_above(self, number: int) -> list[IndexedBlock]:
        """Locate all entries in blocks after `number`."""
        start = total = await self.total_payments()
        size = min(self._cache.tail + _NEIGHBORS, WINDOW)
        above: list[int] = []
        while start > 0:
            blocks = await self.payment_blocks(max(0, start - size), start)
            newer = [block for block in blocks if block > number]
            above[:0] = newer
            start -= len(newer)
            size = min(2 * size, WINDOW)
            if len(newer) < len(blocks):
                break
        self._cache.tail = total - start
        return _group(above, start)

    async def blocks_between(self, since: int, until: int) -> list[IndexedBlock]:
        """Locate all entries in blocks of the times `[since, until]`, at most MAX_BETWEEN: more are refused."""
        stop = await self._first_from(until + 1, await self.total_payments())
        start = await self._first_from(since, stop)
        if stop - start > MAX_BETWEEN:
            raise InconsistentChainData(f"{stop - start} payments from {since} to {until} are too many to read")
        starts = range(start, stop, WINDOW) or (start,)  # a node that lies about the index may answer to nothing
        reads = [await self.payment_blocks(at, min(at + WINDOW, stop)) for at in starts]
        return _group([number for numbers in reads for number in numbers], start)

    async def _first_from(self, time: int, stop: int) -> int:
        """Find the first entry before `stop` in a block of `time` or later, from the end; `stop` if there is none."""
        low, high, step = 0, stop, 1
        while low < high:
            middle = max(0, high - step)
            [number] = await self.payment_blocks(middle, middle + 1)
            if (await provider.block(self.reader, number)).time < time:
                low = middle + 1
            else:
                high = middle
            step = (high - low + 1) // 2 if low else 2 * step
        return low

    async def payments_of(
        self, customer_id: str, start: int, stop: int, *, verify_receipts: bool = False, on_read: OnRead | None = None
    ) -> list[Payment]:
        """Read one customer's payments with the sequences `[start, stop)`, in order, none missing.

        The index does not cover other customers' payments in the same transaction, and omitting one would shift
        ordinals. Pass `verify_receipts` if you rely on payment identities. `on_read` is told how many blocks were read,
        because they were not cached.
        """
        if start >= stop:
            return []
        blocks = await self.payment_blocks_of(customer_id, start, stop)
        numbers = sorted(set(blocks))
        cached = {} if verify_receipts else await self._recent_blocks(numbers)
        missing = [number for number in numbers if number not in cached]
        if on_read:
            on_read(len(missing))
        read = cached | await self._read_blocks(missing)
        matches = [
            payment
            for number in sorted(read)
            for payment in read[number]
            if payment.customer_id == customer_id and start <= payment.sequence < stop
        ]
        if [(payment.sequence, payment.block) for payment in matches] != list(enumerate(blocks, start)):
            raise InconsistentChainData(f"the logs of {customer_id}'s payments are not those the gateway counts")
        if verify_receipts:
            shown = Counter(payment.tx_hash for payments in read.values() for payment in payments)
            for tx_hash in dict.fromkeys(payment.tx_hash for payment in matches):
                await self._verify_receipt(tx_hash, shown[tx_hash])
        return matches

    async def _verify_receipt(self, tx_hash: str, shown: int) -> None:
        """Check that the receipt holds as many payments as the block's logs showed.

        Raises: InconsistentChainData.
        """
        receipt = await provider.receipt(self.reader, tx_hash)
        count = receipt.payment_counts[self.address] if receipt else 0
        if count != shown:
            raise InconsistentChainData(f"{tx_hash} holds {count} payments, its block's logs show {shown}")

    async def check_counted(self, payments: Sequence[Payment]) -> None:
        """Check that the contract itself counts these payments of one block, with one call for each customer.

        Raises: InconsistentChainData.
        """
        sequences: dict[str, list[int]] = defaultdict(list)
        for payment in payments:
            if payment.customer_id is not None:
                sequences[payment.customer_id].append(payment.sequence)
        for customer_id, own in sequences.items():
            if own != list(range(own[0], own[0] + len(own))):
                raise InconsistentChainData(f"the payments of {customer_id} in one block are not consecutive")
            blocks = await self.payment_blocks_of(customer_id, own[0], own[-1] + 1)
            if blocks != [payments[0].block] * len(own):
                raise InconsistentChainData(f"the gateway knows no payment {own[0]} in block {payments[0].block}")


def _group(numbers: Sequence[int], start: int) -> list[IndexedBlock]:
    """Group entries of the index, of which the first is at `start`, by block."""
    blocks: list[IndexedBlock] = []
    for number, entries in groupby(numbers):
        stop = start + len(list(entries))
        blocks.append(IndexedBlock(number, start, stop))
        start = stop
    return blocks
