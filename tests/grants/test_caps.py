"""A verdict depends only on the ledger up to its row, and no interleaving exceeds a cap."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stateless_billing.domain.balance_chain import gapless_chain
from stateless_billing.domain.ledger import Entry, reversal_of
from stateless_billing.grants import caps
from stateless_billing.grants.caps import DAY, Caps, Verdict
from tests.fakes.factories import START, entry

ANN, BEN = "ann@example.org", "ben@example.org"
LIMITS = Caps(2000, 10_000, 50_000)


class Ledger:
    """A grants record whose rows have consecutive balances."""

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
        values = {"grant": f"g{len(self.rows)}", "operator": operator, "reason": "goodwill", "customer": "cus_A"}
        return self.add(cents, at, kind="reservation", caps=str(limits), **values)

    def reverse(self, row: Entry, at: int) -> Entry:
        return self.add(-row.cents, at, kind="reversal", reverses=row.id, operator="service", reason="lapsed")

    def listed(self) -> list[Entry]:
        return list(reversed(self.rows))


def judge(row: Entry, rows: Sequence[Entry], *, complete: bool = True) -> Verdict | None:
    reservation = caps.parse_reservation(row)
    assert reservation
    return caps.judge_caps(reservation, rows, complete=complete)


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
def test_verdicts(before: list[tuple[int, str, int]], cents: int, at: int, operator: str, broken: str | None) -> None:
    ledger = Ledger()
    for amount, giver, time in before:
        ledger.reserve(amount, time, giver)
    mine = ledger.reserve(cents, at, operator)
    ledger.reserve(2000, at, ANN)  # later rows do not matter
    assert judge(mine, ledger.listed()) == Verdict(broken is None, broken)


def test_the_reservations_own_caps_apply() -> None:
    ledger = Ledger()
    ledger.reserve(50, 0, limits=Caps(1, 1, 1))
    assert judge(ledger.reserve(50, 1, limits=Caps(50, 99, 999)), ledger.listed()) == Verdict(False, "operator")
    assert judge(ledger.reserve(50, 2, limits=Caps(50, 150, 150)), ledger.listed()) == Verdict(True)


def test_a_reversal_counts_only_with_its_reservation_inside_the_window() -> None:
    ledger = Ledger()
    old, young = ledger.reserve(2000, 0), ledger.reserve(2000, 10)
    for _ in range(4):
        ledger.reserve(2000, 20)
    ledger.reverse(old, DAY + 3)  # outside the window, so it frees nothing inside
    assert judge(ledger.reserve(1, DAY + 5), ledger.listed()) == Verdict(False, "operator")
    ledger.reverse(young, DAY + 6)
    assert judge(ledger.reserve(1, DAY + 7), ledger.listed()) == Verdict(True)
    later = ledger.reserve(1, DAY + 8)
    assert judge(later, ledger.listed()) == Verdict(True)


def test_a_later_reversal_does_not_change_the_verdict() -> None:
    ledger = Ledger()
    first = [ledger.reserve(2000, 0) for _ in range(5)]
    mine = ledger.reserve(1, 1)
    ledger.reverse(first[0], 2)
    assert judge(mine, ledger.listed()) == Verdict(False, "operator")


@pytest.mark.parametrize("missing", range(6))
def test_a_listing_with_a_missing_row_has_no_verdict(missing: int) -> None:
    ledger = Ledger()
    for at in range(6):
        ledger.reserve(100 + at, at)
    mine = ledger.reserve(100, 9)
    rows = [row for row in ledger.listed() if row.id != f"cbtxn_{missing}"]
    assert judge(mine, rows) is None


def test_a_listing_without_the_row_itself_has_no_verdict() -> None:
    ledger = Ledger()
    ledger.reserve(100, 0)
    mine = ledger.reserve(100, 1)
    assert judge(mine, ledger.listed()[1:]) is None
    assert judge(mine, ledger.listed()) == Verdict(True)


def test_hidden_rows_that_cancel_out_do_not_allow_exceeding_a_cap() -> None:
    """Ben's grant is reversed while Ann gives as much: the balances show no gap."""
    ledger = Ledger()
    of_ben = ledger.reserve(2000, 0, BEN)
    for _ in range(4):
        ledger.reserve(2000, 1)
    lagging = ledger.listed()
    ledger.reverse(of_ben, 50)
    ledger.reserve(2000, 50)
    mine = ledger.reserve(1, 51)
    assert judge(mine, lagging) is None
    assert judge(mine, ledger.listed()) == Verdict(False, "operator")


