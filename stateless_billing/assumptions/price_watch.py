"""Sees whether the price feed gives the same price for the same past time."""

from collections.abc import Iterable

from cachetools import LRUCache

from stateless_billing.assumptions.breaches import Breaches, Watch, harmless

SETTLED_SECONDS = 3600  # a younger price may still be corrected
_TOLERANCE = 1000  # a difference of less than a thousandth may come from rounding
_MAX_PRICES = 5_000


class PriceWatch(Watch):
    """Compares samples with those of the same kind and time."""

    def __init__(self, breaches: Breaches) -> None:
        super().__init__(breaches)
        self._rates: LRUCache[tuple[str, int], int] = LRUCache(_MAX_PRICES)

    @harmless
    def sampled(self, kind: str, samples: Iterable[tuple[int, int]], now: int) -> None:
        """Look at samples, each a time in Unix seconds and a rate; `kind` is how they were asked for."""
        for time, rate in samples:
            if time > now - SETTLED_SECONDS or rate <= 0:
                continue
            before = self._rates.setdefault((kind, time), rate)
            if abs(before - rate) * _TOLERANCE > before:
                text = f"the price at {time} is {rate}, and was {before}, in 10^-18 dollars a token"
                self.breaches.report("price_history_changed", (kind, time), text)
                return
