"""The queue of uncredited payments: how many have which cause, and those of a chosen one. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stateless_billing.crediting.payment_status import CONFIRMING_CAUSES, HELD_CAUSES, PENDING_CAUSES
from stateless_billing.domain.errors import ProblemError
from stateless_billing.support.uncredited_payments import UncreditedPayment

_STATES = ("confirming", "pending", "held")
_FILTERS = frozenset((*_STATES, *CONFIRMING_CAUSES, *PENDING_CAUSES, *HELD_CAUSES))


@dataclass(frozen=True, slots=True)
class Queue:
    """The counts by cause, or by state for payments without one, the most frequent first.

    `cause` is the chosen filter, or empty. `complete` says whether all payments were read.
    """

    groups: Mapping[str, int]
    total: int
    cause: str
    complete: bool


def parse_cause(value: str) -> str:
    """Parse the filter; empty shows all. Raises: ProblemError."""
    cause = value.strip().lower()
    if cause and cause not in _FILTERS:
        raise ProblemError(
            "invalid_input",
            "The link names a cause that does not exist. Nothing was changed and no money moved. Open the stuck list"
            " and choose one of the causes on it.",
        )
    return cause


def select(payments: Sequence[UncreditedPayment], cause: str) -> list[UncreditedPayment]:
    """Return the payments with a cause, or all of them."""
    return [payment for payment in payments if not cause or _group_of(payment) == cause]


def create(payments: Sequence[UncreditedPayment], cause: str, *, complete: bool) -> Queue:
    """Count the payments by cause."""
    counts = Counter(map(_group_of, payments))
    groups = dict(sorted(counts.items(), key=lambda group: (-group[1], group[0])))
    return Queue(groups, len(payments), cause, complete)


def _group_of(payment: UncreditedPayment) -> str:
    return payment.status.cause or payment.status.state
