"""One lock per key, kept for as long as somebody holds it or waits for it."""

import asyncio
from weakref import WeakValueDictionary


class KeyedLocks:
    """Locks by key: work on one Stripe object is done one after another, because Stripe locks the object anyway."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, key: str) -> asyncio.Lock:
        """The lock of a key."""
        return self._locks.setdefault(key, asyncio.Lock())
