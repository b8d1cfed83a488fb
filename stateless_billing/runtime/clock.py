"""The machine's clocks. Code that needs the time takes a `Clock` as an argument."""

import time
from dataclasses import dataclass
from typing import Protocol

MAX_JUMP_SECONDS = 60  # between wall and boot clock; after more, nothing that was told before is used


class Clock(Protocol):
    """A wall clock and a clock that never goes back."""

    def wall(self) -> float:
        """Unix seconds, as set on this machine."""
        ...

    def boot(self) -> float:
        """Seconds since an arbitrary start; time in which the machine sleeps counts."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The operating system's clocks."""

    def wall(self) -> float:
        """Unix seconds."""
        return time.time()

    def boot(self) -> float:
        """Read `CLOCK_BOOTTIME`.

        Other systems have the monotonic clock, which may stop during sleep.
        """
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class ReferenceClock:
    """Another party's wall clock, as it was told last and moved on by the machine's boot clock.

    Where nothing was told, or the machine's two clocks have moved apart since, it is the machine's own wall clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset: float | None = None
        self._own_offset = 0.0

    def set(self, offset: float, own_offset: float) -> None:
        """Take the other's and the machine's wall clock minus the boot clock, at one moment."""
        self._offset, self._own_offset = offset, own_offset

    @property
    def has_jumped(self) -> bool:
        """Whether the machine's wall clock was set, or its boot clock stood still, since the other's was told."""
        own_offset = self._clock.wall() - self._clock.boot()
        return self._offset is not None and abs(own_offset - self._own_offset) > MAX_JUMP_SECONDS

    @property
    def skew(self) -> float | None:
        """The machine's wall clock minus the other's; None if that is not known."""
        if self._offset is None or self.has_jumped:
            return None
        return self._clock.wall() - self._clock.boot() - self._offset

    def wall(self) -> float:
        """Unix seconds."""
        return self._clock.wall() - (self.skew or 0.0)

    def boot(self) -> float:
        """Return the machine's boot clock."""
        return self._clock.boot()
