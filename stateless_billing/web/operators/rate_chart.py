"""The rate of one day as an SVG polyline, drawn without scripts. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from stateless_billing.pricing.rates import IMPLAUSIBLE, Sample

WIDTH, HEIGHT = 720, 160


@dataclass(frozen=True, slots=True)
class Line:
    """Points of a polyline in a box of WIDTH by HEIGHT. Rates are in 10^-18 dollars per token."""

    points: str
    lowest: int
    highest: int
    first: Sample
    last: Sample


def create_line(samples: Sequence[Sample]) -> Line | None:
    """Create the line through all plausible samples; None if there are fewer than two."""
    plausible = [sample for sample in samples if sample.rate != IMPLAUSIBLE]
    if len(plausible) < 2 or plausible[-1].time == plausible[0].time:
        return None
    lowest, highest = min(sample.rate for sample in plausible), max(sample.rate for sample in plausible)
    start, span = plausible[0].time, plausible[-1].time - plausible[0].time
    height = max(1, highest - lowest)
    middle = HEIGHT // 2 if highest == lowest else 0
    points = [
        ((sample.time - start) * WIDTH // span, (sample.rate - lowest) * HEIGHT // height) for sample in plausible
    ]
    polyline = " ".join(f"{x},{HEIGHT - y - middle}" for x, y in points)
    return Line(polyline, lowest, highest, plausible[0], plausible[-1])
