"""`python -m tests.specifications`: compares the pure core with its specifications; exits 1 on a difference.

First every ledger of up to `--length` entries over the alphabet of `ledgers.py`, each of them counted; then
`--generated` ledgers and a fifth as many cases of each other rule, from `--seed`; then hypothesis, which shrinks.
"""

import argparse
import itertools
import multiprocessing
import random
import sys
import time
from collections.abc import Iterable

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.specifications.comparing import RANDOM, SUBJECTS, match, random_ledger, word
from tests.specifications.ledgers import LETTERS, ledger_of

SHARD = 20_000
Work = tuple[str, int, object]
"""A rule, the number of cases, and where they begin: a word's first letters, or a seed."""


def enumerated(length: int) -> list[Work]:
    """Every word of up to `length` letters, in shards by their first letters."""
    if length < 2:
        return [("words", length, "")]
    return [("words", 1, ""), *(("words", length, "".join(pair)) for pair in itertools.product(LETTERS, repeat=2))]


def generated(count: int, origin: int) -> list[Work]:
    """So many ledgers, and a fifth as many cases of each other rule."""
    counts = {name: count if name == "match" else count // 5 for name in RANDOM}
    return [
        (name, min(SHARD, total - start), f"{origin}/{name}/{start}")
        for name, total in counts.items()
        for start in range(0, total, SHARD)
    ]


def words(length: int, begin: str) -> Iterable[str]:
    """The words of up to `length` letters that begin so."""
    for further in range(length - len(begin) + 1):
        for letters in itertools.product(LETTERS, repeat=further):
            yield begin + "".join(letters)


def done(work: Work) -> tuple[str, int, str]:
    """Do a shard; the rule, how many cases, and the first difference."""
    rule, count, begin = work
    cases = 0
    if rule == "words":
        for letters in words(count, str(begin)):
            cases += 1
            if difference := word(letters):
                return rule, cases, difference
        return rule, cases, ""
    rng = random.Random(str(begin))
    for cases in range(1, count + 1):
        if difference := RANDOM[rule](rng):
            return rule, cases, f"seed {begin}, case {cases}: {difference}"
    return rule, count, ""


def shrinking(examples: int, origin: int) -> str:
    """Let hypothesis generate ledgers and shrink what differs."""

    @seed(origin)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.text(LETTERS, max_size=9), st.integers(0, len(SUBJECTS) - 1), st.integers(0, 2**32))
    def agrees(letters: str, view: int, edits: int) -> None:
        subject, cents, redirected = SUBJECTS[view]
        difference = match(subject, cents, ledger_of(letters, subject), redirected=redirected)
        assert not difference, difference
        difference = random_ledger(random.Random(edits))
        assert not difference, difference

    try:
        agrees()
    except AssertionError as error:
        return str(error)
    return ""


def run(length: int, count: int, examples: int, origin: int, processes: int = 1) -> dict[str, int]:
    """Compare, and return how many cases of each rule were compared. Raises: AssertionError with a difference."""
    cases: dict[str, int] = {}
    work = [*enumerated(length), *generated(count, origin)]
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for rule, compared, difference in pool.imap_unordered(done, work) if processes > 1 else map(done, work):
            assert not difference, difference
            cases[rule] = cases.get(rule, 0) + compared
    difference = shrinking(examples, origin) if examples else ""
    assert not difference, difference
    return cases | {"hypothesis": examples}


def main() -> int:
    """Parse the arguments, compare and print the counts."""
    parser = argparse.ArgumentParser(prog="python -m tests.specifications", description=__doc__)
    parser.add_argument("--length", type=int, default=5, metavar="N")
    parser.add_argument("--generated", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--examples", type=int, default=50_000, metavar="N", help="of hypothesis")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument("--processes", type=int, default=2, metavar="P")
    options = parser.parse_args()
    print(f"seed={options.seed} letters={len(LETTERS)} length={options.length} views={len(SUBJECTS)}", flush=True)
    started = time.monotonic()
    try:
        cases = run(options.length, options.generated, options.examples, options.seed, options.processes)
    except AssertionError as difference:
        print(f"DIFFERENCE: {difference}")
        return 1
    counts = " ".join(f"{name}={count}" for name, count in sorted(cases.items()))
    print(f"{counts} differences=0 seconds={time.monotonic() - started:.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
