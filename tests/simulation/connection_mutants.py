"""Mutants of the Stripe connection: its conditions for sending a write."""

from collections.abc import Callable
from typing import Any, Literal

from stateless_billing.stripe import connection
from stateless_billing.stripe.connection import BeforeSend, Connection, StillValid
from stateless_billing.stripe.errors import NotSent
from tests.simulation.grant_mutants import Patch

FOREVER = 10**9


def new_connection() -> list[Patch]:
    """A write may open a connection, and no clock is checked before it is sent."""

    def now(self: Connection) -> int:
        if self._last_response is None:
            raise NotSent("nothing was read over this connection yet")
        return self._last_response.date

    return [
        (Connection, "_create_tracer", lambda self, still_valid, before_send: _pass),
        (Connection, "now", now),
    ]


def may_reconnect() -> list[Patch]:
    """A session may continue over a new connection; the clocks are still checked."""
    original = Connection._create_tracer

    def tracer(
        self: Connection, still_valid: StillValid | None, before_send: BeforeSend | None
    ) -> Callable[[str, dict[str, Any]], Any]:
        trace = original(self, still_valid, before_send)

        async def trace_request(step: str, info: dict[str, Any]) -> None:
            if not step.startswith("connection."):
                await trace(step, info)

        return trace_request

    return [(Connection, "_create_tracer", tracer)]


async def _pass(step: str, info: dict[str, Any]) -> None:
    """A trace hook that checks nothing."""


def no_clock_check() -> list[Patch]:
    """Neither clock is checked: the last answer never expires."""
    return [(connection, "MAX_ANSWER_AGE_SECONDS", FOREVER)]


def _now_by(clock: Literal["wall", "boot"]) -> Callable[[Connection], int]:
    def now(self: Connection) -> int:
        last = self._last_response
        if last is None:
            raise NotSent("nothing was read over this connection yet")
        waited = self._clock.wall() - last.wall if clock == "wall" else self._clock.boot() - last.boot
        if not 0 <= waited <= connection.MAX_ANSWER_AGE_SECONDS:
            raise NotSent("too old")
        if abs(last.skew) > connection.CLOCK_TOLERANCE_SECONDS:
            raise NotSent("skewed")
        return int(last.date + waited)

    return now


def no_boot_clock() -> list[Patch]:
    """Only the wall clock is checked before a write."""
    return [(Connection, "now", _now_by("wall"))]


def no_wall_clock() -> list[Patch]:
    """Only the boot clock is checked before a write."""
    return [(Connection, "now", _now_by("boot"))]


CONNECTION_MUTANTS: dict[str, Callable[[], list[Patch]]] = {
    mutant.__name__: mutant for mutant in (new_connection, may_reconnect, no_clock_check, no_boot_clock, no_wall_clock)
}
