"""Turns: so many at a time, so many in line, and never a turn lost."""

import asyncio

import pytest

from stateless_billing.runtime.concurrency_limiter import ConcurrencyLimiter, QueueFull
from tests.fakes.virtual_time import run_virtually


def test_a_few_at_a_time_and_the_rest_is_refused() -> None:
    run_virtually(_crowd())


async def _crowd() -> None:
    turns, most, here, told = ConcurrencyLimiter(max_concurrent=2, max_queued=3, queue_timeout=60), 0, 0, []

    async def one() -> None:
        nonlocal most, here
        try:
            async with turns.slot():
                here += 1
                most = max(most, here)
                await asyncio.sleep(1)
                here -= 1
                told.append("done")
        except QueueFull:
            told.append("busy")

    await asyncio.gather(*(one() for _ in range(8)))
    assert most == 2
    assert sorted(told) == ["busy"] * 3 + ["done"] * 5
    await asyncio.gather(*(one() for _ in range(5)))
    assert told[8:] == ["done"] * 5, "turns and places come back"


def test_nobody_waits_for_ever_and_whoever_goes_leaves_no_gap() -> None:
    run_virtually(_slow())


async def _slow() -> None:
    turns = ConcurrencyLimiter(max_concurrent=1, max_queued=2, queue_timeout=5)
    held = asyncio.create_task(_hold(turns, 100))
    await asyncio.sleep(0)
    begun = asyncio.get_running_loop().time()
    with pytest.raises(QueueFull):
        await _hold(turns, 1)
    assert asyncio.get_running_loop().time() - begun == 5
    gone = asyncio.create_task(_hold(turns, 1))
    await asyncio.sleep(1)
    gone.cancel()
    held.cancel()
    await asyncio.gather(gone, held, return_exceptions=True)
    async with asyncio.timeout(10):
        await asyncio.gather(*(_hold(turns, 1) for _ in range(3)))


async def _hold(turns: ConcurrencyLimiter, seconds: float) -> None:
    async with turns.slot():
        await asyncio.sleep(seconds)
