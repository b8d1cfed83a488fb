"""The connection to Stripe with one of its rules broken: when a write is still allowed to go out."""

from collections.abc import Callable
from typing import Any

from stateless_billing.stripe import connection
from stateless_billing.stripe.connection import Connection
from stateless_billing.stripe.errors import NotSent
from tests.simulation.grant_mutants import Patch

FOR_EVER = 10**9


def new_connection() -> list[Patch]:
    """A write may open a connection, and no clock is looked at before it goes out."""

    def now(self: Any) -> int:
        if self._last is None:
            raise NotSent("nothing was read over this connection yet")
        return int(self._last.date)

    return [
        (Connection, "_tracer", lambda self, judge, turn: _passes),
        (Connection, "now", now),
    ]


def may_reconnect() -> list[Patch]:
    """A session may go on over a new connection; the clocks are still looked at."""
    made = vars(Connection)["_tracer"]

    def tracer(self: Any, judge: Any, turn: Any) -> Any:
        trace = made(self, judge, turn)

        async def passing(step: str, info: dict[str, Any]) -> None:
            if not step.startswith("connection."):
                await trace(step, info)

        return passing

    return [(Connection, "_tracer", tracer)]


async def _passes(step: str, info: dict[str, Any]) -> None:
    """A guard that lets everything pass."""


def no_clock_check() -> list[Patch]:
    """Neither clock is looked at: the last answer is always young enough."""
    return [(connection, "MAX_ANSWER_AGE_SECONDS", FOR_EVER)]


def _now_by(clock: str) -> Callable[[Any], int]:
    def now(self: Any) -> int:
        last = self._last
        if last is None:
            raise NotSent("nothing was read over this connection yet")
        waited = getattr(self._clock, clock)() - getattr(last, clock)
        if not 0 <= waited <= connection.MAX_ANSWER_AGE_SECONDS:
            raise NotSent("too old")
        if abs(last.skew) > connection.CLOCK_TOLERANCE_SECONDS:
            raise NotSent("skewed")
        return int(last.date + waited)

    return now


def no_boot_clock() -> list[Patch]:
    """Only the wall clock is looked at before a write."""
    return [(Connection, "now", _now_by("wall"))]


def no_wall_clock() -> list[Patch]:
    """Only the boot clock is looked at before a write."""
    return [(Connection, "now", _now_by("boot"))]


CONNECTION_MUTANTS: dict[str, Callable[[], list[Patch]]] = {
    made.__name__: made for made in (new_connection, may_reconnect, no_clock_check, no_boot_clock, no_wall_clock)
}
