"""Reads all transfers of the token to and from a treasury, and proves by its balances that none is missing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from chain import decoding, provider
from chain.bulk_reader import request_many
from chain.decoding import TRANSFER_TOPIC, LogHead
from chain.errors import InconsistentChainData, InvalidResponse, NodeError
from chain.failover import FailoverProvider
from chain.payment import Block, Payment
from chain.provider import Call, NodeProvider
from stateless_billing.audit.readers.chain import ProgressCallback, in_turns
from stateless_billing.audit.rules.facts import Scope
from stateless_billing.audit.rules.rows import Row
from stateless_billing.audit.rules.transfers import (
    Bound,
    Statement,
    Transfer,
    address_topic,
    decode_transfers,
    find_source,
    find_unpaid,
    stray_row,
)

FIRST_WINDOW = 10_000  # blocks
_SMALL_WINDOW = 10  # what the free plans of some providers serve
_MAX_WINDOW = 320_000
_GROW_AFTER = 8  # windows in a row that were served
_MAX_FAILURES = 6  # in a row, of one single block, before the next node is asked
BALANCE_OF = "0x70a08231"


@dataclass(slots=True)
class TreasuryReport:
    """What came to the treasuries past the gateways: rows, and totals for the report."""

    rows: list[Row] = field(default_factory=list)
    totals: dict[str, Any] = field(default_factory=dict)


class TreasuryReader:
    """Reads transfers by ranges of blocks, as wide as the node serves them. Every method raises ChainError."""

    def __init__(
        self,
        nodes: FailoverProvider,
        scope: Scope,
        on_progress: ProgressCallback,
        on_message: Callable[[str], object],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._nodes = nodes
        self._scope = scope
        self._token = scope.token
        self._on_progress = on_progress
        self._on_message = on_message
        self._sleep = sleep

    async def create_report(self, payments: Iterable[Payment], stated_opening: int | None) -> TreasuryReport:
        """Account for every transfer to the treasuries in the range of the report, which has these payments."""
        statements = [await self.read(account, stated_opening) for account in self._scope.treasuries]
        in_range = range(self._scope.first_block, self._scope.block + 1)
        received = [
            transfer
            for statement in statements
            for transfer in statement.received
            if transfer.block in in_range and transfer.sender not in self._scope.treasuries
        ]
        paid = [payment async for payment in in_turns(payments) if payment.block in in_range]
        unpaid = find_unpaid(received, paid)
        known, strays = await self._split_known(unpaid)
        blocks = await self.read_blocks(strays)
        rows = [stray_row(transfer, blocks[transfer.block], self._scope) for transfer in strays]
        return TreasuryReport(
            rows,
            {
                "accounts": {statement.account: statement.as_dict(self._scope.block) for statement in statements},
                "paid_raw": str(sum(payment.amount for payment in paid)),
                "known": known,
                "stray": _sum_transfers(strays),
            },
        )

    async def _split_known(self, unpaid: Sequence[Transfer]) -> tuple[dict[str, dict[str, Any]], list[Transfer]]:
        """Sum the transfers through the known contracts by label, and return the rest."""
        sources = dict(self._scope.known_sources)
        if not sources:
            return {}, list(unpaid)
        emitters = await self.read_emitters(transfer.tx_hash for transfer in unpaid)
        by_label: dict[str, list[Transfer]] = {label: [] for label in sources.values()}
        strays: list[Transfer] = []
        for transfer in unpaid:
            label = find_source(emitters[transfer.tx_hash], sources)
            (strays if label is None else by_label[label]).append(transfer)
        return {label: _sum_transfers(transfers) for label, transfers in by_label.items()}, strays

    async def read(self, account: str, stated_opening: int | None) -> Statement:
        """Read all transfers of an account in the range of the report, and those that the proof needs beyond it."""
        opening = await self._find_opening(account, self._scope.first_block, self._scope.block, stated_opening)
        statement = Statement(account, opening, await self._find_closing(account, self._scope.block))
        blocks = statement.closing.block - opening.block + 1
        requests, most = (2 * -(-blocks // window) for window in (FIRST_WINDOW, _SMALL_WINDOW))
        self._on_message(
            f"reading the transfers of the treasury {account} in {blocks:,} blocks, without any Stripe reads:"
            f" {requests:,} requests to the node if it serves {FIRST_WINDOW:,} blocks at a time,"
            f" {most:,} if it serves {_SMALL_WINDOW}"
        )
        await self._nodes.with_failover(lambda node: self._read_on(node, statement))
        return statement

    async def _find_opening(self, account: str, first_block: int, last_block: int, stated: int | None) -> Bound:
        if first_block > 0:
            try:
                return Bound(first_block, await self._read_balance(account, first_block - 1), "node")
            except NodeError:
                if stated is not None:
                    return Bound(first_block, stated, "stated")
        return Bound(await self._find_first_block(last_block), 0, "token")

    async def _find_closing(self, account: str, last_block: int) -> Bound:
        try:
            return Bound(last_block, await self._read_balance(account, last_block), "node")
        except NodeError:
            head = await provider.block(self._nodes, "latest")
            return Bound(head.number, await self._read_balance(account, head.number), "head")

    async def _read_balance(self, account: str, block: int) -> int:
        call = {"to": self._token, "data": BALANCE_OF + address_topic(account)[2:]}
        return await self._nodes.request(
            "eth_call", [call, hex(block)], lambda value: decoding.uint256(decoding.data(value))
        )

    async def _find_first_block(self, last_block: int) -> int:
        """Find the block in which the token was created; 0 if the node keeps no state that old."""
        low, high = 0, last_block
        try:
            while low < high:
                middle = (low + high) // 2
                code = await self._nodes.request("eth_getCode", [self._token, hex(middle)], decoding.data)
                low, high = (low, middle) if code else (middle + 1, high)
        except NodeError:
            return 0
        return low

    async def _read_on(self, node: NodeProvider, statement: Statement) -> None:
        """Read on from where the last node failed.

        If the transfers do not add up, what other nodes showed is read again from this one, and then the next is asked.
        """
        is_alone = statement.position == statement.opening.block
        await self._read_windows(node, statement)
        difference = statement.difference
        if not difference:
            return
        statement.restart()
        if not is_alone:
            await self._read_on(node, statement)
            return
        raise InconsistentChainData(
            f"the transfers of the treasury {statement.account} do not add up to its balance at block"
            f" {statement.closing.block}: {difference} base units are unaccounted for"
        )

    async def _read_windows(self, node: NodeProvider, statement: Statement) -> None:
        """Read the rest of the range, in windows as wide as the node serves them."""
        size, served, failures = FIRST_WINDOW, 0, 0
        start, end = statement.opening.block, statement.closing.block
        while statement.position <= end:
            stop = min(statement.position + size - 1, end)
            try:
                received, sent = await self._read_window(node, statement, stop)
            except NodeError:
                failures += statement.position == stop
                if failures >= _MAX_FAILURES:
                    raise
                if statement.position == stop:
                    await self._sleep(2**failures)
                size, served = max(1, (stop - statement.position + 1) // 2), 0
                continue
            statement.received += received
            statement.sent += sent
            statement.position = stop + 1
            failures, served = 0, served + 1
            if served >= _GROW_AFTER:
                size, served = min(2 * size, _MAX_WINDOW), 0
            self._on_progress("blocks of the treasury", statement.position - start, end - start + 1)

    async def _read_window(
        self, node: NodeProvider, statement: Statement, stop: int
    ) -> tuple[list[Transfer], list[Transfer]]:
        account = address_topic(statement.account)
        received, sent = await asyncio.gather(
            self._read_logs(node, [TRANSFER_TOPIC, None, account], statement.position, stop),
            self._read_logs(node, [TRANSFER_TOPIC, account], statement.position, stop),
        )
        if any(transfer.recipient != statement.account for transfer in received) or any(
            transfer.sender != statement.account for transfer in sent
        ):
            raise NodeError(f"{node.name} showed transfers of another account")
        return received, sent

    async def _read_logs(
        self, node: NodeProvider, topics: Sequence[str | None], start: int, stop: int
    ) -> list[Transfer]:
        query = {"fromBlock": hex(start), "toBlock": hex(stop), "address": self._token, "topics": topics}
        return await node.request(
            "eth_getLogs", [query], lambda value: decode_transfers(value, self._token, start, stop)
        )

    async def read_emitters(self, tx_hashes: Iterable[str]) -> Mapping[str, set[str]]:
        """Read which contracts emitted logs in each EVM transaction."""
        hashes = sorted(set(tx_hashes))
        calls: list[Call] = [("eth_getTransactionReceipt", [tx_hash]) for tx_hash in hashes]
        receipts = await request_many(self._nodes, calls, _decode_emitters)
        if [tx_hash for tx_hash, _ in receipts] != hashes:
            raise InconsistentChainData("receipts of other EVM transactions than those asked for")
        return dict(receipts)

    async def read_blocks(self, transfers: Sequence[Transfer]) -> Mapping[int, Block]:
        """Read the headers of the transfers' blocks, and require that they hold them."""
        numbers = sorted({transfer.block for transfer in transfers})
        calls: list[Call] = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
        blocks = {block.number: block for block in await request_many(self._nodes, calls, decoding.block)}
        for transfer in transfers:
            if transfer.block not in blocks or blocks[transfer.block].hash != transfer.block_hash:
                raise InconsistentChainData(f"block {transfer.block} is not the one that holds {transfer.tx_hash}")
        return blocks


def _sum_transfers(transfers: Sequence[Transfer]) -> dict[str, Any]:
    return {"transfers": len(transfers), "raw": str(sum(transfer.amount for transfer in transfers))}


class _Receipt(msgspec.Struct, frozen=True, rename="camel"):
    transaction_hash: str
    logs: list[LogHead]


def _decode_emitters(value: object) -> tuple[str, set[str]]:
    if value is None:
        raise InvalidResponse("no receipt of an EVM transaction whose log was shown")
    receipt = decoding.typed(value, _Receipt, "a receipt")
    return decoding.hash32(receipt.transaction_hash), {decoding.address(log.address) for log in receipt.logs}
