"""How a benchmark states a figure: the median of its rounds beside its floor and its goal, as a row of a table.

Each benchmark prints rows with `report`, and other lines as they are; `section` makes a part of the page of both.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

FEWEST_ROUNDS = 5
MISS = "MISSES"
LINEAR = 1.1
"""The largest exponent of a fitted law that still counts as linear."""
HEADER = "| measure | figure | floor | goal | rounds |"
_RULE = "|---|---|---|---|---|"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A measurement by all of its rounds.

    `unit` follows the number. `goal` is the most that is wanted, or with `is_least` the least. `floor` is what the
    machine or Stripe allows at best, measured in the same rounds. A figure that cannot vary, as a count of calls in a
    simulation, has a single round.
    """

    name: str
    rounds: Sequence[float]
    unit: str = ""
    goal: float | None = None
    is_least: bool = False
    floor: Sequence[float] | str = ""
    note: str = ""

    @property
    def value(self) -> float:
        """The median of the rounds, never the best of them."""
        return statistics.median(self.rounds)

    @property
    def misses(self) -> bool:
        """Whether the goal is missed."""
        if self.goal is None:
            return False
        return self.value < self.goal if self.is_least else self.value > self.goal

    def row(self) -> str:
        """Return the figure as a row of the table below `HEADER`."""
        measured = _with_unit(self.value, self.unit)
        cells = (
            self.name,
            marked(measured, is_missed=self.misses),
            self.floor if isinstance(self.floor, str) else _with_unit(statistics.median(self.floor), self.unit),
            self._goal(),
            self._spread(),
        )
        return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"

    def _goal(self) -> str:
        if self.goal is None:
            return ""
        return f"{'at least ' if self.is_least else ''}{_with_unit(self.goal, self.unit)}"

    def _spread(self) -> str:
        spread = str(len(self.rounds))
        if len(self.rounds) > 1:
            spread += f": {_digits(min(self.rounds))} to {_digits(max(self.rounds))}"
        return f"{spread}; {self.note}" if self.note else spread


def marked(measured: str, *, is_missed: bool) -> str:
    """Return a figure, in bold and with a word to look for if it misses its goal."""
    return f"**{measured} {MISS}**" if is_missed else measured


def ratios(measured: Sequence[float], floor: Sequence[float]) -> list[float]:
    """Divide each round by the floor of the same round."""
    return [ours / least for ours, least in zip(measured, floor, strict=True)]


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Fit a power law through the logarithms, by least squares."""
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in values]
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True))
    return covariance / sum((a - middle_x) ** 2 for a in x)


def report(figure: Figure) -> None:
    """Print a figure as a row."""
    print(figure.row(), flush=True)


def section(title: str, lines: Iterable[str]) -> str:
    """Return a part of the page: rows below `HEADER`, a table with its own head as it is, other lines as a list.

    Empty lines are left out.
    """
    blocks = [f"## {title}"]
    for is_table, group in groupby(filter(None, lines), lambda line: line.startswith("|")):
        block = list(group)
        if not is_table:
            block = [f"- {line}" for line in block]
        elif not any(line.startswith("|--") for line in block):
            block = [HEADER, _RULE, *block]
        blocks.append("\n".join(block))
    return "\n\n".join(blocks)


def _with_unit(number: float, unit: str) -> str:
    return f"{_digits(number)} {unit}".strip()


def _digits(number: float) -> str:
    """Three digits, and no fewer than those before the point."""
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}"
