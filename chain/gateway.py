"""The gateway's payments, counted against the contract's own index.

No range of blocks is scanned: the contract says which blocks hold its payments, and the logs of those blocks are read
by block hash. Index and logs come from one node. If they differ, the next node is asked; if no node is consistent,
ChainError is raised. Readings of many blocks isolate the blocks that no node shows properly.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chain import decoding, provider
from chain.bulk_reader import request_many, treasury_topic
from chain.contracts import GatewayContract
from chain.decoding import TxReceipt
from chain.errors import ChainError, InconsistentChainData, NodeError
from chain.payment import Block, Payment, registered_customer
from chain.payment_index import BlockCache, IndexedBlock, OnRead, PaymentIndex
from chain.provider import Call, ChainClient

T = TypeVar("T")
IsDone = Callable[[int, int], bool]
"""Whether the payment at an index, which lies in this block, needs no reading."""

_TIP_TIMEOUT_SECONDS = 2.5
_WORDS_FOR_NONE = 2  # nodes that must show an EVM transaction without payments
_MAX_UNREADABLE_BLOCKS = 32  # in one reading; with more, the nodes show no logs at all


@dataclass(frozen=True, slots=True)
class UnreadableBlock:
    """A block whose payments no node shows as the contract counts them."""

    gateway: str
    number: int
    payments: int
    cause: str

    def __str__(self) -> str:
        return (
            f"block {self.number} with {self.payments} payments of gateway {self.gateway} is unreadable: {self.cause}"
        )


@dataclass(frozen=True, slots=True)
class Window:
    """The payments of a part of the index, which ends before `stop`, by their index."""

    stop: int
    payments: Sequence[tuple[int, Payment]]
    unreadable: Sequence[UnreadableBlock] = ()


def _never(index: int, block: int) -> bool:
    return False


class Gateway(GatewayContract):
    """One deployed gateway and its payments. Every method raises ChainError if the chain cannot be read."""

    def __init__(self, reader: ChainClient, chain_id: int, address: str) -> None:
        super().__init__(reader, chain_id, address)
        self.block_caches: dict[ChainClient, BlockCache] = defaultdict(BlockCache)

    def bound_to(self, reader: ChainClient) -> "Gateway":
        """Return the same gateway, read through another node."""
        return Gateway(reader, self.chain_id, self.address)

    def share_blocks(self, other: "Gateway", nodes: Iterable[tuple[ChainClient, ChainClient]]) -> None:
        """Use the blocks that `other` has read too. `nodes` are pairs of its and our connections to one node."""
        for theirs, ours in nodes:
            self.block_caches[ours] = other.block_caches[theirs]

    def forget_blocks(self, number: int | None = None) -> None:
        """Read this block again, or all, the next time: something contradicts what a node showed of it."""
        for cache in self.block_caches.values():
            cache.forget(number)

    async def _read_index(self, read: Callable[[PaymentIndex], Awaitable[T]]) -> T:
        return await self.reader.with_failover(
            lambda node: read(PaymentIndex(node, self.chain_id, self.address, self.block_caches[node]))
        )

    async def payments_in(self, number: int) -> list[Payment]:
        """Read all payments that one block's logs show, in order."""
        return await self._read_index(lambda index: index.payments_in(number))

    async def payment_at(self, position: int) -> Payment:
        """Read the payment at one position of the index."""
        return await self._read_index(lambda index: index.payment_at(position))

    async def payments_above(self, number: int) -> Window:
        """Read the payments in blocks after `number`, in order."""
        return await self._read_isolated(lambda index: index.blocks_above(number))

    async def blocks_between(self, since: int, until: int) -> list[IndexedBlock]:
        """Locate all payments in blocks of the times `[since, until]`; see `PaymentIndex`."""
        return await self._read_index(lambda index: index.blocks_between(since, until))

    async def payments_at(self, blocks: Sequence[IndexedBlock]) -> list[Payment]:
        """Read the payments of blocks that the index named, none missing, in order."""
        return [payment for _, payment in await self._read_index(lambda index: index.read_entries(blocks))]

    async def payments_of(
        self, customer_id: str, start: int, stop: int, *, verify_receipts: bool = False, on_read: OnRead | None = None
    ) -> list[Payment]:
        """Read one customer's payments with the sequences `[start, stop)`, in order; see `PaymentIndex`."""
        return await self._read_index(
            lambda index: index.payments_of(customer_id, start, stop, verify_receipts=verify_receipts, on_read=on_read)
        )

    async def payments(self, start: int, stop: int, is_done: IsDone = _never) -> AsyncIterator[Window]:
        """Read the payments `[start, stop)` of the index, in windows that end with a block.

        `stop` must be a `total_payments`, so that it ends with a block. A window may begin before `start` if `start`
        lies within a block. Blocks whose payments are all done are not read.
        """
        while start < stop:
            window = await self._read_window(start, stop, is_done)
            yield window
            start = window.stop

    async def _read_window(self, start: int, stop: int, is_done: IsDone = _never) -> Window:
        return await self._read_isolated(lambda index: index.blocks(start, stop), is_done)

    async def _read_isolated(
        self, locate: Callable[[PaymentIndex], Awaitable[list[IndexedBlock]]], is_done: IsDone = _never
    ) -> Window:
        """Read the blocks that `locate` finds in the index, and those that no node shows properly apart.

        Raises: ChainError if too many are unreadable.
        """

        async def read(index: PaymentIndex) -> Window:
            blocks = await locate(index)
            return Window(_end(blocks), await index.read_entries(_unfinished(blocks, is_done)))

        try:
            return await self._read_index(read)
        except ChainError:
            blocks = await self._read_index(locate)
        payments: list[tuple[int, Payment]] = []
        unreadable: list[UnreadableBlock] = []
        parts = [_unfinished(blocks, is_done)]
        while parts:
            part = parts.pop()
            try:
                payments += await self._read_located(part)
            except ChainError as error:
                if len(part) > 1:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                elif len(unreadable) == _MAX_UNREADABLE_BLOCKS:
                    raise
                else:
                    unreadable.append(
                        UnreadableBlock(self.address, part[0].number, part[0].stop - part[0].start, str(error))
                    )
        return Window(_end(blocks), payments, unreadable)

    async def _read_located(self, blocks: Sequence[IndexedBlock]) -> list[tuple[int, Payment]]:
        return await self._read_index(lambda index: index.read_entries_named_elsewhere(blocks))


