"""Turns at something that is scarce: a few at a time, a short line behind them, and a plain refusal beyond that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stateless_billing.domain.errors import Refusal


class Turns:
    """`at_once` at a time; `waiting` more stand in line, each for at most `seconds`."""

    def __init__(self, at_once: int, waiting: int, seconds: float) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._seconds, self._room = seconds, at_once + waiting

    @property
    def crowded(self) -> bool:
        """Whether somebody would have to wait."""
        return self._free.locked()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and keep it for the block. Raises Refusal where the line is too long."""
        if not self._room:
            raise _busy()
        self._room -= 1
        try:
            try:
                async with asyncio.timeout(self._seconds):
                    await self._free.acquire()
            except TimeoutError:
                raise _busy() from None
            try:
                yield
            finally:
                self._free.release()
        finally:
            self._room += 1


def _busy() -> Refusal:
    return Refusal(
        "busy",
        "Too many payments are being looked up at the moment, so yours was not. Whatever was paid stays paid and will"
        " be credited, also if nobody asks; ask again in a few seconds.",
    )
