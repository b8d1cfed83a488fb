"""The matcher: one row for each case, in the order in which its answers take precedence."""

import re
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from stateless_billing.domain.ledger import Entry, MatchOutcome, match, net_cents
from tests.fakes.factories import GATEWAY, OTHER_GATEWAY, PAYER, entry, payment, tx_hash

OTHER_CREDITS = re.compile("^Top-up via pi_")
TIME = payment().time


def credit(of: Any, **changes: Any) -> Entry:
    """The credit of a payment as Stripe holds it; metadata given by name is changed, None removes it."""
    metadata = {
        "kind": "payment",
        "payment": of.identity,
        "sequence": str(of.sequence),
        "wallet": of.wallet,
        "amount": str(of.amount),
        "rate_source": "quote" if of.quoted else "coingecko:lit-protocol",
    }
    own = {name: changes.pop(name) for name in list(changes) if name not in Entry.__slots__}
    kept = {name: value for name, value in (metadata | own).items() if value is not None}
    return replace(entry(id="cbtxn_ours", cents=of.cents or 5_400, metadata=kept), **changes)


def bare(**changes: Any) -> Entry:
    """A credit of exactly the quoted cents that says nothing of itself."""
    return replace(entry(id="cbtxn_bare", cents=5_000, created=TIME, description=""), **changes)


WALLET_OF_LETTERS = "0x" + "ab" * 20
QUOTED = payment(wallet=WALLET_OF_LETTERS)
PLAIN = replace(QUOTED, cents=0)
MOVED = replace(QUOTED, tx_hash=tx_hash(9), ordinal=1)  # the same payment before a reorganisation
PLAIN_MOVED = replace(MOVED, cents=0)
SHOUTED = QUOTED.identity.upper()


class Case(NamedTuple):
    """What Stripe shows for QUOTED, and what follows from it."""

    says: str
    entries: list[Entry]
    finding: MatchOutcome
    rests_on: str | None = None