def _end(blocks: Sequence[IndexedBlock]) -> int:
    return blocks[-1].stop if blocks else 0


def _unfinished(blocks: Sequence[IndexedBlock], is_done: IsDone) -> list[IndexedBlock]:
    return [
        block
        for block in blocks
        if not all(is_done(position, block.number) for position in range(block.start, block.stop))
    ]


@dataclass(frozen=True, slots=True)
class Tip:
    """What one node says in one request: blocks by tag, each gateway's payment count, and wallets' customers."""

    blocks: Mapping[str, Block]
    totals: Sequence[int]
    customers: Mapping[str, str | None]


async def read_tip(
    reader: ChainClient, gateways: Sequence[Gateway], wallets: Sequence[str] = (), tags: Sequence[str] = ()
) -> Tip:
    """Read all that changes for payers in one batched request. The newest gateway is asked for the wallets' customers.

    A node that does not answer within seconds fails, and the next is asked. Raises: ChainError.
    """
    total = await gateways[0].load_function("totalPayments")
    customer = await gateways[0].load_function("customerOf")
    calls: list[Call] = [("eth_getBlockByNumber", [tag, False]) for tag in tags]
    calls += [gateway.view_call(total) for gateway in gateways]
    calls += [gateways[0].view_call(customer, wallet) for wallet in wallets]

    async def read(node: ChainClient) -> Tip:
        try:
            async with asyncio.timeout(_TIP_TIMEOUT_SECONDS):
                results = iter(await request_many(node, calls, lambda value: value))
        except TimeoutError as error:
            raise NodeError("a node did not answer in time") from error
        return Tip(
            blocks={tag: decoding.block(next(results)) for tag in tags},
            totals=[int(total.decode(decoding.data(next(results)))) for _ in gateways],
            customers={
                wallet: registered_customer(customer.decode(decoding.data(next(results)))) for wallet in wallets
            },
        )

    return await reader.with_failover(read)


