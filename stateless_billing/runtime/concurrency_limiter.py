"""Turns at something that is scarce: a few at a time, a short line behind them, and a plain refusal beyond that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class QueueFull(Exception):
    """Too many callers wait already, or one waited for too long."""


class ConcurrencyLimiter:
    """`at_once` at a time; `waiting` more stand in line, each for at most `seconds`."""

    def __init__(self, max_concurrent: int, max_queued: int, queue_timeout: float) -> None:
        self._free = asyncio.Semaphore(max_concurrent)
        self._seconds, self._room = queue_timeout, max_concurrent + max_queued

    @property
    def is_saturated(self) -> bool:
        """Whether somebody would have to wait."""
        return self._free.locked()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a turn and keep it for the block. Raises QueueFull."""
        if not self._room:
            raise QueueFull
        self._room -= 1
        try:
            try:
                async with asyncio.timeout(self._seconds):
                    await self._free.acquire()
            except TimeoutError:
                raise QueueFull from None
            try:
                yield
            finally:
                self._free.release()
        finally:
            self._room += 1
