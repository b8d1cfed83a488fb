"""Depth: what CONFIRMATIONS may say, which tier a payment must reach, and whether it has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.payment import Payment
from stateless_billing.domain.finality import (
    FINALIZED,
    ConfirmationTier,
    Depth,
    is_final,
    measure_depth,
    parse_tiers,
    tier_for,
)
from tests.fakes.factories import BLOCK_SECONDS, OTHER_GATEWAY, block, heads, payment, tx_hash

SHALLOW, SAFE = ConfirmationTier(10_000, 15, None), ConfirmationTier(100_000, None, "safe")
USUAL = (SHALLOW, SAFE, FINALIZED)
PLENTY = 10**12


def test_the_usual_tiers() -> None:
    assert parse_tiers("10000:15s,100000:safe,finalized") == USUAL


@pytest.mark.parametrize(
    ("text", "tiers"),
    [
        ("finalized", (FINALIZED,)),
        ("0s", (ConfirmationTier(None, 0, None),)),
        (" 0:2s , safe ", (ConfirmationTier(0, 2, None), ConfirmationTier(None, None, "safe"))),
    ],
)
def test_other_tiers(text: str, tiers: tuple[ConfirmationTier, ...]) -> None:
    assert parse_tiers(text) == tiers


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "latest",
        "15",
        "s",
        "10000:15s",  # the last has a limit
        "15s,finalized",  # the first has none
        "200:15s,100:safe,finalized",  # falling
        "100:15s,100:safe,finalized",  # level
        "100:15s,,finalized",
        "-1:15s,finalized",
        "1e3:15s,finalized",
        "100:-15s,finalized",
        "100:1.5s,finalized",
        "\u0661\u0660:15s,finalized",
        "100:15s,finalized,",
        "100:finalized:15s,safe",
        "100:SAFE,finalized",
        "9999999999999999:15s,finalized",
    ],
)
def test_what_is_no_list_of_tiers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="tier"):
        parse_tiers(text)


@given(st.text(alphabet="0123456789:s,afeinlzd -", max_size=30))
def test_every_list_that_is_accepted_can_judge_every_amount(text: str) -> None:
    try:
        tiers = parse_tiers(text)
    except ValueError:
        return
    assert tier_for(payment(cents=10**16), [], tiers, 10**17) == tiers[-1]
    limits = [tier.cents for tier in tiers[:-1]]
    assert all(limit is not None for limit in limits)
    for tier in tiers[:-1]:
        assert tier.cents is not None
        assert tier.cents == 0 or tier_for(payment(cents=tier.cents), [], tiers, 10**17) == tier


def other(number: int, cents: int, **changes: object) -> Payment:
    """Another unfinalised payment of the same customer, earlier in the same block unless said otherwise."""
    return payment(**{"tx_hash": tx_hash(number), "sequence": number, "cents": cents, "log_index": 1, **changes})


@pytest.mark.parametrize(
    ("cents", "others", "at_most", "tier"),
    [
        (10_000, [], PLENTY, SHALLOW),
        (10_001, [], PLENTY, SAFE),
        (100_000, [], PLENTY, SAFE),
        (100_001, [], PLENTY, FINALIZED),
        # all of a customer's earlier unfinalised payments count
        (6_000, [other(2, 4_000)], PLENTY, SHALLOW),
        (6_000, [other(2, 4_001)], PLENTY, SAFE),
        (6_000, [other(2, 4_001, block=99, log_index=9)], PLENTY, SAFE),
        (6_000, [other(2, 4_001, gateway=OTHER_GATEWAY)], PLENTY, SAFE),
        (1, [other(2, 50_000), other(3, 50_000)], PLENTY, FINALIZED),
        # but not later ones, other customers' or itself
        (6_000, [other(2, 90_000, log_index=9)], PLENTY, SHALLOW),
        (6_000, [other(2, 90_000, block=101)], PLENTY, SHALLOW),
        (6_000, [other(2, 90_000, customer_id="cus_Bob")], PLENTY, SHALLOW),
        (6_000, [payment(cents=6_000)], PLENTY, SHALLOW),
        # and never more than so much over all customers
        (6_000, [other(2, 4_000, customer_id="cus_Bob")], 10_000, SHALLOW),
        (6_000, [other(2, 4_001, customer_id="cus_Bob")], 10_000, FINALIZED),
        (6_000, [other(2, 4_001, customer_id=None)], 10_000, FINALIZED),
        (6_000, [other(2, 4_001, customer_id="cus_Bob", log_index=9)], 10_000, SHALLOW),
        (1, [], 0, FINALIZED),
        # a plain one waits for finality, however small
        (0, [], PLENTY, FINALIZED),
    ],
)
def test_which_tier(cents: int, others: list[Payment], at_most: int, tier: ConfirmationTier) -> None:
    assert tier_for(payment(cents=cents), others, USUAL, at_most) == tier


TIME = block(100).time


@pytest.mark.parametrize(
    ("tier", "latest", "safe", "finalized", "expected"),
    [
        (SHALLOW, 100, 50, 10, Depth(reached=False, confirmed=0, needed=15)),
        (SHALLOW, 107, 50, 10, Depth(reached=False, confirmed=14, needed=15)),
        (SHALLOW, 108, 50, 10, Depth(reached=True, confirmed=15, needed=15)),
        (SHALLOW, 99, 50, 10, Depth(reached=False, confirmed=0, needed=15)),  # a node that lags
        (SHALLOW, 100, 100, 100, Depth(reached=True)),
        (SAFE, 900, 99, 10, Depth(reached=False)),
        (SAFE, 900, 100, 10, Depth(reached=True)),
        (FINALIZED, 900, 800, 99, Depth(reached=False)),
        (FINALIZED, 900, 800, 100, Depth(reached=True)),
    ],
)
def test_how_deep(tier: ConfirmationTier, latest: int, safe: int, finalized: int, expected: Depth) -> None:
    assert measure_depth(payment(), tier, heads(latest, safe, finalized), TIME + 60) == expected


def test_a_block_that_is_ahead_of_the_clock_is_not_believed() -> None:
    final = heads(500, 500, 500)
    assert measure_depth(payment(), FINALIZED, final, TIME - 120).reached
    assert not measure_depth(payment(), FINALIZED, final, TIME - 121).reached


@given(st.integers(0, 400), st.integers(0, 400))
def test_final_means_at_or_below_the_finalized_block(number: int, finalized: int) -> None:
    assert is_final(payment(block=number), heads(1000, 1000, finalized)) == (number <= finalized)


def test_seconds_are_counted_by_the_chain_and_not_by_the_clock() -> None:
    late = measure_depth(payment(), SHALLOW, heads(101, 50, 10), TIME + 100_000)
    assert late == Depth(reached=False, confirmed=BLOCK_SECONDS, needed=15)
