"""The gateway's payments, counted against its own index.

Nothing here scans a range to discover: the contract is asked *where* its payments are, and the logs of those blocks are
read by block hash. What the logs hold must be what the contract counts, else that node's answers are worth nothing and
the next node is asked; where none tells a story that fits, ChainError is raised. Index and logs come from one node.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from chain import decoding, provider
from chain.block_cache import BlockCache
from chain.decoding import PAYMENT_TOPIC
from chain.errors import ChainError, InconsistentChainData
from chain.payment import Payment
from chain.payment_index import PaymentIndex
from chain.provider import ChainClient
from chain.views import GatewayContract

T = TypeVar("T")


class Gateway(GatewayContract):
    """One deployed gateway and its payments. Every method raises ChainError where it could not be told."""

    def __init__(self, reader: ChainClient, chain_id: int, address: str) -> None:
        super().__init__(reader, chain_id, address)
        self._kept: dict[ChainClient, BlockCache] = defaultdict(BlockCache)

    def through(self, reader: ChainClient) -> "Gateway":
        """The same gateway, asked of another node."""
        return Gateway(reader, self.chain_id, self.address)

    async def _consult(self, read: Callable[[PaymentIndex], Awaitable[T]]) -> T:
        return await self.reader.with_failover(
            lambda one: read(PaymentIndex(one, self.chain_id, self.address, self._kept[one]))
        )

    async def payments_in(self, number: int) -> list[Payment]:
        """All payments that one block's logs show, in order."""
        return await self._consult(lambda here: here.payments_in(number))

    async def payment_at(self, index: int) -> Payment:
        """The payment at one place of the index."""
        return await self._consult(lambda here: here.payment_at(index))

    async def payments_above(self, number: int) -> list[Payment]:
        """All payments in blocks after `number`, in order."""
        return await self._consult(lambda here: here.payments_above(number))

    async def payments_of(self, customer_id: str, start: int, stop: int, *, exact: bool = False) -> list[Payment]:
        """One customer's payments with the sequences `[start, stop)`, in order, none missing; see `Index`."""
        return await self._consult(lambda here: here.payments_of(customer_id, start, stop, exact=exact))

    async def payments(self, start: int, stop: int) -> AsyncIterator[list[tuple[int, Payment]]]:
        """The payments `[start, stop)` of the index as `(index, payment)`, in windows that end with a block.

        `stop` must be a `total_payments`, so that it ends with a block. A window may begin before `start`, where
        `start` lies within a block.
        """
        while start < stop:
            window = await self._window_from(start, stop)
            yield window
            start = window[-1][0] + 1

    async def _window_from(self, start: int, stop: int) -> list[tuple[int, Payment]]:
        return await self._consult(lambda here: here.window(start, stop))


@dataclass(frozen=True, slots=True)
class TxPayments:
    """What one EVM transaction holds for a set of gateways: `failed` where it reverted."""

    failed: bool
    payments: tuple[Payment, ...] = ()


async def find_payments_in_tx(reader: ChainClient, gateways: Sequence[Gateway], tx_hash: str) -> TxPayments | None:
    """The payments of one EVM transaction in all `gateways`, in the order of their logs; None while it has no receipt.

    A node that knows of none may be behind: the others are asked too. Raises ChainError where one that could not be
    asked might know more.
    """
    best: TxPayments | None = None
    failure: ChainError | None = None
    for one in reader.each:
        try:
            found = await _claimed(one, gateways, tx_hash)
        except ChainError as error:
            failure = error
            continue
        if found and (found.failed or found.payments):
            return found
        best = best or found
    if failure:
        raise failure
    return best


async def _claimed(reader: ChainClient, gateways: Sequence[Gateway], tx_hash: str) -> TxPayments | None:
    """The receipt says where to look; the payments are read from the block's logs and counted against the contract."""
    receipt = await provider.receipt(reader, tx_hash)
    if receipt is None:
        return None
    if not receipt.succeeded:
        return TxPayments(failed=True)
    told = Counter(decoding.address(log.get("address")) for log in map(_log, receipt.logs) if _is_payment(log))
    found: list[Payment] = []
    for gateway in gateways:
        if told[gateway.address]:
            index = PaymentIndex(reader, gateway.chain_id, gateway.address)
            payments = [one for one in await index.payments_in(receipt.block) if one.tx_hash == tx_hash]
            if len(payments) != told[gateway.address] or payments[0].block_hash != receipt.block_hash:
                raise InconsistentChainData("a receipt and the logs of its block differ")
            for payment in payments:
                await index.check_counted(payment)
            found += payments
    return TxPayments(failed=False, payments=tuple(sorted(found, key=lambda one: one.log_index)))


def _log(raw: object) -> Any:
    return decoding.fields(raw, "a log")


def _is_payment(log: Any) -> bool:
    return decoding.topics(log)[:1] == [PAYMENT_TOPIC]
