"""Depth: exactly as many seconds as asked for are enough, and a refusal says what a list of tiers looks like."""

import pytest

from chain.payment import Payment
from stateless_billing.domain.finality import FINALIZED, ConfirmationTier, Depth, measure_depth, parse_tiers, tier_for
from tests.fakes.factories import block, heads, payment, tx_hash

TIME = block(100).time
USUAL, PLENTY = parse_tiers("10000:15s,100000:safe,finalized"), 10**12


@pytest.mark.parametrize(("latest", "reached"), [(107, False), (108, True), (109, True)])
def test_exactly_the_seconds_asked_for_are_enough(latest: int, reached: bool) -> None:
    found = measure_depth(payment(), ConfirmationTier(None, 16, None), heads(latest, 50, 10), TIME + 60)
    assert found == Depth(reached=reached, confirmed=min(16, 2 * (latest - 100)), needed=16)


def test_a_block_ahead_of_the_clock_is_not_reached_and_says_no_more() -> None:
    assert measure_depth(payment(), FINALIZED, heads(500, 500, 500), TIME - 121) == Depth(reached=False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("latest", "a tier is like 10000:15s, 100000:safe or finalized"),
        ("100:safe", "every tier but the last has a limit in cents, the last has none"),
        ("safe,finalized", "every tier but the last has a limit in cents, the last has none"),
        ("2:15s,1:safe,finalized", "the tiers' limits must rise"),
        ("1:15s,1:safe,finalized", "the tiers' limits must rise"),
        ("1:15s,0:safe,finalized", "the tiers' limits must rise"),
    ],
)
def test_a_refusal_says_what_is_wrong(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_tiers(text)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("text", "tier"),
    [
        ("999999999999999:99999s,safe", ConfirmationTier(999_999_999_999_999, 99_999, None)),
        ("0:0s,safe", ConfirmationTier(0, 0, None)),
        ("10:10s,safe", ConfirmationTier(10, 10, None)),
        ("1:finalized,safe", ConfirmationTier(1, None, "finalized")),
        ("1:safe,finalized", ConfirmationTier(1, None, "safe")),
    ],
)
def test_how_large_and_how_small_a_tier_may_be(text: str, tier: ConfirmationTier) -> None:
    assert parse_tiers(text)[0] == tier


@pytest.mark.parametrize(
    "text", ["1000000000000000:15s,safe", "100000s", ":15s,safe", "1:s,safe", "1:,safe", "115s:,safe"]
)
def test_larger_ones_and_empty_ones_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a tier is like"):
        parse_tiers(text)


def test_tiers_of_no_and_of_one_cent_rise() -> None:
    assert [tier.cents for tier in parse_tiers("0:1s,1:2s,safe")] == [0, 1, None]


def test_the_cap_holds_for_all_customers_together_and_to_the_cent() -> None:
    tiers = parse_tiers("1000:1s,5000:safe,finalized")
    before: list[Payment] = [
        payment(cents=1_000, tx_hash=tx_hash(2), sequence=9, log_index=1, customer_id="cus_Bob"),
        payment(cents=1_000, tx_hash=tx_hash(3), sequence=9, log_index=2),
    ]
    own = payment(cents=500)
    assert tier_for(own, before, tiers, 2_500) == tiers[1]  # 1,500 of this customer's, 2,500 of everybody's
    assert tier_for(own, before, tiers, 2_499) == FINALIZED
    assert tier_for(own, [*before, own], tiers, 2_500) == tiers[1]


def test_payments_of_one_evm_transaction_count_together() -> None:
    first, second = payment(cents=6_000), payment(cents=6_000, ordinal=1, sequence=1, log_index=9)
    assert tier_for(first, [first, second], USUAL, PLENTY) == USUAL[0]
    assert tier_for(second, [first, second], USUAL, PLENTY) == USUAL[1]


def test_a_payment_that_was_seen_in_an_earlier_block_too_counts_once() -> None:
    before, now = payment(cents=6_000, block=99), payment(cents=6_000)
    assert tier_for(now, [before, now], USUAL, PLENTY) == USUAL[0]