def test_a_listing_must_reach_a_day_back_or_to_the_start() -> None:
    ledger = Ledger()
    old = ledger.reserve(500, -DAY - 100)
    inside = ledger.reserve(700, 0)
    mine = ledger.reserve(100, 5)
    assert judge(mine, [mine, inside, old], complete=False) == Verdict(True)
    assert judge(mine, [mine, inside], complete=False) is None
    assert judge(mine, [mine, inside], complete=True) is None, "it does not start at zero"


def test_rows_of_one_second_may_be_listed_in_any_order() -> None:
    ledger = Ledger()
    ledger.reserve(10, -5)
    first, second = ledger.reserve(2000, 0), ledger.reserve(1500, 0)
    ledger.reverse(first, 0)
    mine = ledger.reserve(2000, 0)
    assert judge(mine, ledger.listed()) == Verdict(True)
    for newest in ([mine, first, second], [second, mine, first], [first, second, mine]):
        listed = [*newest, ledger.rows[3], ledger.rows[0]]
        chain = gapless_chain(listed)
        assert chain is not None
        assert [row.ending_cents for row in chain[:2]] == [10, 2010]


def test_a_row_without_metadata_counts_for_every_operator() -> None:
    ledger = Ledger()
    for _ in range(5):
        ledger.reserve(2000, 0)
    ledger.rows[-1] = replace(ledger.rows[-1], metadata={})
    assert judge(ledger.reserve(2000, 1, BEN), ledger.listed()) == Verdict(True)
    ledger.rows[:5] = [replace(row, metadata={}) for row in ledger.rows[:5]]
    assert judge(ledger.reserve(1, 2, BEN), ledger.listed()) == Verdict(False, "operator")


@pytest.mark.parametrize(
    "changes",
    [{"kind": "grant"}, {"caps": "1:2"}, {"caps": "-1:2:3"}, {"grant": ""}, {"customer": ""}, {"operator": ""}],
)
def test_malformed_reservations_are_rejected(changes: dict[str, str]) -> None:
    row = Ledger().reserve(100, 0)
    assert caps.parse_reservation(row)
    assert caps.parse_reservation(replace(row, metadata={**row.metadata, **changes})) is None
    assert caps.parse_reservation(replace(row, cents=-100)) is None


def test_usage_has_the_time_at_which_it_frees_up() -> None:
    ledger = Ledger()
    ledger.reverse(ledger.reserve(300, 0), 1)
    ledger.reserve(200, 7)
    usage = caps.usage_since(ledger.rows, START - 100, ANN)
    assert (usage.cents, usage.frees_at) == (200, START + 7 + DAY + 1)
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
def test_no_interleaving_exceeds_a_cap(acts: list[Act], random: Any) -> None:
    """Verdicts come late and in any order; what does not fit is reversed at its verdict."""
    limits = Caps(50, 100, 150)
    ledger, now, waiting, granted = Ledger(), 0, list[Entry](), list[Entry]()
    for act, pause, cents, number in acts:
        now += pause if random.random() < 0.3 else random.randint(0, 1)
        if act == "reserve":
            waiting.append(ledger.reserve(cents, now, f"{number}@example.org", limits))
        elif granted and random.random() < 0.3:
            ledger.reverse(granted.pop(random.randrange(len(granted))), now)
        while waiting and random.random() < 0.6:
            mine = waiting.pop(random.randrange(len(waiting)))
            verdict = judge(mine, ledger.listed())
            assert verdict is not None
            assert verdict == judge(mine, ledger.listed()[: len(ledger.rows)])
            if verdict.fits:
                granted.append(mine)
            else:
                ledger.reverse(mine, now)
        for last in granted:
            window = [row for row in granted if last.created - DAY <= row.created <= last.created]
            assert sum(row.cents for row in window) <= 150
            assert last.cents <= 50
            own = [row for row in window if row.metadata["operator"] == last.metadata["operator"]]
            assert sum(row.cents for row in own) <= 100


@given(ACTS, st.randoms(use_true_random=False))
def test_later_rows_never_change_a_verdict(acts: list[Act], random: Any) -> None:
    ledger, now, verdicts = Ledger(), 0, dict[str, Verdict | None]()
    for act, pause, cents, number in acts:
        now += 1 + pause // 100
        if act == "reserve":
            row = ledger.reserve(cents, now, f"{number}@example.org", Caps(50, 100, 150))
            verdicts[row.id] = judge(row, ledger.listed())
        elif ledger.rows and ledger.rows[0].cents > 0:
            ledger.reverse(random.choice([row for row in ledger.rows if row.cents > 0]), now)
    for row in ledger.rows:
        if row.id in verdicts:
            assert judge(row, ledger.listed()) == verdicts[row.id]


