"""Fault injection inside Stripe: chooses the effect, if any, on each request."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stateless_billing.sandbox import effects
from stateless_billing.sandbox.effects import NO_EFFECT, REASONS, Effect
from stateless_billing.sandbox.faults import FaultPlan
from stateless_billing.sandbox.paging import SameSecond
from stateless_billing.sandbox.routes import TRANSACTIONS
from tests.simulation.chain import START, Chain
from tests.simulation.faults import Coverage

EPOCH = 23 * 3600
COMPLETION_MARGIN = 3600  # seconds before the epoch's end by which a late completion is visible to later checks

ANY = (
    "lost_before",
    "lost_after",
    "cut_answer",
    "broken_answer",
    "closed_after",
    "slow_answer",
    "edge_html",
    "unsaved_500",
    "rate_limited",
    "lock_timeout",
    "unauthorized",
    "wrong_date",
)
WRITES = ("saved_500", "saved_500_done", "saved_500_completed", "completed_next_epoch", "key_in_use")
LISTS = ("stale_list", "page_fault", "rows_while_paging")
LIES = ("listing_cut", "listing_ends_empty", "listing_hole")
TELLINGS = (*LIES, "same_second_order")
MADE = ("lost_after", "saved_500_done", "cut_answer", "broken_answer", "closed_after")


@dataclass(frozen=True)
class Tellings:
    """How often and in which ways listings lie, and how often reading `record` is slow.

    `at_zero` says whether a path's ledger has a zero balance. Two empty listings in a row would prove absence there,
    which the service does not guard against, so such a listing is never emptied.
    """

    rng: random.Random
    share: float
    kinds: Sequence[str]
    late: float
    record: str
    at_zero: Callable[[str], bool]


class Mischief(FaultPlan):
    """Chooses among the faults of a seed; `reads` and `writes` are the probabilities per request.

    `query` and `key` must be set to the request's own before the sandbox asks for an effect.
    """

    def __init__(
        self,
        rng: random.Random,
        chain: Chain,
        coverage: Coverage,
        clock: Callable[[], float],
        *,
        names: Sequence[str],
        reads: float,
        writes: float,
        poisoned: str | None,
        tellings: "Tellings | None" = None,
    ) -> None:
        super().__init__(rng)
        self._tellings = tellings
        self._chain, self._coverage, self._clock = chain, coverage, clock
        self._names, self._reads, self._writes, self._poisoned = names, reads, writes, poisoned
        self.faulty: Callable[[str], bool] = lambda name: True
        self.insert_row: Callable[[str], None] = lambda path: None
        self.born: Callable[[str], int | None] = lambda key: None
        self.query = ""
        self.key = ""
        self.holes: set[str] = set()
        self.last = ""
        self.outage: Callable[[], Effect] | None = None
        self.outage_requests = 0
        """How many requests the outage lasts; 0: until it is ended."""

    def next_effect(self, method: str, template: str, path: str) -> Effect:
        """Choose the effect on this request."""
        self.last = ""
        if self.outage and self.faulty("outage"):
            effect = self.outage()
            if self.outage_requests:
                self.outage_requests -= 1
                self.outage = self.outage if self.outage_requests else None
            return effect
        write = method == "POST" and template == TRANSACTIONS
        if write and self._poisoned and self._poisoned in path and self.faulty("poison"):
            return self._chosen("poison", effects.error_unsaved())
        if self._tellings and method == "GET" and (lie := self._telling(self._tellings, template, path)):
            return lie
        if self._rng.random() >= (self._writes if write else self._reads):
            return NO_EFFECT
        fitting = [name for name in self._names if name in ANY or (write and name in WRITES)]
        if method == "GET" and template == TRANSACTIONS:
            fitting += [name for name in self._names if name in LISTS]
        fitting = [name for name in fitting if self.faulty(name)]
        if not fitting:
            return NO_EFFECT
        return self._effect(self._rng.choice(fitting), write, path)

    def _telling(self, tellings: "Tellings", template: str, path: str) -> Effect | None:
        """Make a listing lie, independently per request, or the record slow. The account counts actual lies."""
        rng = tellings.rng
        if template == TRANSACTIONS and rng.random() < tellings.share:
            kinds = [name for name in tellings.kinds if self.faulty(name)]
            name = rng.choice(kinds) if kinds else ""
            if name == "same_second_order":
                return self._chosen(name, effects.same_second_order(rng.choice(list(SameSecond))))
            if name and not (name == "listing_ends_empty" and tellings.at_zero(path)):
                self.last = name
                later = {"later": rng.random() < 0.5} if name == "listing_ends_empty" else {}
                return effects.EFFECTS[name](**later)
        if tellings.record in path and rng.random() < tellings.late and self.faulty("record_late"):
            return self._chosen("record_late", effects.slow(**{rng.choice(("before", "after")): rng.uniform(5, 100)}))
        return None

    def _chosen(self, name: str, effect: Effect) -> Effect:
        self._coverage.hit(name)
        self.last = name
        return effect

    def _effect(self, name: str, write: bool, path: str) -> Effect:
        rng = self._rng
        if name in ("page_fault", "rows_while_paging"):
            if "starting_after" not in self.query:
                return NO_EFFECT
            if name == "page_fault":
                return self._chosen(name, effects.error_unsaved(rng.choice((500, 503))))
            self.insert_row(path)
            return self._chosen(name, NO_EFFECT)
        if name in ("saved_500_completed", "completed_next_epoch"):
            return self._late(name)
        made: dict[str, Callable[[], Effect]] = {
            "lost_before": effects.lost_before,
            "lost_after": effects.lost_after,
            "cut_answer": effects.cut,
            "broken_answer": effects.shortened,
            "closed_after": effects.closed_after,
            "slow_answer": lambda: effects.slow(**{rng.choice(("before", "inside", "after")): rng.uniform(5, 70)}),
            "edge_html": lambda: effects.gateway(rng.choice((502, 503, 504)), executed=rng.random() < 0.5),
            "unsaved_500": effects.error_unsaved,
            "rate_limited": lambda: effects.limited(rng.choice(REASONS)),
            "lock_timeout": lambda: effects.locked(saved=write and rng.random() < 0.3),
            "unauthorized": lambda: rng.choice((effects.unknown_key, effects.not_permitted))(),
            "wrong_date": lambda: effects.wrong_date(rng.choice((-1, 1)) * rng.uniform(130, 90_000)),
            "saved_500": effects.error_saved,
            "saved_500_done": effects.error_saved_done,
            "key_in_use": effects.key_in_use,
            "stale_list": lambda: effects.stale_list(rng.uniform(60, 1500)),
        }
        return self._chosen(name, made[name]())

    def _late(self, name: str) -> Effect:
        """A 500 that Stripe completes later: well within the payment's epoch, or (the known hole) in a later one."""
        remaining = self._remaining(self.key)
        if remaining is None:
            return NO_EFFECT
        if name == "saved_500_completed":
            if remaining < 2 * COMPLETION_MARGIN:
                return NO_EFFECT
            return self._chosen(name, effects.error_saved_late(self._rng.uniform(1, remaining - COMPLETION_MARGIN)))
        if not self.key.startswith("payment:"):
            return NO_EFFECT
        self.holes.add(self.key.rpartition(":")[0])
        return self._chosen(name, effects.error_saved_late(remaining + self._rng.uniform(3600, 20 * 3600)))

    def _remaining(self, key: str) -> float | None:
        """Seconds until the end of the epoch of a key."""
        since = self._origin(key)
        if since is None:
            return None
        age = self._clock() - since
        return EPOCH - age % EPOCH if age > 0 else EPOCH

    def _origin(self, key: str) -> int | None:
        parts = key.split(":")
        if len(parts) < 6 or parts[0] != "payment":
            return self.born(key)
        for payment in self._chain.now.payments:
            if (payment.gateway, payment.customer_id, str(payment.sequence)) == (parts[2], parts[3], parts[4]):
                return payment.time
        return None


def unix(moment: float) -> float:
    """The Unix time of a moment of the simulation."""
    return START + moment
