"""Caps: the verdict is a function of the ledger up to a row, and no interleaving passes a cap by a cent."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.domain.balance_chain import gapless_chain
from stateless_billing.domain.ledger import Entry, reversal_of
from stateless_billing.grants import caps
from stateless_billing.grants.caps import DAY, Caps, Verdict
from tests.fakes.factories import START, entry

ANN, BEN = "ann@example.org", "ben@example.org"
LIMITS = Caps(2000, 10_000, 50_000)


class Ledger:
    """A grants record that Stripe serialises: each row's balance follows from the one before it."""

    def __init__(self) -> None:
        self.rows: list[Entry] = []

    def add(self, cents: int, at: int, **metadata: str) -> Entry:
        before = self.rows[-1].ending_cents if self.rows else 0
        row = entry(
            id=f"cbtxn_{len(self.rows)}",
            cents=cents,
            created=START + at,
            customer="cus_Grants",
            ending_cents=before + cents,
            metadata=metadata,
        )
        self.rows.append(row)
        return row

    def reserve(self, cents: int, at: int, operator: str = ANN, limits: Caps = LIMITS) -> Entry:
        told = {"grant": f"g{len(self.rows)}", "operator": operator, "reason": "goodwill", "customer": "cus_A"}
        return self.add(cents, at, kind="reservation", caps=str(limits), **told)

    def reverse(self, row: Entry, at: int) -> Entry:
        return self.add(-row.cents, at, kind="reversal", reverses=row.id, operator="service", reason="lapsed")

    def listed(self) -> list[Entry]:
        return list(reversed(self.rows))


def judged(row: Entry, rows: Sequence[Entry], *, whole: bool = True) -> Verdict | None:
    mine = caps.parse_reservation(row)
    assert mine
    return caps.judge_caps(mine, rows, complete=whole)


@pytest.mark.parametrize(
    ("before", "cents", "at", "operator", "broken"),
    [
        ([], 2000, 0, ANN, None),
        ([], 2001, 0, ANN, "per_grant"),
        ([(2000, ANN, 0)] * 4, 2000, 1, ANN, None),
        ([(2000, ANN, 0)] * 5, 1, 1, ANN, "operator"),
        ([(2000, ANN, 0)] * 5, 2000, 1, BEN, None),
        ([(2000, ANN, 0)] * 5, 1, DAY, ANN, "operator"),
        ([(2000, ANN, 0)] * 5, 2000, DAY + 1, ANN, None),
        ([(2000, f"{n}@example.org", 0) for n in range(25)], 1, 1, ANN, "everyone"),
        ([(2000, f"{n}@example.org", 0) for n in range(24)] + [(1999, BEN, 0)], 1, 1, ANN, None),
        ([(2000, f"{n}@example.org", 0) for n in range(25)], 2000, DAY + 1, ANN, None),
    ],
)
def test_what_fits(before: list[tuple[int, str, int]], cents: int, at: int, operator: str, broken: str | None) -> None:
    ledger = Ledger()
    for amount, who, when in before:
        ledger.reserve(amount, when, who)
    mine = ledger.reserve(cents, at, operator)
    ledger.reserve(2000, at, ANN)  # what comes later says nothing about mine
    assert judged(mine, ledger.listed()) == Verdict(broken is None, broken)


def test_my_own_caps_are_used_not_the_settings() -> None:
    ledger = Ledger()
    ledger.reserve(50, 0, limits=Caps(1, 1, 1))
    assert judged(ledger.reserve(50, 1, limits=Caps(50, 99, 999)), ledger.listed()) == Verdict(False, "operator")
    assert judged(ledger.reserve(50, 2, limits=Caps(50, 150, 150)), ledger.listed()) == Verdict(True)


def test_a_reversal_counts_only_with_its_reservation_inside_the_window() -> None:
    ledger = Ledger()
    old, young = ledger.reserve(2000, 0), ledger.reserve(2000, 10)
    for _ in range(4):
        ledger.reserve(2000, 20)
    ledger.reverse(old, DAY + 3)  # outside of the window: takes nothing off what is inside
    assert judged(ledger.reserve(1, DAY + 5), ledger.listed()) == Verdict(False, "operator")
    ledger.reverse(young, DAY + 6)
    assert judged(ledger.reserve(1, DAY + 7), ledger.listed()) == Verdict(True)
    later = ledger.reserve(1, DAY + 8)
    assert judged(later, ledger.listed()) == Verdict(True)