CASES = [
    # 1. its identity
    Case("its identity", [credit(QUOTED)], MatchOutcome.CREDITED, "cbtxn_ours"),
    Case("its identity, cents edited away", [credit(QUOTED, cents=1)], MatchOutcome.CREDITED, "cbtxn_ours"),
    Case(
        "its identity, other facts edited",
        [credit(QUOTED, wallet="0x", amount="1")],
        MatchOutcome.CREDITED,
        "cbtxn_ours",
    ),
    Case(
        "its identity beats an older one of the same sequence",
        [credit(QUOTED), credit(MOVED, id="cbtxn_moved", created=TIME)],
        MatchOutcome.CREDITED,
        "cbtxn_ours",
    ),
    Case(
        "twice: the oldest counts",
        [credit(QUOTED, id="cbtxn_late", created=TIME + 9), credit(QUOTED, id="cbtxn_early", created=TIME + 1)],
        MatchOutcome.CREDITED,
        "cbtxn_early",
    ),
    Case(
        "twice in one second: the smaller id counts",
        [credit(QUOTED, id="cbtxn_b"), credit(QUOTED, id="cbtxn_a")],
        MatchOutcome.CREDITED,
        "cbtxn_a",
    ),
    # 2. its sequence under another identity
    Case("renamed by a reorganisation", [credit(MOVED)], MatchOutcome.CREDITED, "cbtxn_ours"),
    Case("renamed beats a bare credit", [bare(), credit(MOVED)], MatchOutcome.CREDITED, "cbtxn_ours"),
    Case("same sequence, other wallet", [credit(MOVED, wallet=PAYER)], MatchOutcome.OTHER_FACTS, "cbtxn_ours"),
    Case("same sequence, other amount", [credit(MOVED, amount="1")], MatchOutcome.OTHER_FACTS, "cbtxn_ours"),
    Case("same sequence, other cents", [credit(MOVED, cents=4_999)], MatchOutcome.OTHER_FACTS, "cbtxn_ours"),
    Case("same sequence, but plain", [credit(PLAIN_MOVED)], MatchOutcome.OTHER_FACTS, "cbtxn_ours"),
    Case("same sequence, facts removed", [credit(MOVED, wallet=None)], MatchOutcome.OTHER_FACTS, "cbtxn_ours"),
    Case(
        "renamed beats an older one with other facts",
        [credit(MOVED, id="cbtxn_other", amount="1", created=TIME), credit(MOVED)],
        MatchOutcome.CREDITED,
        "cbtxn_ours",
    ),
    Case(
        "a bare credit beats other facts",
        [credit(MOVED, amount="1", cents=1), bare(created=TIME + 99)],
        MatchOutcome.ALTERED,
        "cbtxn_bare",
    ),
    # … and hex in any case
    Case("its identity in capitals", [credit(QUOTED, payment=SHOUTED)], MatchOutcome.CREDITED, "cbtxn_ours"),
    Case(
        "its identity with blanks around it",
        [credit(QUOTED, payment=f" {SHOUTED}\n")],
        MatchOutcome.CREDITED,
        "cbtxn_ours",
    ),
    Case(
        "renamed, wallet and identity in capitals",
        [credit(MOVED, payment=MOVED.identity.upper(), wallet=WALLET_OF_LETTERS.upper())],
        MatchOutcome.CREDITED,
        "cbtxn_ours",
    ),
    Case(
        "same sequence, other wallet, in capitals",
        [credit(MOVED, payment=MOVED.identity.upper(), wallet=PAYER.upper(), cents=1)],
        MatchOutcome.OTHER_FACTS,
        "cbtxn_ours",
    ),
    # 3. a credit of these cents that says nothing
    Case("bare", [bare()], MatchOutcome.ALTERED, "cbtxn_bare"),
    Case("bare, with a note", [bare(metadata={"note": "x"})], MatchOutcome.ALTERED, "cbtxn_bare"),
    Case(
        "bare, known by its description too late",
        [bare(description="x Top-up via pi_1")],
        MatchOutcome.ALTERED,
        "cbtxn_bare",
    ),
    # … or a credit of ours whose identity says nothing any more
    Case("ours, identity removed", [credit(QUOTED, payment=None)], MatchOutcome.ALTERED, "cbtxn_ours"),
    Case("ours, identity emptied", [credit(QUOTED, payment="")], MatchOutcome.ALTERED, "cbtxn_ours"),
    Case("ours, identity cut", [credit(QUOTED, payment="8453")], MatchOutcome.ALTERED, "cbtxn_ours"),
    Case(
        "ours, ordinal lost: the sequence tells",
        [credit(QUOTED, payment=QUOTED.identity[:-2])],
        MatchOutcome.CREDITED,
        "cbtxn_ours",
    ),
    Case(
        "ours, hash cut, facts too",
        [credit(QUOTED, payment=f"8453:{GATEWAY}:0xdd:0", amount="1")],
        MatchOutcome.ALTERED,
        "cbtxn_ours",
    ),
    Case("ours, a word put before", [credit(QUOTED, payment=f"see {SHOUTED}")], MatchOutcome.ALTERED, "cbtxn_ours"),
    Case("ours, kind mangled", [credit(QUOTED, kind="paiment")], MatchOutcome.ALTERED, "cbtxn_ours"),
    Case("ours, kind emptied", [credit(QUOTED, kind="")], MatchOutcome.ALTERED, "cbtxn_ours"),
    # 4. nothing
    Case("no entries", [], MatchOutcome.ABSENT),
    Case("only charges", [entry(), entry(id="cbtxn_2", cents=-5_000)], MatchOutcome.ABSENT),
    Case("bare, one cent more", [bare(cents=5_001)], MatchOutcome.ABSENT),
    Case("bare, from before the block", [bare(created=TIME - 121)], MatchOutcome.ABSENT),
    Case("a top-up of the existing system", [bare(description="Top-up via pi_3abc")], MatchOutcome.ABSENT),
    Case("Stripe's own: an invoice's", [bare(type="applied_to_invoice")], MatchOutcome.ABSENT),
    Case("a grant of as much", [bare(metadata={"kind": "grant", "grant": "g1"})], MatchOutcome.ABSENT),
    Case("another sequence's", [credit(payment(sequence=1, tx_hash=tx_hash(2)))], MatchOutcome.ABSENT),
    Case("another gateway's", [credit(payment(gateway=OTHER_GATEWAY))], MatchOutcome.ABSENT),
    Case("another chain's", [credit(payment(chain_id=84532))], MatchOutcome.ABSENT),
    Case("ours, identity removed, other cents", [credit(QUOTED, payment=None, cents=4_999)], MatchOutcome.ABSENT),
    Case("ours, identity cut, a charge", [credit(QUOTED, payment="8453", cents=-5_000)], MatchOutcome.ABSENT),
    Case("ours, identity removed, too early", [credit(QUOTED, payment=None, created=TIME - 121)], MatchOutcome.ABSENT),
    Case("a reservation of as much", [bare(metadata={"kind": "reservation", "grant": "g1"})], MatchOutcome.ABSENT),
    Case("its identity on a reversal", [credit(QUOTED, kind="reversal")], MatchOutcome.ABSENT),
    Case("its identity on an order", [credit(QUOTED, kind="order")], MatchOutcome.ABSENT),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
@pytest.mark.parametrize("backwards", [False, True], ids=["listed", "reversed"])
def test_what_a_listing_shows_of_a_quoted_payment(case: Case, backwards: bool) -> None:
    shown = case.entries[::-1] if backwards else case.entries
    found = match(QUOTED, QUOTED.cents, shown, OTHER_CREDITS)
    assert (found.finding, found.entry.id if found.entry else None) == (case.finding, case.rests_on)


@pytest.mark.parametrize(
    ("entries", "finding"),
    [
        ([credit(PLAIN)], MatchOutcome.CREDITED),
        ([credit(PLAIN_MOVED)], MatchOutcome.CREDITED),
        ([credit(PLAIN_MOVED, cents=1)], MatchOutcome.CREDITED),  # the first writer's price stands
        ([credit(MOVED)], MatchOutcome.OTHER_FACTS),  # quoted, and this one is not
        ([credit(PLAIN_MOVED, amount="1")], MatchOutcome.OTHER_FACTS),
        ([bare()], MatchOutcome.ABSENT),  # 5,000 is not what this one is worth
        ([bare(cents=5_400)], MatchOutcome.ALTERED),
    ],
)
def test_what_a_listing_shows_of_a_plain_payment(entries: list[Entry], finding: MatchOutcome) -> None:
    assert match(PLAIN, 5_400, entries, OTHER_CREDITS).finding is finding


def test_without_a_price_no_bare_credit_is_suspected() -> None:
    assert match(PLAIN, None, [bare(cents=5_400)], OTHER_CREDITS).finding is MatchOutcome.ABSENT


def reversal(number: int, cents: int, reverses: str, kind: str = "reversal") -> Entry:
    """An entry that undoes another."""
    return entry(id=f"cbtxn_r{number}", cents=cents, metadata={"kind": kind, "reverses": reverses})


@pytest.mark.parametrize(
    ("others", "net"),
    [
        ([], 5_000),
        ([reversal(1, -5_000, "cbtxn_ours")], 0),
        ([reversal(1, -5_000, "cbtxn_other")], 5_000),
        ([reversal(1, -5_000, "cbtxn_ours", kind="grant")], 5_000),
        ([reversal(1, -5_000, "cbtxn_ours"), reversal(2, 5_000, "cbtxn_r1")], 5_000),
        ([reversal(2, 5_000, "cbtxn_r1"), reversal(1, -5_000, "cbtxn_ours")], 5_000),  # in any order
        ([reversal(1, -5_000, "cbtxn_ours"), reversal(2, -5_000, "cbtxn_ours")], -5_000),
        ([reversal(1, -1, "cbtxn_r2"), reversal(2, 1, "cbtxn_r1")], 5_000),  # a ring that does not reach it
        ([reversal(1, -3, "cbtxn_ours"), reversal(1, -3, "cbtxn_ours")], 4_994),  # listed twice counts as two
    ],
)
def test_the_net_of_a_credit(others: list[Entry], net: int) -> None:
    ours = credit(QUOTED)
    assert net_cents(ours, [ours, *others]) == net


def test_a_reversal_that_names_itself_ends() -> None:
    ours = credit(QUOTED)
    assert net_cents(ours, [reversal(1, -9, "cbtxn_r1")]) == 5_000


def test_the_tables_payments_are_what_they_seem() -> None:
    assert QUOTED.quoted
    assert not PLAIN.quoted
    assert (QUOTED.gateway, QUOTED.wallet, QUOTED.payer) == (GATEWAY, WALLET_OF_LETTERS, PAYER)
    assert QUOTED.identity != SHOUTED
    assert MOVED.identity != QUOTED.identity
