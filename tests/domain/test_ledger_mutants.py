"""The ledger's forms and edges: what is ours, what an identity is, orders, and by what a credit is known."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.payment import Payment
from stateless_billing.domain.ledger import (
    BLOCK_AHEAD,
    CURRENCY,
    KINDS,
    Entry,
    MatchOutcome,
    Price,
    credit_description,
    credit_metadata,
    is_identity,
    match,
    parse_cursor,
)
from tests.fakes.factories import entry, payment, tx_hash

GATEWAY = "0x" + "a9" * 20
TX = "0x" + "0f" * 32


def test_what_is_ours() -> None:
    assert set(KINDS) == {"payment", "grant", "reversal", "reservation", "order"}
    assert CURRENCY == "usd"
    assert entry(metadata={"kind": "grant"}).kind == "grant"
    assert entry(metadata={}).kind is None


def test_a_quoted_price_has_no_rate_and_no_discount() -> None:
    assert Price(5_000) == Price(5_000, None, 0)


@given(st.integers(0, 10**20), st.integers(0, 2**160 - 1), st.integers(0, 2**256 - 1), st.integers(0, 10**6))
def test_every_payments_identity_is_one(chain_id: int, gateway: int, tx: int, ordinal: int) -> None:
    one = payment(chain_id=chain_id, gateway=f"0x{gateway:040x}", tx_hash=f"0x{tx:064x}", ordinal=ordinal)
    assert is_identity(one.identity)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f":{GATEWAY}:{TX}:0",
        f"8453:{GATEWAY}:{TX}:",
        f"8453:{GATEWAY}:{TX}",
        f"8453{GATEWAY}:{TX}:0",
        f"8453:{GATEWAY}{TX}:0",
        f"8453:{GATEWAY}:{TX}0",
        f"8453:{GATEWAY[2:]}:{TX}:0",
        f"8453:{GATEWAY}:{TX[2:]}:0",
        f"8453:{GATEWAY[:-1]}:{TX}:0",
        f"8453:{GATEWAY}0:{TX}:0",
        f"8453:{GATEWAY}:{TX[:-1]}:0",
        f"8453:{GATEWAY}:{TX}f:0",
        f"8453:{GATEWAY.upper()}:{TX}:0",
        f"8453:{GATEWAY}:{TX}:0\n",
        f" 8453:{GATEWAY}:{TX}:0",
        f"8453:{GATEWAY}:{TX}:-1",
        f"\u0663:{GATEWAY}:{TX}:0",
    ],
)
def test_what_is_no_identity(text: str) -> None:
    assert not is_identity(text)


@given(st.text(max_size=120))
def test_any_text_is_an_identity_or_not(text: str) -> None:
    assert is_identity(text) is False or text.count(":") == 3


@pytest.mark.parametrize("number", ["1", "10", "9", "1000000000000000000", "9999999999999999999"])
def test_how_small_and_how_large_a_cursor_may_be(number: str) -> None:
    found = parse_cursor(f"{number}:{TX}")
    assert found is not None
    assert (found.next, found.before) == (int(number), TX)


@pytest.mark.parametrize("text", [f"0:{TX}", f"00:{TX}", f"10000000000000000000:{TX}", f"1:{TX}f", f"1:{TX[:-1]}"])
def test_what_is_beyond_a_cursor(text: str) -> None:
    assert parse_cursor(text) is None


NOBODYS = re.compile("^Top-up via pi_")
QUOTED = payment()
PLAIN = payment(cents=0)


def ours(of: Payment, **metadata: str) -> Entry:
    """A credit of ours for `of`, with more metadata."""
    return entry(id="cbtxn_ours", cents=5_000, metadata=credit_metadata(of, Price(5_000)) | metadata)


def test_a_credit_names_the_order_that_it_follows() -> None:
    plain, ordered = (credit_metadata(QUOTED, Price(5_000, order=order)) for order in (None, "cbtxn_order"))
    assert ordered == plain | {"order": "cbtxn_order"}
    assert "order" not in plain


MOVED = replace(QUOTED, tx_hash=tx_hash(9))  # the same payment before a reorganisation


@pytest.mark.parametrize(
    ("redirected", "shown", "finding"),
    [
        (False, ours(MOVED), MatchOutcome.CREDITED),
        (False, ours(MOVED, amount="1"), MatchOutcome.OTHER_FACTS),
        # on another customer sequences mean that customer's own payments
        (True, ours(MOVED), MatchOutcome.ABSENT),
        (True, ours(MOVED, amount="1"), MatchOutcome.ABSENT),
        (True, ours(QUOTED), MatchOutcome.CREDITED),
        # a credit under an order is of a final payment, and of no other that has its sequence
        (False, ours(MOVED, order="cbtxn_order"), MatchOutcome.ABSENT),
        (False, ours(MOVED, order="cbtxn_order", amount="1"), MatchOutcome.ABSENT),
        (False, ours(QUOTED, order="cbtxn_order"), MatchOutcome.CREDITED),
    ],
)
def test_a_sequence_counts_only_on_the_events_own_customer(
    redirected: bool, shown: Entry, finding: MatchOutcome
) -> None:
    assert match(QUOTED, None, [shown], NOBODYS, redirected=redirected).finding is finding


@pytest.mark.parametrize(("early", "finding"), [(3_600, MatchOutcome.CREDITED), (3_601, MatchOutcome.ABSENT)])
def test_an_older_credit_of_the_same_sequence_is_of_a_payment_that_is_gone(early: int, finding: MatchOutcome) -> None:
    """A look for one payment never lists it, but a look for several does: seed 807 of the simulation."""
    orphan = replace(ours(MOVED), created=QUOTED.time - early)
    assert match(QUOTED, None, [orphan], NOBODYS).finding is finding
    assert match(MOVED, None, [orphan], NOBODYS).finding is MatchOutcome.CREDITED


@pytest.mark.parametrize(("early", "finding"), [(120, MatchOutcome.ALTERED), (121, MatchOutcome.ABSENT)])
def test_a_block_may_lie_two_minutes_ahead_of_stripes_clock(early: int, finding: MatchOutcome) -> None:
    bare = entry(cents=5_000, created=QUOTED.time - early, description="")
    assert BLOCK_AHEAD == 120
    assert match(QUOTED, 5_000, [bare], NOBODYS).finding is finding


@pytest.mark.parametrize(
    ("of", "says", "finding"),
    [
        (PLAIN, credit_description(PLAIN), MatchOutcome.ALTERED),  # whatever its price was when it was written
        (PLAIN, credit_description(PLAIN).upper(), MatchOutcome.ALTERED),
        (PLAIN, credit_description(MOVED), MatchOutcome.ABSENT),
        (QUOTED, credit_description(QUOTED), MatchOutcome.ABSENT),  # quoted cents never change
    ],
)
def test_a_plain_payments_credit_is_known_by_its_description(of: Payment, says: str, finding: MatchOutcome) -> None:
    assert match(of, 5_400, [entry(cents=5_399, description=says)], NOBODYS).finding is finding