def test_a_reversal_that_comes_after_my_row_does_not_help_me() -> None:
    ledger = Ledger()
    first = [ledger.reserve(2000, 0) for _ in range(5)]
    mine = ledger.reserve(1, 1)
    ledger.reverse(first[0], 2)
    assert judged(mine, ledger.listed()) == Verdict(False, "operator")


@pytest.mark.parametrize("missing", range(6))
def test_a_ledger_with_a_row_missing_is_no_ledger(missing: int) -> None:
    ledger = Ledger()
    for at in range(6):
        ledger.reserve(100 + at, at)
    mine = ledger.reserve(100, 9)
    shown = [row for row in ledger.listed() if row.id != f"cbtxn_{missing}"]
    assert judged(mine, shown) is None


def test_a_list_that_does_not_show_my_own_row_says_nothing() -> None:
    ledger = Ledger()
    ledger.reserve(100, 0)
    mine = ledger.reserve(100, 1)
    assert judged(mine, ledger.listed()[1:]) is None
    assert judged(mine, ledger.listed()) == Verdict(True)


def test_hidden_rows_that_cancel_out_do_not_let_a_cap_be_passed() -> None:
    """Ben's grant is taken back while Ann gives as much: the balances follow from each other without these two."""
    ledger = Ledger()
    of_ben = ledger.reserve(2000, 0, BEN)
    for _ in range(4):
        ledger.reserve(2000, 1)
    shown = ledger.listed()
    ledger.reverse(of_ben, 50)
    ledger.reserve(2000, 50)
    mine = ledger.reserve(1, 51)
    assert judged(mine, shown) is None
    assert judged(mine, ledger.listed()) == Verdict(False, "operator")


def test_it_must_reach_a_day_back_or_to_the_beginning() -> None:
    ledger = Ledger()
    old = ledger.reserve(500, -DAY - 100)
    inside = ledger.reserve(700, 0)
    mine = ledger.reserve(100, 5)
    assert judged(mine, [mine, inside, old], whole=False) == Verdict(True)
    assert judged(mine, [mine, inside], whole=False) is None
    assert judged(mine, [mine, inside], whole=True) is None, "it does not begin at nothing"


def test_rows_of_one_second_may_be_listed_in_any_order() -> None:
    ledger = Ledger()
    ledger.reserve(10, -5)
    first, second = ledger.reserve(2000, 0), ledger.reserve(1500, 0)
    ledger.reverse(first, 0)
    mine = ledger.reserve(2000, 0)
    assert judged(mine, ledger.listed()) == Verdict(True)
    for shown in ([mine, first, second], [second, mine, first], [first, second, mine]):
        listed = [*shown, ledger.rows[3], ledger.rows[0]]
        chain = gapless_chain(listed)
        assert chain is not None
        assert [row.ending_cents for row in chain[:2]] == [10, 2010]


def test_a_row_that_says_no_more_what_it_is_counts_for_everybody() -> None:
    ledger = Ledger()
    for _ in range(5):
        ledger.reserve(2000, 0)
    ledger.rows[-1] = replace(ledger.rows[-1], metadata={})
    assert judged(ledger.reserve(2000, 1, BEN), ledger.listed()) == Verdict(True)
    ledger.rows[:5] = [replace(row, metadata={}) for row in ledger.rows[:5]]
    assert judged(ledger.reserve(1, 2, BEN), ledger.listed()) == Verdict(False, "operator")


@pytest.mark.parametrize(
    "changes",
    [{"kind": "grant"}, {"caps": "1:2"}, {"caps": "-1:2:3"}, {"grant": ""}, {"customer": ""}, {"operator": ""}],
)
def test_what_is_no_reservation(changes: dict[str, str]) -> None:
    row = Ledger().reserve(100, 0)
    assert caps.parse_reservation(row)
    assert caps.parse_reservation(replace(row, metadata={**row.metadata, **changes})) is None
    assert caps.parse_reservation(replace(row, cents=-100)) is None