def test_the_oldest_reversal_of_a_row_counts() -> None:
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


def test_a_reservations_last_change_is_its_own_reversal() -> None:
    ledger = Ledger()
    row, other = ledger.reserve(100, 1), ledger.reserve(100, 2)
    mine = caps.parse_reservation(row)
    assert mine
    ledger.reverse(other, 3)
    assert caps.last_changed_at(mine, ledger.listed()) == START + 1
    ledger.reverse(row, 5)
    assert caps.last_changed_at(mine, ledger.listed()) == START + 5


def test_with_entry_adds_a_missing_entry() -> None:
    ledger = Ledger()
    row, other = ledger.reserve(100, 0), ledger.reserve(200, 1)
    listing = caps.Listing([row], complete=True, read_at=START + 9)
    assert caps.with_entry(listing, row) is listing
    assert caps.with_entry(listing, other) == caps.Listing([other, row], complete=True, read_at=START + 9)
    beginning_hidden = caps.Listing([row], complete=False, read_at=START)
    assert caps.with_entry(beginning_hidden, other).complete is False


METADATA = {"grant": "g1", "operator": ANN, "reason": "goodwill", "customer": "cus_A", "caps": "1:20:300"}


@pytest.mark.parametrize("note", [{}, {"note": "They waited"}])
def test_parse_reservation(note: dict[str, str]) -> None:
    row = Ledger().add(1, 0, kind="reservation", **METADATA, **note)
    expected = caps.Reservation(row, "g1", ANN, "goodwill", note.get("note", ""), "cus_A", Caps(1, 20, 300))
    assert caps.parse_reservation(row) == expected


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize(
    ("number", "cents"),
    [("", None), ("7", 7), ("9" * 12, 10**12 - 1), ("9" * 13, None), ("-7", None), ("7.0", None), ("a", None)],
)
def test_caps_are_three_numbers_of_at_most_twelve_digits(index: int, number: str, cents: int | None) -> None:
    numbers = ["0", "90", "19"]
    numbers[index] = number
    expected = [0, 90, 19]
    if cents is not None:
        expected[index] = cents
    assert caps.parse_caps(":".join(numbers)) == (None if cents is None else Caps(*expected))
    assert caps.parse_caps(":".join(numbers) + ":1") is None


def test_caps_round_trip() -> None:
    assert str(Caps(1, 20, 300)) == "1:20:300"
    assert caps.parse_caps("1:20:300") == Caps(1, 20, 300)


@pytest.mark.parametrize("missing", METADATA)
def test_a_reservation_needs_all_its_metadata(missing: str) -> None:
    metadata = {name: value for name, value in METADATA.items() if name != missing}
    assert caps.parse_reservation(Ledger().add(1, 0, kind="reservation", **metadata)) is None


@pytest.mark.parametrize(("cents", "kind"), [(0, "reservation"), (-1, "reservation"), (1, "grant")])
def test_a_reservation_has_positive_cents_and_its_kind(cents: int, kind: str) -> None:
    assert caps.parse_reservation(Ledger().add(cents, 0, kind=kind, **METADATA)) is None


def test_rows_of_one_second_at_the_start_are_put_in_order() -> None:
    ledger = Ledger()
    first, second, third = ledger.reserve(100, 0), ledger.reserve(200, 0), ledger.reserve(300, 0)
    assert gapless_chain([first, second, third]) == [first, second, third]
    assert gapless_chain([third, first]) is None, "one is missing"


def test_rows_of_several_seconds_keep_their_listed_order() -> None:
    ledger = Ledger()
    first, second = ledger.reserve(100, 0), ledger.reserve(200, 1)
    assert gapless_chain([second, first]) == [first, second]
    assert gapless_chain([first, second]) is None


@pytest.mark.parametrize(("age", "has_verdict"), [(DAY, False), (DAY + 1, True)])
def test_a_listing_must_show_a_row_from_before_the_window(age: int, has_verdict: bool) -> None:
    ledger = Ledger()
    ledger.reserve(100, -9 * DAY)
    old, mine = ledger.reserve(100, -age), ledger.reserve(100, 0)
    assert (judge(mine, [mine, old], complete=False) is not None) == has_verdict


def test_reversing_a_reversal_counts_the_reservation_once() -> None:
    ledger = Ledger()
    row = ledger.reserve(2000, 0)
    back = ledger.reverse(row, 1)
    assert caps.usage_since(ledger.rows, START).cents == 0
    ledger.reverse(back, 2)
    assert caps.usage_since(ledger.rows, START).cents == 2000


def test_the_window_is_a_day() -> None:
    assert caps.DAY == 86_400
