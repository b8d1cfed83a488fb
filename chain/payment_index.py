"""The gateway's payments as one node tells them: read from the logs of the blocks that the contract's index names.

What the logs hold must be what the contract counts, else Inconsistent is raised.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

from chain import decoding, provider
from chain.block_cache import BlockCache
from chain.decoding import PAYMENT_TOPIC
from chain.errors import ChainError, InconsistentChainData
from chain.payment import Payment
from chain.provider import ChainClient
from chain.views import GatewayContract

WINDOW = 2_000  # index entries in one call, and about as many payments read before any is looked at
_NEAR = 8  # entries behind one that is wanted, at first, so that its block is seen to end
_AT_ONCE = 8  # blocks read side by side


class PaymentIndex(GatewayContract):
    """One gateway at one node. Every method raises ChainError where it could not be told.

    `kept` are blocks that this node showed lately.
    """

    def __init__(self, reader: ChainClient, chain_id: int, address: str, kept: BlockCache | None = None) -> None:
        super().__init__(reader, chain_id, address)
        self._kept = kept or BlockCache()

    async def payments_in(self, number: int) -> list[Payment]:
        """All payments that one block's logs show, in order."""
        within = await provider.block(self.reader, number)
        raw = await provider.logs(self.reader, within, self.address, PAYMENT_TOPIC)
        return decoding.payments(raw, chain_id=self.chain_id, gateway=self.address, within=within)

    async def _blocks_of_payments(self, numbers: Sequence[int]) -> dict[int, list[Payment]]:
        found: dict[int, list[Payment]] = {}
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            read = await asyncio.gather(*(self.payments_in(number) for number in some))
            found.update(zip(some, read, strict=True))
        return found

    async def _counted_blocks(self, counted: Mapping[int, int]) -> Mapping[int, list[Payment]]:
        """The payments of these blocks, as many as the contract counts in each.

        What was kept is told again while the newest of it is on the chain: its hash names all that came before it.
        """
        changes, last, known = self._kept.changes, self._kept.last(), self._kept.among(counted)
        new = sorted(counted.keys() - known.keys())
        # The newest first: what is read between two looks at it that tell the same is on its chain.
        read = await self._blocks_of_payments(new[-1:]) | await self._blocks_of_payments(new[:-1])
        for number, payments in read.items():
            if len(payments) != counted[number]:
                raise InconsistentChainData(f"block {number} shows {len(payments)} payments, not {counted[number]}")
        if last and not await self._is_on_chain(last):
            self._kept.clear()
            return await self._counted_blocks(counted)
        if len(read) < 2 or await self._is_on_chain(read[new[-1]][0]):
            self._kept.put(read, changes)
        return known | read

    async def _is_on_chain(self, payment: Payment) -> bool:
        """Whether this payment's block is on the chain, and with it all before it."""
        try:
            return (await provider.block(self.reader, payment.block)).hash == payment.block_hash
        except ChainError:
            return False

    async def window(self, start: int, stop: int, size: int = WINDOW) -> list[tuple[int, Payment]]:
        """About `size` of `(index, payment)` from the block of `start` on, to the end of a block."""
        start -= await self._same_block_before(start)
        counted = Counter(await self._whole_blocks(start, stop, size))
        read = await self._counted_blocks(counted)
        return list(enumerate((payment for number in sorted(read) for payment in read[number]), start))

    async def _whole_blocks(self, start: int, stop: int, size: int = WINDOW) -> list[int]:
        """The index from the start of a block on, about `size` of it, to the end of a block."""
        while True:
            blocks = await self.payment_blocks(start, min(start + size, stop))
            if start + len(blocks) == stop:
                return blocks
            if blocks[0] != blocks[-1]:
                return [number for number in blocks if number != blocks[-1]]
            size *= 2  # one block fills all of it

    async def _same_block_before(self, start: int) -> int:
        """How many entries before `start` lie in the block of the entry at `start`."""
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
        """The payment at one place of the index."""
        total = await self.total_payments()
        if index >= total:
            raise InconsistentChainData(f"asked for payment {index} of {total}")
        before = await self._same_block_before(index)
        window = await self.window(index - before, total, before + _NEAR)
        return window[before][1]

    async def payments_above(self, number: int) -> list[Payment]:
        """All payments in blocks after `number`, in order."""
        start, size = await self.total_payments(), 16
        above: list[int] = []
        while start > 0:
            blocks = await self.payment_blocks(max(0, start - size), start)
            found = [block for block in blocks if block > number]
            above += found
            start -= len(blocks)
            size = min(2 * size, WINDOW)
            if len(found) < len(blocks):
                break
        read = await self._counted_blocks(Counter(above))
        return [payment for number in sorted(read) for payment in read[number]]

    async def payments_of(self, customer_id: str, start: int, stop: int, *, exact: bool = False) -> list[Payment]:
        """One customer's payments with the sequences `[start, stop)`, in order, none missing.

        Other payments of the same EVM transaction are not counted, and what leaves them out shifts the ordinals:
        `exact` compares with the receipts too, for whoever goes by the identities.
        """
        if start >= stop:
            return []
        blocks = await self.payment_blocks_of(customer_id, start, stop)
        read = await self._blocks_of_payments(sorted(set(blocks)))
        found = [
            payment
            for number in sorted(read)
            for payment in read[number]
            if payment.customer_id == customer_id and start <= payment.sequence < stop
        ]
        if [(payment.sequence, payment.block) for payment in found] != list(enumerate(blocks, start)):
            raise InconsistentChainData(f"the logs of {customer_id}'s payments are not those the gateway counts")
        if exact:
            shown = Counter(payment.tx_hash for payments in read.values() for payment in payments)
            for tx_hash in dict.fromkeys(payment.tx_hash for payment in found):
                await self._check_whole(tx_hash, shown[tx_hash])
        return found

    async def _check_whole(self, tx_hash: str, shown: int) -> None:
        """Raise InconsistentChainData unless the receipt holds as many payments as the block's logs showed of it."""
        receipt = await provider.receipt(self.reader, tx_hash)
        logs = [decoding.fields(log, "a log") for log in receipt.logs] if receipt else []
        told = sum(
            decoding.address(log.get("address")) == self.address and decoding.topics(log)[:1] == [PAYMENT_TOPIC]
            for log in logs
        )
        if told != shown:
            raise InconsistentChainData(f"{tx_hash} holds {told} payments, its block's logs show {shown}")

    async def check_counted(self, payment: Payment) -> None:
        """Raise InconsistentChainData unless the contract itself says that this payment happened in this block."""
        if payment.customer_id is None:
            return
        blocks = await self.payment_blocks_of(payment.customer_id, payment.sequence, payment.sequence + 1)
        if blocks != [payment.block]:
            raise InconsistentChainData(f"the gateway knows no payment {payment.sequence} in block {payment.block}")
