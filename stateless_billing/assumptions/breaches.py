"""Counts and logs what contradicts an assumption. A fault in this never reaches what it watches."""

import logging
from collections import Counter
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from cachetools import LRUCache

from stateless_billing.assumptions.catalog import ASSUMPTIONS
from stateless_billing.runtime import metrics

log = logging.getLogger(__name__)
P = ParamSpec("P")
_MAX_FACTS = 10_000

for _name in ASSUMPTIONS:  # a counter that is not there yet could be mistaken for one that is 0
    metrics.ASSUMPTIONS_BROKEN.labels(_name)


class Breaches:
    """The breaches that this process saw, each fact once."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[Exception] = []
        """What went wrong in the watching itself, at most a few."""
        self._facts: LRUCache[Hashable, bool] = LRUCache(_MAX_FACTS)

    def report(self, name: str, fact: Hashable, text: str) -> None:
        """Count a breach of the assumption `name`, unless this `fact` was counted before; `text` names the facts."""
        if (name, fact) in self._facts:
            return
        self._facts[name, fact] = True
        self.counts[name] += 1
        metrics.ASSUMPTIONS_BROKEN.labels(name).inc()
        log.error("assumption %s is broken: %s", name, text, extra={"assumption": name})


class Watch:
    """What sees breaches of one kind. Its `harmless` methods never raise."""

    def __init__(self, breaches: Breaches) -> None:
        self.breaches = breaches


W = TypeVar("W", bound=Watch)


def harmless(watch: Callable[Concatenate[W, P], None]) -> Callable[Concatenate[W, P], None]:
    """Log an exception of a watching method instead of raising it: what it watches goes on."""

    @wraps(watch)
    def guarded(watcher: W, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            watch(watcher, *args, **kwargs)
        except Exception as error:
            watcher.breaches.failures = [*watcher.breaches.failures, error][-3:]
            log.exception("an assumption could not be watched; nothing else is affected")

    return guarded
