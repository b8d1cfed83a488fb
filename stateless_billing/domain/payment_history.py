"""One customer's consecutive final payments at one gateway, with running totals. No I/O."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from typing import NamedTuple

from chain.payment import Payment


class Totals(NamedTuple):
    """Sums over payments: the cents of quoted ones, and the amounts of plain ones."""

    quoted_cents: int = 0
    plain_amount: int = 0

    def plus(self, other: "Totals") -> "Totals":
        """Add two sums."""
        return Totals(self.quoted_cents + other.quoted_cents, self.plain_amount + other.plain_amount)

    def cents(self, rate: Fraction) -> int:
        """Value them: quoted ones by their cents, plain ones by amount at `rate` cents per base unit, rounded up."""
        return self.quoted_cents - (-self.plain_amount * rate.numerator // rate.denominator)


def totals_of(payments: Sequence[Payment]) -> Totals:
    """Sum payments one by one."""
    return Totals(
        sum(payment.cents for payment in payments),
        sum(payment.amount for payment in payments if not payment.quoted),
    )


class PaymentHistory:
    """Payments with the sequences `[first, end)`. A sum over any part of them costs two lookups."""

    def __init__(self, end: int) -> None:
        self.first = end
        self._times: list[int] = []
        self._positions: list[tuple[int, int]] = []  # block and log index
        self._running: list[Totals] = [Totals()]

    @property
    def end(self) -> int:
        """The sequence after the last payment."""
        return self.first + len(self._times)

    def __len__(self) -> int:
        return len(self._times)

    def reaches_back_to(self, time: int) -> bool:
        """Whether no payment before the first one is later than `time`."""
        return self.first == 0 or bool(self._times and self._times[0] <= time)

    def append(self, payments: Sequence[Payment]) -> None:
        """Add the payments from `end` on."""
        for payment in payments:
            self._times.append(payment.time)
            self._positions.append((payment.block, payment.log_index))
            self._running.append(self._running[-1].plus(totals_of([payment])))

    def prepend(self, payments: Sequence[Payment]) -> None:
        """Add the payments right before `first`."""
        before = list(accumulate((totals_of([payment]) for payment in payments), Totals.plus, initial=Totals()))
        self.first -= len(payments)
        self._times[:0] = [payment.time for payment in payments]
        self._positions[:0] = [(payment.block, payment.log_index) for payment in payments]
        self._running = before[:-1] + [before[-1].plus(total) for total in self._running]

    def totals(self, after: int, stop: int, position: tuple[int, int] | None = None) -> Totals:
        """Sum the payments later than the time `after`, below the sequence `stop` and before `position`."""
        start = bisect_right(self._times, after)
        limit = min(len(self), stop - self.first)
        if position is not None:
            limit = min(limit, bisect_left(self._positions, position))
        if limit <= start:
            return Totals()
        newest, oldest = self._running[limit], self._running[start]
        return Totals(newest.quoted_cents - oldest.quoted_cents, newest.plain_amount - oldest.plain_amount)
