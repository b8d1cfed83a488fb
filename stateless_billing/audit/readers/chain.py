"""Reads all payments and checks them against contract counts and treasury transfers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, product
from typing import Literal, TypeVar

import msgspec

from chain import provider
from chain.bulk_reader import BulkReader, PaymentBatch
from chain.errors import InconsistentChainData
from chain.failover import FailoverProvider
from chain.gateway import Gateway
from chain.payment import Block, Payment
from chain.provider import NodeProvider
from stateless_billing.audit.report.disk_table import DiskTable

T = TypeVar("T")
ProgressCallback = Callable[[str, int, int], None]
"""Receives the stage, how many items are done, and their total (0 if unknown)."""
Side = Literal["before", "after"]

_TURN = 500  # items
_COUNTED_AT_ONCE = 1_000  # customers, as the calls of all of them would take more memory than their payments
NO_CUSTOMER = ""  # key of the payments whose event names no customer


class Payments(Mapping[str, list[Payment]]):
    """Payments by customer, each customer's in chain order, on disk: only their customers are in memory at once."""

    def __init__(self) -> None:
        self._table = DiskTable()

    def add(self, payments: Iterable[Payment]) -> None:
        """Add payments, each under the customer of its event."""
        self._table.add((each.customer_id or NO_CUSTOMER, _place(each), msgspec.json.encode(each)) for each in payments)

    def count(self) -> int:
        """Count the payments of all customers."""
        return len(self._table)

    def each(self) -> Iterator[Payment]:
        """Yield the payments of all customers, one customer after the other."""
        return chain.from_iterable(self.values())

    def __getitem__(self, customer: str) -> list[Payment]:
        payments = [msgspec.json.decode(value, type=Payment) for value in self._table.values_of(customer)]
        if not payments:
            raise KeyError(customer)
        return payments

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.names())

    def __len__(self) -> int:
        return len(self._table.names())


@dataclass(slots=True)
class ChainFacts:
    """Payments by customer in chain order, and the control totals in base units.

    `payments` and all totals end with the report's last block, so a later run reproduces them. `later` holds the
    payments after that block.
    """

    payments: Payments = field(default_factory=Payments)
    later: Payments = field(default_factory=Payments)
    counted: dict[str, int] = field(default_factory=dict)
    paid: int = 0
    received: int = 0
    sent_straight: int = 0

    @property
    def total(self) -> int:
        """Number of payments up to the report's last block."""
        return self.payments.count()

    def payments_of(self, customer: str) -> list[Payment]:
        """Return all payments of a customer, including later ones."""
        return [*self.payments.get(customer, ()), *self.later.get(customer, ())]

    async def find(self, identities: set[str], *, later: bool = True) -> dict[str, Payment]:
        """Return the payments with these identities, including `later` ones."""
        payments: dict[str, Payment] = {}
        for part in (self.payments, *((self.later,) if later else ())) if identities else ():
            payments |= {
                payment.identity: payment async for payment in in_turns(part.each()) if payment.identity in identities
            }
        return payments


async def in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield items that are read from the disk, and let the loop's other work go on every few hundred."""
    for count, item in enumerate(items):
        if count % _TURN == 0:
            await asyncio.sleep(0)
        yield item


