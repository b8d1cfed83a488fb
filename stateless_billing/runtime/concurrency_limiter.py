"""Concurrency limiter with a bounded wait queue. Rejects callers once the queue is full."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class QueueFull(Exception):
    """The wait queue is full, or the caller waited longer than the queue timeout."""


class ConcurrencyLimiter:
    """Runs `max_concurrent` callers.

    `max_queued` more wait, for at most `queue_timeout` seconds each.
    """

    def __init__(self, max_concurrent: int, max_queued: int, queue_timeout: float) -> None:
        self._running = asyncio.Semaphore(max_concurrent)
        self._queue_timeout = queue_timeout
        self._capacity = max_concurrent + max_queued

    @property
    def is_saturated(self) -> bool:
        """Whether the next caller would have to wait."""
        return self._running.locked()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it for the block.

        Raises: QueueFull.
        """
        if not self._capacity:
            raise QueueFull
        self._capacity -= 1
        try:
            try:
                async with asyncio.timeout(self._queue_timeout):
                    await self._running.acquire()
            except TimeoutError:
                raise QueueFull from None
            try:
                yield
            finally:
                self._running.release()
        finally:
            self._capacity += 1
