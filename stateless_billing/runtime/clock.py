"""The machine's clocks. Code that needs the time takes a `Clock` as an argument."""

import time
from dataclasses import dataclass
from typing import Protocol


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
