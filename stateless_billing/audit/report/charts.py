"""The report's pictures, as SVG: dollars over time with the gap, days by status, latency, coverage of the blocks.

Each carries a title, a description that says the same in words, and, for a page, the data as a table. Colours are the
page's own through CSS variables, with plain ones to fall back on, so that they print and follow a dark scheme.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from html import escape

from stateless_billing.audit.report.report import Report
from stateless_billing.audit.rules.rows import Row, format_count
from stateless_billing.domain import money

WIDTH, HEIGHT, EDGE = 720, 240, 48
COLORS = {"good": "#1a7f4b", "bad": "#b3261e", "open": "#8a6d00", "plain": "#3b5bdb", "axis": "#6b7280"}
_LATENCIES = (5, 15, 60, 300, 1200, 3600, 86400)
_STRIPS = 60


@dataclass(slots=True)
class Series:
    """What the pictures show, summed over the rows, so that the rows need not be kept."""

    expected: Counter[str] = field(default_factory=Counter)
    credited: Counter[str] = field(default_factory=Counter)
    days: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    latency: Counter[int] = field(default_factory=Counter)
    blocks: Counter[int] = field(default_factory=Counter)
    latencies: int = 0

    def add(self, row: Row) -> None:
        """One row."""
        day = (row.block_time_utc or row.stripe_created_utc or "")[:10]
        if row.kind == "payment":
            self.expected[day] += row.expected_cents or 0
            self.credited[day] += row.credited_cents or 0
            if row.block_number is not None:
                self.blocks[row.block_number] += 1
        if row.credit_latency_s is not None:
            self.latency[next((n for n, top in enumerate(_LATENCIES) if row.credit_latency_s <= top), 7)] += 1
        if day:
            self.days[day]["bad" if row.exception else "open" if row.status in ("pending", "held") else "good"] += 1


Table = list[list[str]]


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture, what it says in words, and its data; the table's first line is its head."""

    title: str
    description: str
    svg: str
    table: Table


def collect_charts(report: Report) -> dict[str, str]:
    """Every picture by its file's name."""
    return {name: picture.svg for name, picture in draw_charts(report).items()}


def draw_charts(report: Report) -> dict[str, Chart]:
    """Every picture with its data."""
    series = Series()
    for row in report.spool:
        series.add(row)
    first, top = (report.scope.first_block, report.scope.block) if report.scope else (0, 0)
    return {
        "dollars": _draw_dollars(series),
        "days": _draw_days(series),
        "latency": _draw_latency(series),
        "coverage": _draw_coverage(series, first, top, complete=report.coverage.is_complete),
    }


def _draw_dollars(series: Series) -> Chart:
    days = sorted(series.expected | series.credited)
    owed, paid, points = 0, 0, []
    for day in days:
        owed, paid = owed + series.expected[day], paid + series.credited[day]
        points.append((day, owed, paid))
    top = max([1, *(max(chain, stripe) for _, chain, stripe in points)])
    drawn = [(0, 0), *((chain, stripe) for _, chain, stripe in points)]
    chain = [(_x(n, len(points)), _y(chain, top)) for n, (chain, _) in enumerate(drawn)]
    stripe = [(_x(n, len(points)), _y(stripe, top)) for n, (_, stripe) in enumerate(drawn)]
    body = _axis_labels(days, money.format_dollars(top) if days else "") + (
        f'<polygon points="{_points(chain + stripe[::-1])}" fill="{_color("bad")}" fill-opacity="0.35"/>'
        f'<polyline points="{_points(chain)}" fill="none" stroke="{_color("plain")}" stroke-width="2"/>'
        f'<polyline points="{_points(stripe)}" fill="none" stroke="{_color("good")}" stroke-width="2"'
        ' stroke-dasharray="6 3"/>'
    )
    told = (
        f"Chain {money.format_dollars(owed)} (solid), Stripe {money.format_dollars(paid)} (dashed),"
        f" gap {money.format_dollars(owed - paid)} (shaded)."
    )
    rows = [
        [day, money.format_dollars(one), money.format_dollars(two), money.format_dollars(one - two)]
        for day, one, two in points
    ]
    return _create_chart("Dollars by chain and by Stripe", told, body, ["day", "chain", "Stripe", "gap"], rows)


