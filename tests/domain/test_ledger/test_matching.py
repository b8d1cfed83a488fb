"""match: one row per case, in order of precedence."""

import re
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from stateless_billing.domain.ledger import Entry, MatchOutcome, match, net_cents
from tests.fakes.factories import GATEWAY, OTHER_GATEWAY, PAYER, entry, payment, tx_hash

OTHER_CREDITS = re.compile("^Top-up via pi_")
TIME = payment().time


def credit(of: Any, **changes: Any) -> Entry:
    """Create a payment's credit as Stripe returns it.

    Changes metadata by name; None removes a value.
    """
    metadata = {
        "kind": "payment",
        "payment": of.identity,
        "sequence": str(of.sequence),
        "wallet": of.wallet,
        "amount": str(of.amount),
        "rate_source": "quote" if of.quoted else "coingecko:lit-protocol",
    }
    own = {name: changes.pop(name) for name in list(changes) if name not in Entry.__struct_fields__}
    remaining = {name: value for name, value in (metadata | own).items() if value is not None}
    return replace(entry(id="cbtxn_ours", cents=of.cents or 5_400, metadata=remaining), **changes)


def bare(**changes: Any) -> Entry:
    """Create a credit of exactly the quoted cents without metadata."""
    return replace(entry(id="cbtxn_bare", cents=5_000, created=TIME, description=""), **changes)


WALLET_OF_LETTERS = "0x" + "ab" * 20
QUOTED = payment(wallet=WALLET_OF_LETTERS)
PLAIN = replace(QUOTED, cents=0)
MOVED = replace(QUOTED, tx_hash=tx_hash(9), ordinal=1)  # the same payment before a reorg
PLAIN_MOVED = replace(MOVED, cents=0)
UPPERCASE_IDENTITY = QUOTED.identity.upper()


class Case(NamedTuple):
    """A listing for QUOTED and the expected match."""

    name: str
    entries: list[Entry]
    outcome: MatchOutcome
    entry_id: str | None = None


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
    Case("renamed by a reorg", [credit(MOVED)], MatchOutcome.CREDITED, "cbtxn_ours"),
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
    Case("its identity in capitals", [credit(QUOTED, payment=UPPERCASE_IDENTITY)], MatchOutcome.CREDITED, "cbtxn_ours"),
    Case(
        "its identity with blanks around it",
        [credit(QUOTED, payment=f" {UPPERCASE_IDENTITY}\n")],
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
    # 3. a credit of these cents without metadata
    Case("bare", [bare()], MatchOutcome.ALTERED, "cbtxn_bare"),
    Case("bare, with a note", [bare(metadata={"note": "x"})], MatchOutcome.ALTERED, "cbtxn_bare"),
    Case(
        "bare, another system's words not at the start",
        [bare(description="x Top-up via pi_1")],
        MatchOutcome.ALTERED,
        "cbtxn_bare",
    ),
    # … or a credit of ours without a valid identity
    Case("ours, identity removed", [credit(QUOTED, payment=None)], MatchOutcome.ALTERED, "cbtxn_ours"),
    Case("ours, identity emptied", [credit(QUOTED, payment="")], MatchOutcome.ALTERED, "cbtxn_ours"),
    Case("ours, identity cut", [credit(QUOTED, payment="8453")], MatchOutcome.ALTERED, "cbtxn_ours"),
    Case(
        "ours, ordinal lost: the sequence decides",
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
    Case(
        "ours, a word put before",
        [credit(QUOTED, payment=f"see {UPPERCASE_IDENTITY}")],
        MatchOutcome.ALTERED,
        "cbtxn_ours",
    ),
    Case("ours, kind mangled", [credit(QUOTED, kind="paiment")], MatchOutcome.ALTERED, "cbtxn_ours"),
    Case("ours, kind emptied", [credit(QUOTED, kind="")], MatchOutcome.ALTERED, "cbtxn_ours"),
    # 4. no credit
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


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("backwards", [False, True], ids=["listed", "reversed"])
def test_matching_a_quoted_payment(case: Case, backwards: bool) -> None:
    entries = case.entries[::-1] if backwards else case.entries
    result = match(QUOTED, QUOTED.cents, entries, OTHER_CREDITS)
    assert (result.outcome, result.entry.id if result.entry else None) == (case.outcome, case.entry_id)


@pytest.mark.parametrize(
    ("entries", "outcome"),
    [
        ([credit(PLAIN)], MatchOutcome.CREDITED),
        ([credit(PLAIN_MOVED)], MatchOutcome.CREDITED),
        ([credit(PLAIN_MOVED, cents=1)], MatchOutcome.CREDITED),  # the first price stands
        ([credit(MOVED)], MatchOutcome.OTHER_FACTS),  # the credit is of a quoted payment
        ([credit(PLAIN_MOVED, amount="1")], MatchOutcome.OTHER_FACTS),
        ([bare()], MatchOutcome.ABSENT),  # 5,000 is not its price
        ([bare(cents=5_400)], MatchOutcome.ALTERED),
    ],
)
def test_matching_a_plain_payment(entries: list[Entry], outcome: MatchOutcome) -> None:
    assert match(PLAIN, 5_400, entries, OTHER_CREDITS).outcome is outcome


def test_bare_credits_match_only_a_known_price() -> None:
    assert match(PLAIN, None, [bare(cents=5_400)], OTHER_CREDITS).outcome is MatchOutcome.ABSENT


def reversal(number: int, cents: int, reverses: str, kind: str = "reversal") -> Entry:
    """Create an entry that reverses another."""
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
        ([reversal(1, -1, "cbtxn_r2"), reversal(2, 1, "cbtxn_r1")], 5_000),  # a cycle that does not lead to it
        ([reversal(1, -3, "cbtxn_ours"), reversal(1, -3, "cbtxn_ours")], 4_994),  # listed twice counts as two
    ],
)
def test_net_cents(others: list[Entry], net: int) -> None:
    ours = credit(QUOTED)
    assert net_cents(ours, [ours, *others]) == net


def test_a_reversal_of_itself_does_not_loop() -> None:
    ours = credit(QUOTED)
    assert net_cents(ours, [reversal(1, -9, "cbtxn_r1")]) == 5_000


def test_the_payments_of_the_table() -> None:
    assert QUOTED.quoted
    assert not PLAIN.quoted
    assert (QUOTED.gateway, QUOTED.wallet, QUOTED.payer) == (GATEWAY, WALLET_OF_LETTERS, PAYER)
    assert QUOTED.identity != UPPERCASE_IDENTITY
    assert MOVED.identity != QUOTED.identity
