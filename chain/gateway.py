"""The gateway's payments, counted against the contract's own index.

No range of blocks is scanned: the contract says which blocks hold its payments, and the logs of those blocks are read
by block hash. Index and logs come from one node. If they differ, the next node is asked; if no node is consistent,
ChainError is raised.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chain import provider
from chain.block_cache import BlockCache
from chain.contracts import GatewayContract
from chain.errors import ChainError, InconsistentChainData
from chain.payment import Payment
from chain.payment_index import PaymentIndex
from chain.provider import ChainClient

T = TypeVar("T")


class Gateway(GatewayContract):
    """One deployed gateway and its payments. Every method raises ChainError if the chain cannot be read."""

    def __init__(self, reader: ChainClient, chain_id: int, address: str) -> None:
        super().__init__(reader, chain_id, address)
        self._caches: dict[ChainClient, BlockCache] = defaultdict(BlockCache)

    def bound_to(self, reader: ChainClient) -> "Gateway":
        """Return the same gateway, read through another node."""
        return Gateway(reader, self.chain_id, self.address)

    async def _read_index(self, read: Callable[[PaymentIndex], Awaitable[T]]) -> T:
        return await self.reader.with_failover(
            lambda node: read(PaymentIndex(node, self.chain_id, self.address, self._caches[node]))
        )

    async def payments_in(self, number: int) -> list[Payment]:
        """Read all payments that one block's logs show, in order."""
        return await self._read_index(lambda index: index.payments_in(number))

    async def payment_at(self, position: int) -> Payment:
        """Read the payment at one position of the index."""
        return await self._read_index(lambda index: index.payment_at(position))

    async def payments_above(self, number: int) -> list[Payment]:
        """Read all payments in blocks after `number`, in order."""
        return await self._read_index(lambda index: index.payments_above(number))

    async def payments_of(
        self, customer_id: str, start: int, stop: int, *, verify_receipts: bool = False
    ) -> list[Payment]:
        """Read one customer's payments with the sequences `[start, stop)`, in order; see `PaymentIndex`."""
        return await self._read_index(
            lambda index: index.payments_of(customer_id, start, stop, verify_receipts=verify_receipts)
        )

    async def payments(self, start: int, stop: int) -> AsyncIterator[list[tuple[int, Payment]]]:
        """Read the payments `[start, stop)` of the index as `(index, payment)`, in windows that end with a block.

        `stop` must be a `total_payments`, so that it ends with a block. A window may begin before `start` if `start`
        lies within a block.
        """
        while start < stop:
            window = await self._read_window(start, stop)
            yield window
            start = window[-1][0] + 1

    async def _read_window(self, start: int, stop: int) -> list[tuple[int, Payment]]:
        return await self._read_index(lambda index: index.window(start, stop))


@dataclass(frozen=True, slots=True)
class TxPayments:
    """The payments that one EVM transaction holds for a set of gateways; `failed` if it reverted."""

    failed: bool
    payments: tuple[Payment, ...] = ()


async def find_payments_in_tx(reader: ChainClient, gateways: Sequence[Gateway], tx_hash: str) -> TxPayments | None:
    """Find one EVM transaction's payments in all `gateways`, in log order; None while it has no receipt.

    A node without the receipt may be behind, so the others are asked too.

    Raises: ChainError if a node that could not be asked might have it.
    """
    best: TxPayments | None = None
    failure: ChainError | None = None
    for node in reader.providers:
        try:
            result = await _find_at_node(node, gateways, tx_hash)
        except ChainError as error:
            failure = error
            continue
        if result and (result.failed or result.payments):
            return result
        best = best or result
    if failure:
        raise failure
    return best


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
            for payment in matches:
                await index.check_counted(payment)
            payments += matches
    return TxPayments(failed=False, payments=tuple(sorted(payments, key=lambda payment: payment.log_index)))
