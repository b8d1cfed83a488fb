"""Draws the report's charts as SVG: dollars over time, days by status, latency, coverage.

Each chart has a title, a description in words and, for pages, its data as a table. Colors are CSS variables of the page
with fixed fallbacks, so that charts print and follow a dark color scheme.
"""

from bisect import bisect_left
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
_UNDATED = "no time"


@dataclass(slots=True)
class Series:
    """Sums over the rows, so that the rows need not stay in memory."""

    expected: Counter[str] = field(default_factory=Counter)
    credited: Counter[str] = field(default_factory=Counter)
    days: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    latency: Counter[int] = field(default_factory=Counter)
    blocks: Counter[int] = field(default_factory=Counter)
    latencies: int = 0

    def add(self, row: Row) -> None:
        """Add a row."""
        day = (row.block_time_utc or row.stripe_created_utc or "")[:10]
        if row.kind == "payment":
            self.expected[day] += row.expected_cents or 0
            self.credited[day] += row.credited_cents or 0
            if row.block_number is not None:
                self.blocks[row.block_number] += 1
        if row.credit_latency_s is not None:
            self.latency[bisect_left(_LATENCIES, row.credit_latency_s)] += 1
        self.days[day or _UNDATED][row.tone] += 1


Table = list[list[str]]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with its description and its data. The first row of the table is the header."""

    title: str
    description: str
    svg: str
    table: Table


def collect_charts(report: Report) -> dict[str, str]:
    """Return the SVG of every chart by name."""
    return {name: chart.svg for name, chart in draw_charts(report).items()}


def draw_charts(report: Report) -> dict[str, Chart]:
    """Draw every chart with its data."""
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
    owed, paid = 0, 0
    totals = [(0, 0)]
    for day in days:
        owed += series.expected[day]
        paid += series.credited[day]
        totals.append((owed, paid))
    top = max(1, *(max(pair) for pair in totals))
    chain_line = _points([(_x(n, len(days)), _y(chain, top)) for n, (chain, _) in enumerate(totals)])
    stripe_line = [(_x(n, len(days)), _y(stripe, top)) for n, (_, stripe) in enumerate(totals)]
    body = _axis_labels(days, money.format_dollars(top) if days else "") + (
        f'<polygon points="{chain_line} {_points(stripe_line[::-1])}" fill="{_color("bad")}" fill-opacity="0.35"/>'
        f'<polyline points="{chain_line}" fill="none" stroke="{_color("plain")}" stroke-width="2"/>'
        f'<polyline points="{_points(stripe_line)}" fill="none" stroke="{_color("good")}" stroke-width="2"'
        ' stroke-dasharray="6 3"/>'
    )
    description = (
        f"Chain {money.format_dollars(owed)} (solid), Stripe {money.format_dollars(paid)} (dashed),"
        f" difference {money.format_dollars(paid - owed)} (shaded)."
    )
    rows = [
        [day, *(money.format_dollars(cents) for cents in (chain, stripe, stripe - chain))]
        for day, (chain, stripe) in zip(days, totals[1:], strict=True)
    ]
    return _create_chart(
        "Dollars by chain and by Stripe", description, body, ["day", "chain", "Stripe", "difference"], rows
    )


def _draw_days(series: Series) -> Chart:
    days = sorted(series.days)
    top = max([1, *(counts.total() for counts in series.days.values())])
    width = min(48, max(1, (WIDTH - 2 * EDGE) // max(1, len(days)) - 2))
    body = _axis_labels(days, str(top) if days else "")
    for index, day in enumerate(days):
        base = 0
        for kind in ("good", "open", "bad"):
            count = series.days[day][kind]
            y, height = _y(base + count, top), _y(base, top) - _y(base + count, top)
            body += _bar(_x(index, len(days)) + 1, y, width, height, kind)
            base += count
    rows = [[day, *(str(series.days[day][kind]) for kind in ("good", "open", "bad"))] for day in days]
    bad = sum(counts["bad"] for counts in series.days.values())
    total = sum(counts.total() for counts in series.days.values())
    description = f"{format_count(len(days), 'day')}, {format_count(total, 'row')}, {format_count(bad, 'exception')}."
    return _create_chart(
        "Days by status", description, body, ["day", "in order", "pending or held", "exceptions"], rows
    )


def _draw_latency(series: Series) -> Chart:
    labels = [f"up to {_format_seconds(highest)}" for highest in _LATENCIES] + [
        f"above {_format_seconds(_LATENCIES[-1])}"
    ]
    highest, width = max([1, *series.latency.values()]), (WIDTH - 2 * EDGE) // len(labels)
    body = "".join(
        _bar(
            EDGE + index * width,
            _y(series.latency[index], highest),
            width - 4,
            _y(0, highest) - _y(count, highest),
            "plain",
        )
        for index, count in sorted(series.latency.items())
    )
    rows = [[name, str(series.latency[index])] for index, name in enumerate(labels)]
    median, tail = (_describe_percentile(series, labels, percent) for percent in (50, 95))
    description = f"Half of the credits came {median}, 95 of 100 {tail}."
    return _create_chart("From block to credit", description, body, ["time", "credits"], rows)


def _describe_percentile(series: Series, labels: list[str], percent: int) -> str:
    reached, total = 0, series.latency.total()
    for index in sorted(series.latency):
        reached += series.latency[index]
        if reached * 100 >= total * percent:
            return f"in {labels[index]}".replace("in up to", "within").replace("in above", "after")
    return "never"


def _draw_coverage(series: Series, first: int, top: int, *, complete: bool) -> Chart:
    size = max(1, -(-(top + 1 - first) // _STRIPS))
    strips = Counter(dict.fromkeys(range(_STRIPS), 0))
    for block, count in series.blocks.items():
        strips[min(_STRIPS - 1, (block - first) // size)] += count
    width, highest = (WIDTH - 2 * EDGE) // _STRIPS, max([1, *strips.values()])
    body = ""
    for index, count in sorted(strips.items()):
        shade = f"{20 + 80 * count // highest}%" if count else "6%"
        kind = "plain" if complete else "bad"
        body += (
            f'<rect x="{EDGE + index * width}" y="{EDGE}" width="{width}" height="{HEIGHT - 2 * EDGE}"'
            f' fill="{_color(kind)}" fill-opacity="{shade}"/>'
        )
    rows = [
        [f"{first + index * size} to {first + (index + 1) * size - 1}", str(count)]
        for index, count in sorted(strips.items())
        if count
    ]
    description = f"Blocks {first} to {top}, {'read completely' if complete else 'NOT read completely'}."
    return _create_chart("Coverage of the blocks", description, body, ["blocks", "payments"], rows)


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
    """Label the axes with the first and last day and the highest value."""
    if not days:
        return ""
    labels = [(EDGE, HEIGHT - EDGE // 2, "start", days[0])]
    if len(days) > 1:
        labels.append((WIDTH - EDGE, HEIGHT - EDGE // 2, "end", days[-1]))
    labels.append((EDGE, EDGE - 6, "start", top))
    return "".join(
        f'<text x="{x}" y="{y}" font-size="12" text-anchor="{anchor}" fill="{_color("axis")}">{escape(text)}</text>'
        for x, y, anchor, text in labels
    )


def _x(index: int, count: int) -> int:
    return EDGE + (WIDTH - 2 * EDGE) * index // max(1, count)


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