def _draw_days(series: Series) -> Chart:
    days = sorted(series.days)
    top = max([1, *(one.total() for one in series.days.values())])
    width = min(48, max(1, (WIDTH - 2 * EDGE) // max(1, len(days)) - 2))
    body = _axis_labels(days, str(top) if days else "")
    for place, day in enumerate(days):
        base = 0
        for kind in ("good", "open", "bad"):
            count = series.days[day][kind]
            y, height = _y(base + count, top), _y(base, top) - _y(base + count, top)
            body += _bar(_x(place, len(days)) + 1, y, width, height, kind)
            base += count
    rows = [[day, *(str(series.days[day][kind]) for kind in ("good", "open", "bad"))] for day in days]
    bad = sum(one["bad"] for one in series.days.values())
    every = sum(one.total() for one in series.days.values())
    told = f"{format_count(len(days), 'day')}, {format_count(every, 'row')}, {format_count(bad, 'exception')}."
    return _create_chart("Days by status", told, body, ["day", "in order", "pending or held", "exceptions"], rows)


def _draw_latency(series: Series) -> Chart:
    names = [f"up to {_format_seconds(top)}" for top in _LATENCIES] + [f"above {_format_seconds(_LATENCIES[-1])}"]
    top, width = max([1, *series.latency.values()]), (WIDTH - 2 * EDGE) // len(names)
    body = "".join(
        _bar(EDGE + place * width, _y(series.latency[place], top), width - 4, _y(0, top) - _y(count, top), "plain")
        for place, count in sorted(series.latency.items())
    )
    rows = [[name, str(series.latency[place])] for place, name in enumerate(names)]
    told = f"Half of the credits came {_share(series, names, 50)}, 95 of 100 {_share(series, names, 95)}."
    return _create_chart("From block to credit", told, body, ["time", "credits"], rows)


def _share(series: Series, names: list[str], percent: int) -> str:
    reached, total = 0, series.latency.total()
    for place in sorted(series.latency):
        reached += series.latency[place]
        if reached * 100 >= total * percent:
            return f"in {names[place]}".replace("in up to", "within").replace("in above", "after")
    return "never"


def _draw_coverage(series: Series, first: int, top: int, *, complete: bool) -> Chart:
    size = max(1, -(-(top + 1 - first) // _STRIPS))
    strips = Counter(dict.fromkeys(range(_STRIPS), 0))
    for block, count in series.blocks.items():
        strips[min(_STRIPS - 1, (block - first) // size)] += count
    width, most = (WIDTH - 2 * EDGE) // _STRIPS, max([1, *strips.values()])
    body = ""
    for place, count in sorted(strips.items()):
        shade = f"{20 + 80 * count // most}%" if count else "6%"
        kind = "plain" if complete else "bad"
        body += (
            f'<rect x="{EDGE + place * width}" y="{EDGE}" width="{width}" height="{HEIGHT - 2 * EDGE}"'
            f' fill="{_color(kind)}" fill-opacity="{shade}"/>'
        )
    rows = [
        [f"{first + place * size} to {first + (place + 1) * size - 1}", str(count)]
        for place, count in sorted(strips.items())
        if count
    ]
    told = f"Blocks {first} to {top}, {'read completely' if complete else 'NOT read completely'}."
    return _create_chart("Coverage of the blocks", told, body, ["blocks", "payments"], rows)


def _create_chart(title: str, description: str, body: str, head: list[str], rows: Table) -> Chart:
    axis = f'<path d="M{EDGE} {EDGE}V{HEIGHT - EDGE}H{WIDTH - EDGE}" fill="none" stroke="{_color("axis")}"/>'
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{axis}{body}"
        f'<text class="told" x="{EDGE}" y="{EDGE // 2 - 4}" font-size="14" fill="currentColor">'
        f"{escape(title)}: {escape(description)}</text></svg>\n"
    )
    return Chart(title, description, svg, [head, *rows])


def _axis_labels(days: list[str], top: str) -> str:
    """The first and the last day below the axis, its highest value beside it."""
    if not days:
        return ""
    at = ((EDGE, HEIGHT - EDGE // 2, "start", days[0]), (WIDTH - EDGE, HEIGHT - EDGE // 2, "end", days[-1]))
    told = [*at[: 1 + (len(days) > 1)], (EDGE, EDGE - 6, "start", top)]
    return "".join(
        f'<text x="{x}" y="{y}" font-size="12" text-anchor="{anchor}" fill="{_color("axis")}">{escape(text)}</text>'
        for x, y, anchor, text in told
    )


def _x(place: int, places: int) -> int:
    return EDGE + (WIDTH - 2 * EDGE) * place // max(1, places)


def _bar(x: int, y: int, width: int, height: int, kind: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{_color(kind)}"/>'


def _color(kind: str) -> str:
    return f"var(--{kind}, {COLORS[kind]})"


def _y(value: int, top: int) -> int:
    return HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * max(0, value) // top


def _points(points: list[tuple[int, int]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


def _format_seconds(seconds: int) -> str:
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % size == 0:
            return f"{seconds // size} {name}{'' if seconds == size else 's'}"
    return f"{seconds} seconds"
