"""A figure is the median of its rounds, says when it misses its goal, and becomes a row of the page."""

import math

from tests.bench.figures import HEADER, Figure, exponent, ratios, report, section


def test_a_figure_is_the_median_and_never_the_best() -> None:
    """One fast round among slow ones changes nothing."""
    figure = Figure(name="audit", rounds=[1.9, 0.4, 1.8, 2.0, 1.7], unit="times", goal=1.1)
    assert figure.value == 1.8
    assert figure.misses
    assert figure.row() == "| audit | **1.8 times MISSES** |  | 1.1 times | 5: 0.4 to 2 |"


def test_a_goal_is_met_at_its_bound_from_either_side() -> None:
    """The bound itself is enough; what is beyond it is not."""
    assert not Figure(name="calls", rounds=[2], goal=2).misses
    assert Figure(name="calls", rounds=[3], goal=2).misses
    assert not Figure(name="share", rounds=[0.95], goal=0.95, is_least=True).misses
    assert Figure(name="share", rounds=[0.94], goal=0.95, is_least=True).misses
    assert not Figure(name="memory", rounds=[10_000]).misses


def test_a_row_states_floor_goal_and_note() -> None:
    """The floor has the figure's unit, or is words; a bar cannot break the row."""
    measured = Figure(name="a|b", rounds=[1234.5], unit="ms", floor=[0.1, 0.25, 0.2], note="one process")
    assert measured.row() == "| a/b | 1,234 ms | 0.2 ms |  | 1; one process |"
    least = Figure(name="share", rounds=[0.96], goal=0.95, is_least=True, floor="25 a second")
    assert least.row() == "| share | 0.96 | 25 a second | at least 0.95 | 1 |"


def test_ratios_divide_round_by_round() -> None:
    """A slow moment of the machine slows both sides of its round."""
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]


def test_a_section_holds_rows_and_other_lines(capsys) -> None:  # type: ignore[no-untyped-def]
    """Rows that follow each other share a table."""
    report(Figure(name="first", rounds=[1]))
    report(Figure(name="second", rounds=[2]))
    printed = capsys.readouterr().out.splitlines()
    page = section("The service", [*printed, "a remark", "another"])
    assert page.splitlines() == [
        "## The service",
        "",
        HEADER,
        "|---|---|---|---|---|",
        *printed,
        "",
        "- a remark",
        "- another",
    ]


def test_a_table_with_its_own_head_stays_as_it_is() -> None:
    """Growth is a table of sizes, not of goals."""
    table = ["| payments | seconds |", "|---|---|", "| 1,000 | 2 |"]
    assert section("Growth", ["", "a remark", "", *table]) == "## Growth\n\n- a remark\n\n" + "\n".join(table)


def test_the_exponent_is_that_of_the_law() -> None:
    """Whatever the factor; what does not grow has none."""
    sizes = [10, 1_000, 10_000]
    for power in (0, 0.5, 1, 2):
        assert math.isclose(exponent(sizes, [3 * size**power for size in sizes]), power, abs_tol=1e-9)
