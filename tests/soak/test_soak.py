"""A soak's order, its lines, its stop at the first failure, and that no bout outlives or outgrows it."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from tests.soak import __main__ as program
from tests.soak.bouts import SEEDS, SEEDS_BETWEEN, Bout, Rota, other_bouts
from tests.soak.runner import MAX_LINE, MAX_LINES, Tail, Verdict, play

ATTACKS, OUTAGES = ["first", "second", "third"], ["stripe_down", "node_away"]
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
HELD = Verdict("", 1.0, "")


def rota(start: int = 0) -> Rota:
    """The order of a soak."""
    return Rota(start, other_bouts(start, ATTACKS, OUTAGES), 2)


class Night:
    """A soak on a clock that each bout moves by `seconds`."""

    def __init__(self, path: Path, verdict: Callable[[Bout], Verdict] = lambda bout: HELD, seconds: int = 600) -> None:
        self.now = 0.0
        self.played: list[Bout] = []

        def play_bout(bout: Bout) -> Verdict:
            self.played.append(bout)
            self.now += seconds
            return verdict(bout)

        journal = program.Journal(path / "soak.log", lambda: NOON)
        self.soak = program.Soak(rota(), journal, play_bout, lambda: self.now)
        self.log = path / "soak.log"


def test_the_next_day_begins_behind_all_seeds_of_the_one_before() -> None:
    today = program.start_of(NOON)
    assert program.start_of(NOON.replace(hour=1)) == today
    assert program.start_of(NOON.replace(day=28)) == today + program.SEEDS_A_DAY


def test_everything_has_its_turn() -> None:
    order, kinds, seeds = rota(7), list[str](), list[str]()
    for _ in range(4 * (SEEDS_BETWEEN + 1)):
        bout = order.next_bout(10_000)
        kinds.append(bout.kind)
        seeds += bout.arguments[1:2] if bout.kind == "seeds" else []
    assert kinds[SEEDS_BETWEEN :: SEEDS_BETWEEN + 1] == ["attacks", "chaos", "outages", "attacks"]
    assert seeds == [str(7 + SEEDS * number) for number in range(4 * SEEDS_BETWEEN)]
    attacks = [bout.arguments[0] for bout in islice(other_bouts(1, ATTACKS, OUTAGES), 12) if bout.kind == "attacks"]
    assert attacks == ["second", "third", "first", "second"]


def test_what_would_not_be_over_in_time_is_not_begun() -> None:
    order = rota()
    assert {order.next_bout(100).kind for _ in range(30)} == {"seeds"}
    assert order.next_bout(10_000).kind == "attacks"


def test_it_writes_a_line_an_hour_and_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night = Night(tmp_path)
    assert night.soak.run(3.5)
    lines = capsys.readouterr().out.splitlines()
    assert night.log.read_text().splitlines() == lines
    assert [line.split()[2:6] for line in lines] == [
        *(["goes", "on", "after", f"{hour}.00"] for hour in (1, 2, 3)),
        ["held", "after", "3.50", "h:"],
    ]
    assert f"seeds={18 * SEEDS} chaos=1 attacks=1 outages=1 next_seed={18 * SEEDS} " in lines[-1]
    assert len(night.played) == 21


def test_the_first_failure_ends_it_with_its_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night = Night(tmp_path, lambda bout: Verdict("exit code 1", 1.0, "twice: …") if bout.kind == "chaos" else HELD)
    assert not night.soak.run(8)
    printed = capsys.readouterr().out
    assert night.played[-1].kind == "chaos"
    assert "FAILED" in printed
    assert "chaos: exit code 1; again: .venv/bin/python -m tests.chaos --seed 0 --payments 200\ntwice: …" in printed
    assert night.log.read_text() == printed


def script(text: str, limit_seconds: int) -> Bout:
    """A bout that runs a program."""

    class Script(Bout):
        @property
        def command(self) -> list[str]:
            """The words that start it."""
            return [sys.executable, "-c", text]

    return Script("seeds", "x", (), 1, limit_seconds)


def test_a_bout_that_fails_shows_its_last_lines() -> None:
    verdict = play(script("import sys; print('first'); print('last', file=sys.stderr); sys.exit(3)", 20))
    assert verdict.fault == "exit code 3"
    assert set(verdict.tail.split()) == {"first", "last"}


def test_a_bout_that_does_not_end_is_ended_and_its_output_bounded() -> None:
    verdict = play(script("while True: print('x' * 100_000)", 2))
    assert verdict.fault == "not over after 2 s"
    assert verdict.seconds < 12
    assert len(verdict.tail) <= (MAX_LINES + 1) * (MAX_LINE + 1)


def test_a_bout_that_holds_has_no_fault() -> None:
    assert play(script("print('fine')", 20)).fault == ""


def test_the_tail_joins_parts_of_lines() -> None:
    tail = Tail()
    for part in ("a", "b\nc", "d", "\n", "e"):
        tail.add(part)
    assert str(tail) == "ab\ncd\ne"


def test_a_large_log_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "soak.log"
    path.write_text("x" * 1_100_000)
    program.Journal(path, lambda: NOON).write("a line")
    assert path.read_text() == "2026-11-27T12:00:00Z a line\n"


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf", "1000", "eight"])
def test_hours_must_be_a_time(hours: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["--hours", hours])
    assert ended.value.code == 2
    assert "--hours" in capsys.readouterr().err