@dataclass(frozen=True, slots=True)
class TxPayments:
    """The payments that one EVM transaction holds for a set of gateways; `failed` if it reverted.

    Of one that holds none, `block` is its number, and `treasury_transfer` says whether it moved a gateway's token to
    that gateway's treasury all the same, by whatever path.
    """

    failed: bool
    payments: tuple[Payment, ...] = ()
    block: int | None = None
    treasury_transfer: bool = False


async def find_payments_in_tx(reader: ChainClient, gateways: Sequence[Gateway], tx_hash: str) -> TxPayments | None:
    """Find one EVM transaction's payments in all `gateways`, in log order; None while it has no receipt.

    A node without the receipt may be behind, so the others are asked too. That it holds no payment counts if two nodes
    show it, or the only one.

    Raises: ChainError if a node that could not be asked might have it.
    """
    unrelated: list[TxPayments] = []
    failure: ChainError | None = None
    for node in reader.providers:
        try:
            result = await _find_at_node(node, gateways, tx_hash)
        except ChainError as error:
            failure = error
            continue
        if result and (result.failed or result.payments):
            return result
        if result:
            unrelated.append(result)
    if failure:
        raise failure
    if len(unrelated) < min(_WORDS_FOR_NONE, len(reader.providers)):
        return None
    return TxPayments(
        failed=False,
        block=max(result.block or 0 for result in unrelated),
        treasury_transfer=any(result.treasury_transfer for result in unrelated),
    )


async def _find_at_node(node: ChainClient, gateways: Sequence[Gateway], tx_hash: str) -> TxPayments | None:
    """Locate payments by the receipt, read them from the block's logs, and count them against the contract."""
    receipt = await provider.receipt(node, tx_hash)
    if receipt is None:
        return None
    if not receipt.succeeded:
        return TxPayments(failed=True)
    payments: list[Payment] = []
    for gateway in gateways:
        count = receipt.payment_counts[gateway.address]
        if count:
            index = PaymentIndex(node, gateway.chain_id, gateway.address)
            in_block = await index.payments_in(receipt.block)
            matches = [payment for payment in in_block if payment.tx_hash == tx_hash]
            if len(matches) != count or matches[0].block_hash != receipt.block_hash:
                raise InconsistentChainData("a receipt and the logs of its block differ")
            await index.check_counted(matches)
            payments += matches
    if payments:
        return TxPayments(failed=False, payments=tuple(sorted(payments, key=lambda payment: payment.log_index)))
    reached = [await _reached_treasury(gateway.bound_to(node), receipt) for gateway in gateways]
    return TxPayments(failed=False, block=receipt.block, treasury_transfer=any(reached))


async def _reached_treasury(gateway: Gateway, receipt: TxReceipt) -> bool:
    """Whether tokens reached the gateway's treasury: anybody can emit a Transfer, and one of nothing moves nothing."""
    if not receipt.transfers:
        return False
    recipient = treasury_topic(await gateway.treasury())
    amounts = [(emitter, raw) for emitter, topic, raw in receipt.transfers if topic == recipient]
    if not amounts:
        return False
    token = await gateway.token()
    return any(emitter == token and decoding.uint256(decoding.data(raw)) for emitter, raw in amounts)
