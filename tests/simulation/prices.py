"""A price feed with a sample every ten minutes near the end of a range and hourly ones before it."""

import json
from decimal import Decimal

from tests.simulation.chain import START

HOUR = 3600


class Prices:
    """One price that drifts slowly; within `outages` (seconds of the simulation) no sample exists."""

    def __init__(self, base: Decimal = Decimal("0.006")) -> None:
        self.base = base
        self.outages: list[tuple[float, float]] = []

    def at(self, time: int) -> Decimal:
        """The price at a Unix time."""
        return self.base + Decimal((time // HOUR * 7) % 23) / Decimal(100_000)

    def missing(self, time: int) -> bool:
        """Whether the feed has no price at that time."""
        return any(start <= time - START < stop for start, stop in self.outages)

    def answer(self, first: int, last: int, now: int) -> str:
        """The body of `market_chart/range`."""
        step = 600 if last >= now - 300 else HOUR
        times = [time for time in range(first - first % step, last + 1, step) if first <= time <= min(last, now)]
        points = [f"[{time * 1000},{self.at(time)}]" for time in times if not self.missing(time)]
        return f'{{"prices":[{",".join(points)}]}}'


NONSENSE = (
    '{"prices":[]}',
    '{"prices":[[1,null]]}',
    '{"prices":[[1,NaN]]}',
    '{"prices":[[1,0]]}',
    json.dumps({"status": {"error_code": 429}}),
    "<html>502</html>",
)
