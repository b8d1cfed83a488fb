"""One lock per key. A lock exists while a task holds it or waits for it."""

import asyncio
from weakref import WeakValueDictionary


class KeyedLocks:
    """Locks by key.

    Stripe locks an object during a write, so writes to one object are queued here instead.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, key: str) -> asyncio.Lock:
        """Return the lock of `key`."""
        return self._locks.setdefault(key, asyncio.Lock())
