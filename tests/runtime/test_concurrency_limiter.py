"""ConcurrencyLimiter enforces both limits and never leaks a slot."""

import asyncio

import pytest

from stateless_billing.runtime.concurrency_limiter import ConcurrencyLimiter, QueueFull
from tests.fakes.virtual_time import run_virtually


def test_callers_beyond_the_queue_are_rejected() -> None:
    run_virtually(_send_more_than_fit())


async def _send_more_than_fit() -> None:
    limiter = ConcurrencyLimiter(max_concurrent=2, max_queued=3, queue_timeout=60)
    running = peak = 0
    outcomes = []

    async def call() -> None:
        nonlocal peak, running
        try:
            async with limiter.slot():
                running += 1
                peak = max(peak, running)
                await asyncio.sleep(1)
                running -= 1
                outcomes.append("done")
        except QueueFull:
            outcomes.append("rejected")

    await asyncio.gather(*(call() for _ in range(8)))
    assert peak == 2
    assert sorted(outcomes) == ["done"] * 5 + ["rejected"] * 3
    await asyncio.gather(*(call() for _ in range(5)))
    assert outcomes[8:] == ["done"] * 5, "slots and queue places are released"


def test_waiting_times_out_and_cancelled_callers_release_their_slots() -> None:
    run_virtually(_time_out_and_cancel())


async def _time_out_and_cancel() -> None:
    limiter = ConcurrencyLimiter(max_concurrent=1, max_queued=2, queue_timeout=5)
    holder = asyncio.create_task(_hold(limiter, 100))
    await asyncio.sleep(0)
    started_at = asyncio.get_running_loop().time()
    with pytest.raises(QueueFull):
        await _hold(limiter, 1)
    assert asyncio.get_running_loop().time() - started_at == 5
    waiter = asyncio.create_task(_hold(limiter, 1))
    await asyncio.sleep(1)
    waiter.cancel()
    holder.cancel()
    await asyncio.gather(waiter, holder, return_exceptions=True)
    async with asyncio.timeout(10):
        await asyncio.gather(*(_hold(limiter, 1) for _ in range(3)))


async def _hold(limiter: ConcurrencyLimiter, seconds: float) -> None:
    async with limiter.slot():
        await asyncio.sleep(seconds)