def test_what_is_spent_says_when_the_first_of_it_frees_up() -> None:
    ledger = Ledger()
    ledger.reverse(ledger.reserve(300, 0), 1)
    ledger.reserve(200, 7)
    found = caps.usage_since(ledger.rows, START - 100, ANN)
    assert (found.cents, found.frees_at) == (200, START + 7 + DAY + 1)
    assert caps.usage_since([], START).frees_at is None


Act = tuple[str, int, int, int]
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "undo"]),
        st.integers(0, DAY // 2),
        st.integers(1, 60),
        st.integers(0, 2),
    ),
    max_size=40,
)


@given(ACTS, st.randoms(use_true_random=False))
def test_no_interleaving_passes_a_cap_by_a_cent(acts: list[Act], random: Any) -> None:
    """Verdicts come late and in any order; what does not fit is reversed whenever its verdict comes."""
    limits = Caps(50, 100, 150)
    ledger, now, waiting, given_ = Ledger(), 0, list[Entry](), list[Entry]()
    for act, pause, cents, who in acts:
        now += pause if random.random() < 0.3 else random.randint(0, 1)
        if act == "reserve":
            waiting.append(ledger.reserve(cents, now, f"{who}@example.org", limits))
        elif given_ and random.random() < 0.3:
            ledger.reverse(given_.pop(random.randrange(len(given_))), now)
        while waiting and random.random() < 0.6:
            mine = waiting.pop(random.randrange(len(waiting)))
            verdict = judged(mine, ledger.listed())
            assert verdict is not None
            assert verdict == judged(mine, ledger.listed()[: len(ledger.rows)])
            if verdict.fits:
                given_.append(mine)
            else:
                ledger.reverse(mine, now)
        for last in given_:
            within = [one for one in given_ if last.created - DAY <= one.created <= last.created]
            assert sum(one.cents for one in within) <= 150
            assert last.cents <= 50
            own = [one for one in within if one.metadata["operator"] == last.metadata["operator"]]
            assert sum(one.cents for one in own) <= 100


@given(ACTS, st.randoms(use_true_random=False))
def test_a_verdict_never_changes_when_more_is_written(acts: list[Act], random: Any) -> None:
    ledger, now, told = Ledger(), 0, dict[str, Verdict | None]()
    for act, pause, cents, who in acts:
        now += 1 + pause // 100
        if act == "reserve":
            row = ledger.reserve(cents, now, f"{who}@example.org", Caps(50, 100, 150))
            told[row.id] = judged(row, ledger.listed())
        elif ledger.rows and ledger.rows[0].cents > 0:
            ledger.reverse(random.choice([row for row in ledger.rows if row.cents > 0]), now)
    for row in ledger.rows:
        if row.id in told:
            assert judged(row, ledger.listed()) == told[row.id]


def test_the_oldest_reversal_of_a_row_is_the_one_that_counts() -> None:
    ledger = Ledger()
    row, other = ledger.reserve(100, 0), ledger.reserve(100, 1)
    assert reversal_of(row, ledger.listed()) is None
    ledger.reverse(other, 2)
    ledger.add(-100, 2, kind="payment", reverses=row.id)
    first, second = ledger.reverse(row, 5), ledger.reverse(row, 6)
    assert reversal_of(row, ledger.listed()) == first
    assert reversal_of(row, [first, second]) == reversal_of(row, [second, first]) == first
    same_second = replace(first, id="cbtxn_00"), replace(first, id="cbtxn_01")
    assert reversal_of(row, [same_second[1], same_second[0]]) == same_second[0]


def test_the_last_thing_that_happened_to_a_reservation_is_its_own_reversal() -> None:
    ledger = Ledger()
    row, other = ledger.reserve(100, 1), ledger.reserve(100, 2)
    mine = caps.parse_reservation(row)
    assert mine
    ledger.reverse(other, 3)
    assert caps.last_changed_at(mine, ledger.listed()) == START + 1
    ledger.reverse(row, 5)
    assert caps.last_changed_at(mine, ledger.listed()) == START + 5


