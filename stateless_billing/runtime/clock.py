"""The machine's clocks, passed as an argument wherever time is asked for."""

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """`wall` in unix seconds; `boot` in seconds since some fixed moment, going on while the machine sleeps."""

    def wall(self) -> float:
        """Unix seconds, as the machine believes."""
        ...

    def boot(self) -> float:
        """Seconds that have passed, sleep included."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The real clocks."""

    def wall(self) -> float:
        """Unix seconds by the operating system's clock."""
        return time.time()

    def boot(self) -> float:
        """`CLOCK_BOOTTIME` on Linux; elsewhere the monotonic clock, which may stand still while the machine sleeps."""
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
