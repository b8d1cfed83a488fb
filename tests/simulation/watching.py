"""Which faults may be counted as broken assumptions: nothing else may, or an alarm would be false."""

from collections import Counter
from collections.abc import Callable, Iterable

from tests.simulation.faults import Coverage
from tests.simulation.replica import Replica

_OMISSIONS = ("listing_cut", "listing_ends_empty", "listing_hole", "record_anew")
CAUSES: dict[str, tuple[str, ...]] = {
    "list_went_back": _OMISSIONS,
    "list_lagged": _OMISSIONS,
    "ending_balance_gap": ("listing_hole", "listing_cut"),  # a page may be cut within a second, shown in any order
    "key_accepted_twice": ("completed_next_epoch",),
}
"""For each assumption, the faults that are its very breach. No fault breaks the others."""


def judged_breaches(replicas: Iterable[Replica], coverage: Coverage, wrong: Callable[[str], None]) -> Counter[str]:
    """Sum up what the processes counted. What no fault explains is a violation, and so is a fault of the watching."""
    breaches: Counter[str] = Counter()
    for replica in replicas:
        breaches += replica.services.breaches.counts
        for failure in replica.services.breaches.failures:
            wrong(f"{replica.name} could not watch an assumption: {failure!r}")
    for name in breaches:
        if not any(coverage.counts[fault] for fault in CAUSES.get(name, ())):
            wrong(f"{name} is counted, although no fault broke it")
    return breaches
