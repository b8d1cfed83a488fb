"""A flood of hashes: a few at a time, the rest refused, and those of payers before all others."""

import asyncio
from collections import Counter

import httpx

from stateless_billing.domain.errors import ProblemError
from stateless_billing.payers.transaction_lookup import TransactionLookup
from stateless_billing.services.container import Services
from tests.fakes.factories import payment
from tests.fakes.in_process_service import NOW_BLOCK, NodesLine, Town

FRESH = payment(block=NOW_BLOCK - 30)


class SlowLine(NodesLine):
    """The way to the nodes, at a tenth of a second each time."""

    asked = 0
    broken = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer after a while."""
        self.asked += 1
        await asyncio.sleep(0.1)
        if self.broken:
            raise httpx.ConnectError("no way")
        return await super().handle_async_request(request)


async def found(hashes: TransactionLookup, tx_hash: str) -> str:
    """What was paid, or that there was no turn."""
    try:
        _, claimed = await hashes.find(tx_hash)
    except ProblemError as refusal:
        return refusal.code
    return str(len(claimed.payments)) if claimed else "unknown"


def slowly(town: Town) -> tuple[Services, TransactionLookup, SlowLine]:
    """A process whose visitors' look-ups take their time."""
    services, line = town.process(), SlowLine(town)
    services._clients.visitor_http._transport = line
    return services, services.claims._transactions, line


def test_strangers_wait_and_payers_do_not() -> None:
    town = Town([FRESH])
    town.run(_flood(town))


async def _flood(town: Town) -> None:
    services, hashes, line = slowly(town)
    async with services:
        flood = [asyncio.create_task(found(hashes, f"0x{number:064x}")) for number in range(200)]
        await asyncio.sleep(0.05)
        payers = [asyncio.create_task(found(hashes, FRESH.tx_hash)) for _ in range(3)]
        assert await asyncio.gather(*payers) == ["1"] * 3
        assert any(not one.done() for one in flood), "they went before"
        told = Counter(await asyncio.gather(*flood))
        assert told["busy"] > 100
        assert told.keys() == {"busy", "unknown"}
        line.asked = 0
        assert await found(hashes, f"0x{1:064x}") == "unknown"
        assert line.asked == 2, "the newest block and the receipt: without a crowd nobody asks who paid"


def test_a_chain_that_cannot_be_read_tells_of_no_payer() -> None:
    town = Town([FRESH])
    town.run(_unreadable(town))


async def _unreadable(town: Town) -> None:
    services, hashes, line = slowly(town)
    async with services:
        assert FRESH.tx_hash in await hashes._unfinalized_hashes()
        await asyncio.sleep(2)
        line.broken = True
        assert await hashes._unfinalized_hashes() == frozenset()
