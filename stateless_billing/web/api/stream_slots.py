"""Limits open streams by making room: a new stream ends the oldest one, so that nobody keeps others out."""

import asyncio
from collections import Counter

from stateless_billing.runtime import metrics

MAX_STREAMS_OF_ORIGIN = 6
MAX_STREAMS = 200


class Slot:
    """One open stream. `wake` is set whenever the stream has something to do; `end` is empty while it may go on."""

    def __init__(self, origin: str, wake: asyncio.Event) -> None:
        self.origin = origin
        self.wake = wake
        self.end = ""

    def finish(self, cause: str) -> None:
        """Let the stream end: `displaced`, `shutdown`, `moved` or `closed`."""
        self.end = self.end or cause
        self.wake.set()


class StreamSlots:
    """The open streams of this process, oldest first."""

    def __init__(self) -> None:
        self._slots: dict[Slot, None] = {}
        self._of_origin: Counter[str] = Counter()
        self._is_closed = False

    def take(self, origin: str, wake: asyncio.Event) -> Slot:
        """Open a stream; where there are too many, the oldest of the origin, or of all, ends."""
        slot = Slot(origin, wake)
        if self._of_origin[origin] >= MAX_STREAMS_OF_ORIGIN:
            self._displace(next(other for other in self._slots if other.origin == origin))
        elif len(self._slots) >= MAX_STREAMS:
            self._displace(next(iter(self._slots)))
        self._slots[slot] = None
        self._of_origin[origin] += 1
        metrics.ACCOUNT_STREAMS.inc()
        if self._is_closed:
            slot.finish("shutdown")
        return slot

    def release(self, slot: Slot) -> None:
        """Forget a stream that has ended."""
        metrics.ACCOUNT_STREAMS_ENDED.labels(slot.end or "closed").inc()
        self._remove(slot)

    def close(self) -> None:
        """End all streams, and every later one at once: the process stops."""
        self._is_closed = True
        for slot in self._slots:
            slot.finish("shutdown")

    def _displace(self, slot: Slot) -> None:
        slot.finish("displaced")
        self._remove(slot)

    def _remove(self, slot: Slot) -> None:
        if slot not in self._slots:
            return
        del self._slots[slot]
        metrics.ACCOUNT_STREAMS.dec()
        self._of_origin[slot.origin] -= 1
        if not self._of_origin[slot.origin]:
            del self._of_origin[slot.origin]
