"""Identities, cursors, and the edges of matching."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chain.payment import Payment
from stateless_billing.domain.ledger import (
    BLOCK_LEAD_SECONDS,
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


def test_kinds_and_currency() -> None:
    assert set(KINDS) == {"payment", "grant", "reversal", "reservation", "order"}
    assert CURRENCY == "usd"
    assert entry(metadata={"kind": "grant"}).kind == "grant"
    assert entry(metadata={}).kind is None


def test_a_quoted_price_has_no_rate_and_no_discount() -> None:
    assert Price(5_000) == Price(5_000, None, 0)


@given(st.integers(0, 10**20), st.integers(0, 2**160 - 1), st.integers(0, 2**256 - 1), st.integers(0, 10**6))
def test_every_payments_identity_is_accepted(chain_id: int, gateway: int, tx: int, ordinal: int) -> None:
    identity = payment(chain_id=chain_id, gateway=f"0x{gateway:040x}", tx_hash=f"0x{tx:064x}", ordinal=ordinal).identity
    assert is_identity(identity)


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
def test_malformed_identities_are_rejected(text: str) -> None:
    assert not is_identity(text)


@given(st.text(max_size=120))
def test_is_identity_takes_any_text(text: str) -> None:
    assert is_identity(text) is False or text.count(":") == 3


@pytest.mark.parametrize("number", ["1", "10", "9", "1000000000000000000", "9999999999999999999"])
def test_smallest_and_largest_cursors(number: str) -> None:
    cursor = parse_cursor(f"{number}:{TX}")
    assert cursor is not None
    assert (cursor.next, cursor.before) == (int(number), TX)


@pytest.mark.parametrize("text", [f"0:{TX}", f"00:{TX}", f"10000000000000000000:{TX}", f"1:{TX}f", f"1:{TX[:-1]}"])
def test_cursors_beyond_the_limits_are_rejected(text: str) -> None:
    assert parse_cursor(text) is None


OTHER_CREDITS = re.compile("^Top-up via pi_")
QUOTED = payment()
PLAIN = payment(cents=0)


def ours(of: Payment, **metadata: str) -> Entry:
    """Create our credit of a payment, with more metadata."""
    return entry(id="cbtxn_ours", cents=5_000, metadata=credit_metadata(of, Price(5_000)) | metadata)


def test_a_credit_names_its_order() -> None:
    plain, ordered = (credit_metadata(QUOTED, Price(5_000, order=order)) for order in (None, "cbtxn_order"))
    assert ordered == plain | {"order": "cbtxn_order"}
    assert "order" not in plain


MOVED = replace(QUOTED, tx_hash=tx_hash(9))  # the same payment before a reorg


@pytest.mark.parametrize(
    ("redirected", "credit", "outcome"),
    [
        (False, ours(MOVED), MatchOutcome.CREDITED),
        (False, ours(MOVED, amount="1"), MatchOutcome.OTHER_FACTS),
        # another customer's sequences number that customer's payments
        (True, ours(MOVED), MatchOutcome.ABSENT),
        (True, ours(MOVED, amount="1"), MatchOutcome.ABSENT),
        (True, ours(QUOTED), MatchOutcome.CREDITED),
        # a credit under an order is of a final payment, so not of another with its sequence
        (False, ours(MOVED, order="cbtxn_order"), MatchOutcome.ABSENT),
        (False, ours(MOVED, order="cbtxn_order", amount="1"), MatchOutcome.ABSENT),
        (False, ours(QUOTED, order="cbtxn_order"), MatchOutcome.CREDITED),
    ],
)
def test_sequences_count_only_on_the_events_customer(redirected: bool, credit: Entry, outcome: MatchOutcome) -> None:
    assert match(QUOTED, None, [credit], OTHER_CREDITS, redirected=redirected).outcome is outcome


@pytest.mark.parametrize(("early", "outcome"), [(3_600, MatchOutcome.CREDITED), (3_601, MatchOutcome.ABSENT)])
def test_an_older_credit_of_the_sequence_is_of_a_removed_payment(early: int, outcome: MatchOutcome) -> None:
    """Only a listing for several payments contains it (simulation seed 807)."""
    orphan = replace(ours(MOVED), created=QUOTED.time - early)
    assert match(QUOTED, None, [orphan], OTHER_CREDITS).outcome is outcome
    assert match(MOVED, None, [orphan], OTHER_CREDITS).outcome is MatchOutcome.CREDITED


@pytest.mark.parametrize(("early", "outcome"), [(120, MatchOutcome.ALTERED), (121, MatchOutcome.ABSENT)])
def test_a_block_may_be_two_minutes_ahead_of_stripes_clock(early: int, outcome: MatchOutcome) -> None:
    bare = entry(cents=5_000, created=QUOTED.time - early, description="")
    assert BLOCK_LEAD_SECONDS == 120
    assert match(QUOTED, 5_000, [bare], OTHER_CREDITS).outcome is outcome


@pytest.mark.parametrize(
    ("early", "description", "outcome"),
    [
        (3_600, credit_description(MOVED), MatchOutcome.ALTERED),
        (3_600, f" {credit_description(MOVED).upper()} ", MatchOutcome.ALTERED),
        (3_601, credit_description(MOVED), MatchOutcome.ABSENT),
        (3_600, f"see {credit_description(MOVED)}", MatchOutcome.ABSENT),
        (3_600, "LITKEY payment", MatchOutcome.ABSENT),
    ],
)
def test_a_stripped_credit_described_as_ours_counts_as_long_as_a_renamed_one(
    early: int, description: str, outcome: MatchOutcome
) -> None:
    """A reorg dropped its payment, the same was paid again, and the credit lost its metadata (simulation seed 6417)."""
    stripped = entry(cents=5_000, created=QUOTED.time - early, description=description)
    assert match(QUOTED, 5_000, [stripped], OTHER_CREDITS).outcome is outcome
    assert match(QUOTED, 5_001, [stripped], OTHER_CREDITS).outcome is MatchOutcome.ABSENT


@pytest.mark.parametrize(
    ("of", "description", "outcome"),
    [
        (PLAIN, credit_description(PLAIN), MatchOutcome.ALTERED),  # at any price
        (PLAIN, credit_description(PLAIN).upper(), MatchOutcome.ALTERED),
        (PLAIN, credit_description(MOVED), MatchOutcome.ABSENT),
        (QUOTED, credit_description(QUOTED), MatchOutcome.ABSENT),  # quoted cents never change
    ],
)
def test_a_plain_payments_credit_is_identified_by_its_description(
    of: Payment, description: str, outcome: MatchOutcome
) -> None:
    assert match(of, 5_400, [entry(cents=5_399, description=description)], OTHER_CREDITS).outcome is outcome
