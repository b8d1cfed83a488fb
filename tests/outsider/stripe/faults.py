"""Faults that a scenario plants: each for a number of requests that fit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Kind(Enum):
    """What happens to a request."""

    LOST_BEFORE = "the connection ends before the request is executed"
    LOST_AFTER = "the connection ends after the request was executed"
    CUT = "executed, and the answer's body ends in the middle"
    SLOW_BEFORE = "waits, then executes"
    SLOW_AFTER = "executes, then waits"
    SAVED_500 = "a 500 that is saved under the key; nothing was executed"
    EXECUTED_500 = "a 500 that is saved under the key, although it was executed"
    HTML_502 = "an edge's page; nothing was executed"
    RATE_LIMITED = "429 of a rate limiter"
    LOCKED = "429 of an object's lock"


@dataclass
class Fault:
    """A fault, for the next `times` requests that fit."""

    kind: Kind
    method: str
    address: str  # a template, such as /v1/customers/:id
    times: int = 1
    seconds: float = 0
    fits: Callable[[dict[str, Any]], bool] = lambda _: True
    struck: int = 0


@dataclass
class Faults:
    """The faults that are planted."""

    planted: list[Fault] = field(default_factory=list)

    def plant(self, kind: Kind, method: str, address: str, **details: Any) -> Fault:
        """Plant a fault, and return it: `struck` counts the requests that it met."""
        fault = Fault(kind, method, address, **details)
        self.planted.append(fault)
        return fault

    def strike(self, method: str, address: str, parameters: dict[str, Any]) -> Fault | None:
        """Return the fault that meets a request."""
        for fault in self.planted:
            meant = fault.struck < fault.times and (fault.method, fault.address) == (method, address)
            if meant and fault.fits(parameters):
                fault.struck += 1
                return fault
        return None

    def clear(self) -> None:
        """Remove all faults."""
        self.planted.clear()