def test_a_row_that_is_known_is_put_before_a_listing_that_lags() -> None:
    ledger = Ledger()
    row, other = ledger.reserve(100, 0), ledger.reserve(200, 1)
    listing = caps.Listing([row], complete=True, read_at=START + 9)
    assert caps.with_entry(listing, row) is listing
    assert caps.with_entry(listing, other) == caps.Listing([other, row], complete=True, read_at=START + 9)
    beginning_hidden = caps.Listing([row], complete=False, read_at=START)
    assert caps.with_entry(beginning_hidden, other).complete is False


TOLD = {"grant": "g1", "operator": ANN, "reason": "goodwill", "customer": "cus_A", "caps": "1:20:300"}


@pytest.mark.parametrize("note", [{}, {"note": "They waited"}])
def test_a_reservation_says_what_it_is_for(note: dict[str, str]) -> None:
    row = Ledger().add(1, 0, kind="reservation", **TOLD, **note)
    expected = caps.Reservation(row, "g1", ANN, "goodwill", note.get("note", ""), "cus_A", Caps(1, 20, 300))
    assert caps.parse_reservation(row) == expected


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize(
    ("number", "cents"),
    [("", None), ("7", 7), ("9" * 12, 10**12 - 1), ("9" * 13, None), ("-7", None), ("7.0", None), ("a", None)],
)
def test_caps_are_three_numbers_of_at_most_twelve_digits(place: int, number: str, cents: int | None) -> None:
    numbers = ["0", "90", "19"]
    numbers[place] = number
    expected = [0, 90, 19]
    if cents is not None:
        expected[place] = cents
    assert caps.parse_caps(":".join(numbers)) == (None if cents is None else Caps(*expected))
    assert caps.parse_caps(":".join(numbers) + ":1") is None


def test_caps_are_read_as_they_are_written() -> None:
    assert str(Caps(1, 20, 300)) == "1:20:300"
    assert caps.parse_caps("1:20:300") == Caps(1, 20, 300)


@pytest.mark.parametrize("missing", TOLD)
def test_a_row_that_does_not_say_all_of_it_is_no_reservation(missing: str) -> None:
    told = {name: value for name, value in TOLD.items() if name != missing}
    assert caps.parse_reservation(Ledger().add(1, 0, kind="reservation", **told)) is None


@pytest.mark.parametrize(("cents", "kind"), [(0, "reservation"), (-1, "reservation"), (1, "grant")])
def test_a_reservation_is_a_credit_of_its_kind(cents: int, kind: str) -> None:
    assert caps.parse_reservation(Ledger().add(cents, 0, kind=kind, **TOLD)) is None


def test_rows_of_one_second_are_put_in_order_at_the_beginning_too() -> None:
    ledger = Ledger()
    first, second, third = ledger.reserve(100, 0), ledger.reserve(200, 0), ledger.reserve(300, 0)
    assert gapless_chain([first, second, third]) == [first, second, third]
    assert gapless_chain([third, first]) is None, "one is missing"


def test_rows_of_several_seconds_stand_as_they_are_listed() -> None:
    ledger = Ledger()
    first, second = ledger.reserve(100, 0), ledger.reserve(200, 1)
    assert gapless_chain([second, first]) == [first, second]
    assert gapless_chain([first, second]) is None


@pytest.mark.parametrize(("before", "told"), [(DAY, False), (DAY + 1, True)])
def test_a_listing_must_show_a_row_from_before_the_window(before: int, told: bool) -> None:
    ledger = Ledger()
    ledger.reserve(100, -9 * DAY)
    old, mine = ledger.reserve(100, -before), ledger.reserve(100, 0)
    assert (judged(mine, [mine, old], whole=False) is not None) == told


def test_a_reversal_that_was_reversed_counts_what_it_took_back_once() -> None:
    ledger = Ledger()
    row = ledger.reserve(2000, 0)
    back = ledger.reverse(row, 1)
    assert caps.usage_since(ledger.rows, START).cents == 0
    ledger.reverse(back, 2)
    assert caps.usage_since(ledger.rows, START).cents == 2000


def test_the_window_is_a_day() -> None:
    assert caps.DAY == 86_400
