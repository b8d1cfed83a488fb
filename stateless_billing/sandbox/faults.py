"""Selects the requests that a fault hits: the next N of an endpoint, after skipping some, or by seeded chance."""

import random
from dataclasses import dataclass

from stateless_billing.sandbox.effects import NO_EFFECT, Effect


@dataclass(slots=True)
class Fault:
    """An effect and the requests it applies to; empty `method`, `template` and `path` match anything.

    `template` is the URL template, as in `/v1/customers/{customer}/balance_transactions`; `path` is an exact path.
    The first `skip` matching requests pass (so `skip=2` on a list fails its third page), then `times` are hit (None:
    all), each with `probability`.
    """

    effect: Effect
    method: str = ""
    template: str = ""
    path: str = ""
    times: int | None = 1
    skip: int = 0
    probability: float = 1.0

    def matches(self, method: str, template: str, path: str) -> bool:
        """Whether the fault applies to a request."""
        return (
            self.method in ("", method)
            and self.template in ("", template)
            and self.path in ("", path)
            and self.times != 0
        )


class FaultPlan:
    """The active faults, oldest first; only the first that matches a request applies."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.faults: list[Fault] = []

    def add(
        self,
        effect: Effect,
        *,
        method: str = "",
        template: str = "",
        path: str = "",
        times: int | None = 1,
        skip: int = 0,
        probability: float = 1.0,
    ) -> Fault:
        """Activate a fault; see `Fault`."""
        fault = Fault(effect, method, template, path, times, skip, probability)
        self.faults.append(fault)
        return fault

    def clear(self) -> None:
        """Remove all faults."""
        self.faults.clear()

    def next_effect(self, method: str, template: str, path: str) -> Effect:
        """Return the effect on this request and count it as used."""
        for fault in self.faults:
            if not fault.matches(method, template, path):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.probability < 1.0 and self._rng.random() >= fault.probability:
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times == 0:
                    self.faults.remove(fault)
            return fault.effect
        return NO_EFFECT
