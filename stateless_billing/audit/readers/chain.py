"""The chain as the audit reads it: every payment of every gateway, counted, and the treasury's own word of it."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

from chain import provider
from chain.bulk_reader import BulkReader, PaymentBatch, paid_by
from chain.errors import InconsistentChainData
from chain.gateway import Gateway
from chain.payment import Block, Payment
from chain.provider import FailoverProvider

T = TypeVar("T")
Told = Callable[[str, int, int], None]
"""Progress: of what, how much is done, of how much (0: not known)."""

ZERO_ADDRESS = ""  # the customer of payments whose event names none


Payments = dict[str, list[Payment]]


@dataclass(slots=True)
class ChainFacts:
    """Payments by customer, in the order of the chain, and the control totals in base units.

    `payments` and all totals end with the report's last block, so that they stay the same whenever they are read;
    `later` is what came after it.
    """

    payments: Payments = field(default_factory=lambda: defaultdict(list))
    later: Payments = field(default_factory=lambda: defaultdict(list))
    counted: dict[str, int] = field(default_factory=dict)
    paid: int = 0
    received: int = 0
    straight: int = 0

    @property
    def total(self) -> int:
        """How many payments were read."""
        return sum(len(some) for some in self.payments.values())

    def payments_of(self, customer: str) -> list[Payment]:
        """All of a customer's payments, later ones too."""
        return [*self.payments.get(customer, ()), *self.later.get(customer, ())]

    def find(self, identities: set[str]) -> dict[str, Payment]:
        """The payments with these identities, later ones too."""
        if not identities:
            return {}
        every = chain(*self.payments.values(), *self.later.values())
        return {one.identity: one for one in every if one.identity in identities}


class ChainReader:
    """Reads through whichever node tells a story that fits. Every method raises ChainError."""

    def __init__(self, nodes: FailoverProvider, gateways: Sequence[Gateway], on_progress: Told) -> None:
        self.nodes, self.gateways, self._on_progress = nodes, gateways, on_progress
        self.codes: dict[str, str] = {}

    async def block_at(self, time: int, head: Block, *, before: bool) -> Block:
        """The last block at or before a time, or (not `before`) the first at or after it, none above `head`."""
        low, high, step = head.number, head.number, 1
        while low and (await provider.block(self.nodes, low)).time >= time:
            low, step = max(0, low - step), 2 * step
        while low < high:
            middle = (low + high + 1) // 2 if before else (low + high) // 2
            found = (await provider.block(self.nodes, middle)).time
            if before:
                low, high = (middle, high) if found <= time else (low, middle - 1)
            else:
                low, high = (low, middle) if found >= time else (middle + 1, high)
        return await provider.block(self.nodes, low)

    async def read_everything(self, first_block: int, horizon: int, token: str) -> ChainFacts:
        """All payments in blocks from `first_block` on, counted against the contracts and the token."""
        found = ChainFacts()
        loose: dict[tuple[str, str], int] = {}
        for gateway in self.gateways:
            total = await gateway.total_payments()
            treasury = await self._read_with_failover(gateway, lambda bulk: bulk.treasury())
            start = await self._find_first_index(gateway, first_block, total)
            found.counted[gateway.address] = end = await self._find_first_index(gateway, horizon + 1, total)
            while start < total:
                window = await self._read_batch(gateway, start, end if start < end else total, token, treasury)
                payments = [payment for index, payment in window.payments if index >= start]
                if start < end:
                    self._add_payments(found.payments, payments)
                    found.paid += sum(one.amount for one in payments)
                    found.received += window.received
                    loose |= window.loose
                else:
                    self._add_payments(found.later, payments)
                start = window.payments[-1][0] + 1
                self._on_progress("payments of the chain", start, total)
        for some in (*found.payments.values(), *found.later.values()):
            some.sort(key=_chain_order)
        self._match_transfers(found, loose)
        if first_block == 0:
            await self._report_progress(found)
        return found

    async def read_customer(self, customer_id: str, horizon: int) -> ChainFacts:
        """One customer's payments alone; the token is not asked."""
        found = ChainFacts()
        for gateway in self.gateways:
            payments = await gateway.payments_of(customer_id, 0, await gateway.payment_count(customer_id))
            shown = [one for one in payments if one.block <= horizon]
            found.payments[customer_id] += shown
            found.later[customer_id] += payments[len(shown) :]
            found.counted[gateway.address] = len(shown)
            found.paid += sum(one.amount for one in shown)
        for some in (found.payments, found.later):
            some[customer_id].sort(key=_chain_order)
        return found

    async def read_registered(self, gateway: Gateway, wallets: Sequence[str]) -> dict[str, str | None]:
        """The customer of each wallet at one gateway."""
        found = await self._read_with_failover(gateway, lambda bulk: bulk.customers_of(wallets))
        return dict(zip(wallets, found, strict=True))

    async def _read_with_failover(self, gateway: Gateway, read: Callable[[BulkReader], Awaitable[T]]) -> T:
        return await self.nodes.with_failover(lambda one: read(BulkReader(one, gateway.chain_id, gateway.address)))

    async def _read_batch(self, gateway: Gateway, start: int, stop: int, token: str, treasury: str) -> PaymentBatch:
        return await self._read_with_failover(gateway, lambda bulk: bulk.read(start, stop, token, treasury))

    async def _find_first_index(self, gateway: Gateway, first_block: int, total: int) -> int:
        """The first place of the index that lies in or after a block."""
        low, high = 0, total
        while low < high and first_block:
            middle = (low + high) // 2
            [found] = await gateway.payment_blocks(middle, middle + 1)
            low, high = (low, middle) if found >= first_block else (middle + 1, high)
        return low

    @staticmethod
    def _add_payments(into: Payments, payments: Sequence[Payment]) -> None:
        for one in payments:
            into[one.customer_id or ZERO_ADDRESS].append(one)

    @staticmethod
    def _match_transfers(found: ChainFacts, loose: dict[tuple[str, str], int]) -> None:
        """Compare what reached the treasury beside exact payments with what these transactions paid at all gateways."""
        if not loose:
            return
        hashes = {tx_hash for tx_hash, _ in loose}
        paid = paid_by(one for some in found.payments.values() for one in some if one.tx_hash in hashes)
        for who, sent in loose.items():
            if sent < paid.get(who, 0):
                raise InconsistentChainData(f"{who[0]} shows payments of {paid[who]}, but {sent} reached the treasury")
            found.received += sent
            found.straight += sent - paid.get(who, 0)

    async def _report_progress(self, found: ChainFacts) -> None:
        """Every customer's payments must be as many as the contract counts, in sequence."""
        customers = sorted((found.payments.keys() | found.later.keys()) - {ZERO_ADDRESS})
        for gateway in self.gateways:
            counts = await self._read_with_failover(gateway, lambda bulk: bulk.counts(customers))
            for customer, count in zip(customers, counts, strict=True):
                shown = [one.sequence for one in found.payments_of(customer) if one.gateway == gateway.address]
                if count < len(shown):
                    raise InconsistentChainData(
                        f"the gateway counts {count} payments of {customer}, its logs show more"
                    )
                if shown != list(range(len(shown))):
                    raise InconsistentChainData(f"the payments of {customer} are not in sequence")


def _chain_order(payment: Payment) -> tuple[int, int]:
    """Where a payment stands in the chain."""
    return payment.block, payment.log_index