class ChainReader:
    """Reads from the first node whose responses are consistent. Every method raises ChainError."""

    def __init__(self, nodes: FailoverProvider, gateways: Sequence[Gateway], on_progress: ProgressCallback) -> None:
        self.nodes = nodes
        self.gateways = gateways
        self._on_progress = on_progress
        self.codes: dict[str, str] = {}

    async def find_block_by_time(self, time: int, head: Block, *, side: Side) -> Block:
        """Find the last block at or before a time, or the first at or after it, up to `head`."""
        low, high, step = head.number, head.number, 1
        while low and (await provider.block(self.nodes, low)).time >= time:
            low, step = max(0, low - step), 2 * step
        while low < high:
            middle = (low + high + 1) // 2 if side == "before" else (low + high) // 2
            middle_time = (await provider.block(self.nodes, middle)).time
            if side == "before":
                low, high = (middle, high) if middle_time <= time else (low, middle - 1)
            else:
                low, high = (low, middle) if middle_time >= time else (middle + 1, high)
        return await provider.block(self.nodes, low)

    async def read_everything(self, first_block: int, horizon: int, token: str) -> ChainFacts:
        """Read all payments from `first_block` on, checked against the contracts and the token."""
        facts = ChainFacts()
        unmatched: dict[tuple[str, str, str], int] = {}
        treasuries: dict[str, str] = {}
        newest = await provider.block(self.nodes, horizon)
        for gateway in self.gateways:
            total = await self._count_with(newest, gateway, lambda bulk: bulk.total_payments())
            treasuries[gateway.address] = treasury = await self._read_with_failover(
                gateway, lambda bulk: bulk.treasury()
            )
            start = await self._find_first_index(gateway, first_block, total)
            facts.counted[gateway.address] = end = await self._find_first_index(gateway, horizon + 1, total)
            while start < total:
                batch = await self._read_batch(gateway, start, end if start < end else total, token, treasury)
                payments = [payment for index, payment in batch.payments if index >= start]
                if start < end:
                    facts.payments.add(payments)
                    facts.paid += sum(payment.amount for payment in payments)
                    facts.received += batch.received
                    unmatched |= {(treasury, *sender): sent for sender, sent in batch.unmatched_transfers.items()}
                else:
                    facts.later.add(payments)
                start = batch.payments[-1][0] + 1
                self._on_progress("payments of the chain", start, total)
        await self._match_transfers(facts, unmatched, treasuries)
        await self._require_matching_counts(facts, horizon, is_whole=first_block == 0)
        return facts

    async def read_customer(self, customer_id: str, horizon: int) -> ChainFacts:
        """Read the payments of one customer, without checking the token's transfers."""
        facts = ChainFacts()
        newest = await provider.block(self.nodes, horizon)
        for gateway in self.gateways:
            count = await self._count_with(newest, gateway, lambda bulk: bulk.payment_count(customer_id))
            payments = await gateway.payments_of(customer_id, 0, count)
            in_scope = [payment for payment in payments if payment.block <= horizon]
            facts.payments.add(in_scope)
            facts.later.add(payments[len(in_scope) :])
            facts.counted[gateway.address] = len(in_scope)
            facts.paid += sum(payment.amount for payment in in_scope)
        return facts

    async def read_treasuries(self) -> tuple[str, ...]:
        """Read the treasuries of all gateways."""
        treasuries = [
            await self._read_with_failover(gateway, lambda bulk: bulk.treasury()) for gateway in self.gateways
        ]
        return tuple(dict.fromkeys(treasuries))

    async def read_registered(self, gateway: Gateway, wallets: Sequence[str]) -> dict[str, str | None]:
        """Read the customer of each wallet at one gateway."""
        customers = await self._read_with_failover(gateway, lambda bulk: bulk.customers_of(wallets))
        return dict(zip(wallets, customers, strict=True))

    async def _read_with_failover(self, gateway: Gateway, read: Callable[[BulkReader], Awaitable[T]]) -> T:
        return await self.nodes.with_failover(lambda node: read(BulkReader(node, gateway.chain_id, gateway.address)))

    async def _count_with(self, newest: Block, gateway: Gateway, count: Callable[[BulkReader], Awaitable[int]]) -> int:
        """Count payments at a node that has block `newest`: one that stands still counts too few, and nothing shows it.

        Raises: ChainError.
        """

        async def read(node: NodeProvider) -> int:
            if await provider.block(node, newest.number) != newest:
                raise InconsistentChainData(f"{node.name} has another block {newest.number}")
            return await count(BulkReader(node, gateway.chain_id, gateway.address))

        return await self.nodes.with_failover(read)

    async def _read_batch(self, gateway: Gateway, start: int, stop: int, token: str, treasury: str) -> PaymentBatch:
        return await self._read_with_failover(gateway, lambda bulk: bulk.read(start, stop, token, treasury))

    async def _find_first_index(self, gateway: Gateway, first_block: int, total: int) -> int:
        """Find the first index of a payment in or after a block."""
        low, high = 0, total
        while low < high and first_block:
            middle = (low + high) // 2
            [block] = await gateway.payment_blocks(middle, middle + 1)
            low, high = (low, middle) if block >= first_block else (middle + 1, high)
        return low

    @staticmethod
    async def _match_transfers(
        facts: ChainFacts, unmatched: Mapping[tuple[str, str, str], int], treasuries: Mapping[str, str]
    ) -> None:
        """Compare the treasuries' other transfers with what their transactions paid at all gateways of the treasury.

        `unmatched` has what reached a treasury by an EVM transaction and sender, `treasuries` that of each gateway.
        """
        if not unmatched:
            return
        hashes = {tx_hash for _, tx_hash, _ in unmatched}
        paid: Counter[tuple[str, str, str]] = Counter()
        async for payment in in_turns(facts.payments.each()):
            if payment.tx_hash in hashes:
                paid[treasuries[payment.gateway], payment.tx_hash, payment.payer] += payment.amount
        for sender, sent in unmatched.items():
            if sent < paid[sender]:
                raise InconsistentChainData(
                    f"{sender[1]} shows payments of {paid[sender]}, but {sent} reached the treasury {sender[0]}"
                )
            facts.received += sent
            facts.sent_straight += sent - paid[sender]

    async def _count_payments(self, gateway: Gateway, customers: Sequence[str]) -> list[int]:
        return await self._read_with_failover(gateway, lambda bulk: bulk.counts(customers))

    async def _require_matching_counts(self, facts: ChainFacts, horizon: int, *, is_whole: bool) -> None:
        """Require each customer's payments to be in sequence and all that the contract counts up to `horizon`.

        Unless the facts are the `is_whole` chain's, the first of them need not be the customer's first.
        """
        customers = sorted((facts.payments.keys() | facts.later.keys()) - {NO_CUSTOMER})
        parts = [customers[start : start + _COUNTED_AT_ONCE] for start in range(0, len(customers), _COUNTED_AT_ONCE)]
        for gateway, part in product(self.gateways, parts):
            counts = await self._count_payments(gateway, part)
            for customer, count in zip(part, counts, strict=True):
                sequences = [
                    payment.sequence for payment in facts.payments_of(customer) if payment.gateway == gateway.address
                ]
                if not sequences and not is_whole:
                    continue
                first = 0 if is_whole else sequences[0]
                end = first + len(sequences)
                if count < end:
                    raise InconsistentChainData(
                        f"the gateway counts {count} payments of {customer}, its logs show more"
                    )
                if sequences != list(range(first, end)):
                    raise InconsistentChainData(f"the payments of {customer} are not in sequence")
                if count > end and (await gateway.payment_blocks_of(customer, end, end + 1))[0] <= horizon:
                    raise InconsistentChainData(f"the gateway's index omits payment {end} of {customer}")


def _place(payment: Payment) -> bytes:
    """Encode the position of a payment in the chain so that bytes compare as positions do."""
    return b"%064x%064x" % (payment.block, payment.log_index)
