"""The chain as the audit reads it: every payment of every gateway, counted, and the treasury's own word of it."""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from chain import node
from chain.bulk import Bulk, Window, paid_by
from chain.errors import Inconsistent
from chain.gateway import Gateway
from chain.node import Nodes
from chain.payment import Block, Payment

T = TypeVar("T")
Told = Callable[[str, int, int], None]
"""Progress: of what, how much is done, of how much (0: not known)."""

NOBODY = ""  # the customer of payments whose event names none


@dataclass(slots=True)
class Chain:
    """All payments by customer, in the order of the chain, and the control totals in base units."""

    payments: dict[str, list[Payment]] = field(default_factory=lambda: defaultdict(list))
    counted: dict[str, int] = field(default_factory=dict)
    paid: int = 0
    received: int = 0
    straight: int = 0

    @property
    def total(self) -> int:
        """How many payments were read."""
        return sum(len(some) for some in self.payments.values())

    def find(self, identities: set[str]) -> dict[str, Payment]:
        """The payments with these identities."""
        if not identities:
            return {}
        return {one.identity: one for some in self.payments.values() for one in some if one.identity in identities}


class ChainReader:
    """Reads through whichever node tells a story that fits. Every method raises ChainError."""

    def __init__(self, nodes: Nodes, gateways: Sequence[Gateway], told: Told) -> None:
        self.nodes, self.gateways, self._told = nodes, gateways, told
        self.codes: dict[str, str] = {}

    async def block_at(self, time: int, head: Block, *, before: bool) -> Block:
        """The last block at or before a time, or (not `before`) the first at or after it, none above `head`."""
        low, high = 0, head.number
        while low < high:
            middle = (low + high + 1) // 2 if before else (low + high) // 2
            found = (await node.block(self.nodes, middle)).time
            if before:
                low, high = (middle, high) if found <= time else (low, middle - 1)
            else:
                low, high = (low, middle) if found >= time else (middle + 1, high)
        return await node.block(self.nodes, low)

    async def everything(self, first_block: int, token: str) -> Chain:
        """All payments in blocks from `first_block` on, counted against the contracts and the token."""
        chain = Chain()
        loose: dict[tuple[str, str], int] = {}
        for gateway in self.gateways:
            total = await gateway.total_payments()
            treasury = await self._consult(gateway, lambda bulk: bulk.treasury())
            start = await self._index_of(gateway, first_block, total)
            while start < total:
                window = await self._window(gateway, start, total, token, treasury)
                self._take(chain, [payment for index, payment in window.payments if index >= start])
                chain.received += window.received
                loose |= window.loose
                start = window.payments[-1][0] + 1
                self._told("payments of the chain", start, total)
            chain.counted[gateway.address] = total
        self._settle(chain, loose)
        for some in chain.payments.values():
            some.sort(key=lambda one: (one.block, one.log_index))
        if first_block == 0:
            await self._count(chain)
        return chain

    async def of_customer(self, customer_id: str) -> Chain:
        """One customer's payments alone; the token is not asked."""
        chain = Chain()
        for gateway in self.gateways:
            count = await gateway.payment_count(customer_id)
            self._take(chain, await gateway.payments_of(customer_id, 0, count))
            chain.counted[gateway.address] = count
        chain.payments[customer_id].sort(key=lambda one: (one.block, one.log_index))
        return chain

    async def registered(self, gateway: Gateway, wallets: Sequence[str]) -> dict[str, str | None]:
        """The customer of each wallet at one gateway."""
        found = await self._consult(gateway, lambda bulk: bulk.customers_of(wallets))
        return dict(zip(wallets, found, strict=True))

    async def _consult(self, gateway: Gateway, read: Callable[[Bulk], Awaitable[T]]) -> T:
        return await self.nodes.consult(lambda one: read(Bulk(one, gateway.chain_id, gateway.address)))

    async def _window(self, gateway: Gateway, start: int, stop: int, token: str, treasury: str) -> Window:
        return await self._consult(gateway, lambda bulk: bulk.read(start, stop, token, treasury))

    async def _index_of(self, gateway: Gateway, first_block: int, total: int) -> int:
        """The first place of the index that lies in or after a block."""
        low, high = 0, total
        while low < high and first_block:
            middle = (low + high) // 2
            [found] = await gateway.payment_blocks(middle, middle + 1)
            low, high = (low, middle) if found >= first_block else (middle + 1, high)
        return low

    @staticmethod
    def _take(chain: Chain, payments: Sequence[Payment]) -> None:
        for one in payments:
            chain.payments[one.customer_id or NOBODY].append(one)
            chain.paid += one.amount

    @staticmethod
    def _settle(chain: Chain, loose: dict[tuple[str, str], int]) -> None:
        """Compare what reached the treasury beside exact payments with what these transactions paid at all gateways."""
        if not loose:
            return
        hashes = {tx_hash for tx_hash, _ in loose}
        paid = paid_by(one for some in chain.payments.values() for one in some if one.tx_hash in hashes)
        for who, sent in loose.items():
            if sent < paid.get(who, 0):
                raise Inconsistent(f"{who[0]} shows payments of {paid[who]}, but {sent} reached the treasury")
            chain.received += sent
            chain.straight += sent - paid.get(who, 0)

    async def _count(self, chain: Chain) -> None:
        """Every customer's payments must be as many as the contract counts, in sequence."""
        for gateway in self.gateways:
            mine = Counter(
                {
                    customer: sum(one.gateway == gateway.address for one in some)
                    for customer, some in chain.payments.items()
                    if customer != NOBODY
                }
            )
            customers = sorted(mine)
            counts = await self._counts(gateway, customers)
            for customer, count in zip(customers, counts, strict=True):
                if count < mine[customer]:
                    raise Inconsistent(f"the gateway counts {count} payments of {customer}, its logs show more")
                self._in_sequence(chain.payments[customer], gateway.address, customer)

    async def _counts(self, gateway: Gateway, customers: Sequence[str]) -> list[int]:
        return await self._consult(gateway, lambda bulk: bulk.counts(customers))

    @staticmethod
    def _in_sequence(payments: Sequence[Payment], gateway: str, customer: str) -> None:
        sequences = [one.sequence for one in payments if one.gateway == gateway]
        if sequences != list(range(len(sequences))):
            raise Inconsistent(f"the payments of {customer} are not in sequence")
