"""A day's rate as a line, for a page that draws it as SVG without any script. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from stateless_billing.pricing.rates import IMPLAUSIBLE, Sample

WIDTH, HEIGHT = 720, 160


@dataclass(frozen=True, slots=True)
class Line:
    """Points of a polyline in a box of WIDTH by HEIGHT, and what they show in figures (10^-18 dollars per token)."""

    points: str
    lowest: int
    highest: int
    first: Sample
    last: Sample


def create_line(samples: Sequence[Sample]) -> Line | None:
    """The line through all samples that are prices; None where there are fewer than two."""
    shown = [one for one in samples if one.rate != IMPLAUSIBLE]
    if len(shown) < 2 or shown[-1].time == shown[0].time:
        return None
    lowest, highest = min(one.rate for one in shown), max(one.rate for one in shown)
    begin, span = shown[0].time, shown[-1].time - shown[0].time
    height = max(1, highest - lowest)
    middle = HEIGHT // 2 if highest == lowest else 0
    places = [((one.time - begin) * WIDTH // span, (one.rate - lowest) * HEIGHT // height) for one in shown]
    points = " ".join(f"{x},{HEIGHT - y - middle}" for x, y in places)
    return Line(points, lowest, highest, shown[0], shown[-1])
