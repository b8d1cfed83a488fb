"""Parsing of CONFIRMATIONS, the tier a payment must reach, and its depth."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.payment import Payment
from stateless_billing.domain.finality import (
    FINALIZED,
    ConfirmationTier,
    Depth,
    UnfinalizedSums,
    is_final,
    measure_depth,
    most_early_cents,
    parse_tiers,
    tier_for,
)
from tests.fakes.factories import BLOCK_SECONDS, CUSTOMER, OTHER_GATEWAY, block, heads, payment, tx_hash

SHALLOW, SAFE = ConfirmationTier(10_000, 15, None), ConfirmationTier(100_000, None, "safe")
DEFAULT_TIERS = (SHALLOW, SAFE, FINALIZED)
NO_CAP = 10**12


def test_the_default_tiers() -> None:
    assert parse_tiers("10000:15s,100000:safe,finalized") == DEFAULT_TIERS


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
def test_malformed_tiers_are_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="tier"):
        parse_tiers(text)


@given(st.text(alphabet="0123456789:s,afeinlzd -", max_size=30))
def test_accepted_tiers_cover_every_amount(text: str) -> None:
    try:
        tiers = parse_tiers(text)
    except ValueError:
        return
    assert tier_for(payment(cents=10**16), UnfinalizedSums([], NO_CAP), tiers, 10**17) == tiers[-1]
    limits = [tier.cents for tier in tiers[:-1]]
    assert all(limit is not None for limit in limits)
    for tier in tiers[:-1]:
        assert tier.cents is not None
        assert (
            tier.cents == 0 or tier_for(payment(cents=tier.cents), UnfinalizedSums([], NO_CAP), tiers, 10**17) == tier
        )


@pytest.mark.parametrize(
    ("tiers", "at_most", "most"),
    [
        ("10000:15s,100000:safe,finalized", 200_000, 100_000),
        ("10000:15s,100000:safe,finalized", 50_000, 50_000),
        ("10000:15s,safe", 200_000, 200_000),
        ("finalized", 200_000, 0),
    ],
)
def test_the_most_that_is_credited_before_it_is_final(tiers: str, at_most: int, most: int) -> None:
    assert most_early_cents(parse_tiers(tiers), at_most) == most


def other(number: int, cents: int, **changes: object) -> Payment:
    """Create another unfinalized payment of the customer, by default earlier in the same block."""
    return payment(**{"tx_hash": tx_hash(number), "sequence": number, "cents": cents, "log_index": 1, **changes})


@pytest.mark.parametrize(
    ("cents", "others", "at_most", "tier"),
    [
        (10_000, [], NO_CAP, SHALLOW),
        (10_001, [], NO_CAP, SAFE),
        (100_000, [], NO_CAP, SAFE),
        (100_001, [], NO_CAP, FINALIZED),
        # the customer's earlier unfinalized payments count
        (6_000, [other(2, 4_000)], NO_CAP, SHALLOW),
        (6_000, [other(2, 4_001)], NO_CAP, SAFE),
        (6_000, [other(2, 4_001, block=99, log_index=9)], NO_CAP, SAFE),
        (6_000, [other(2, 4_001, gateway=OTHER_GATEWAY)], NO_CAP, SAFE),
        (1, [other(2, 50_000), other(3, 50_000)], NO_CAP, FINALIZED),
        # later ones, other customers' and the payment itself do not
        (6_000, [other(2, 90_000, log_index=9)], NO_CAP, SHALLOW),
        (6_000, [other(2, 90_000, block=101)], NO_CAP, SHALLOW),
        (6_000, [other(2, 90_000, customer_id="cus_Bob")], NO_CAP, SHALLOW),
        (6_000, [payment(cents=6_000)], NO_CAP, SHALLOW),
        # the cap over all customers
        (6_000, [other(2, 4_000, customer_id="cus_Bob")], 10_000, SHALLOW),
        (6_000, [other(2, 4_001, customer_id="cus_Bob")], 10_000, FINALIZED),
        (6_000, [other(2, 4_001, customer_id=None)], 10_000, FINALIZED),
        (6_000, [other(2, 4_001, customer_id="cus_Bob", log_index=9)], 10_000, SHALLOW),
        # which leaves out what waits for finality whatever else is paid, but for its own customer
        (6_000, [other(2, 100_001, customer_id="cus_Bob")], 106_000, SHALLOW),
        (6_000, [other(2, 100_000, customer_id="cus_Bob")], 106_000, SHALLOW),
        (6_000, [other(2, 100_000, customer_id="cus_Bob")], 105_999, FINALIZED),
        (6_000, [other(2, 100_001)], NO_CAP, FINALIZED),
        # nor does one customer take more than can be credited to it before finality
        (6_000, [other(n, 9_999, customer_id="cus_Bob") for n in range(2, 30)], 106_000, SHALLOW),
        (6_001, [other(n, 9_999, customer_id="cus_Bob") for n in range(2, 30)], 106_000, FINALIZED),
        (6_000, [other(n, 60_000, customer_id=f"cus_{n % 2}") for n in range(2, 9)], 206_000, SHALLOW),
        (6_001, [other(n, 60_000, customer_id=f"cus_{n % 2}") for n in range(2, 9)], 206_000, FINALIZED),
        (1, [], 0, FINALIZED),
        # a plain payment waits for finality, however small
        (0, [], NO_CAP, FINALIZED),
    ],
)
def test_tier_for(cents: int, others: list[Payment], at_most: int, tier: ConfirmationTier) -> None:
    sums = UnfinalizedSums(others, most_early_cents(DEFAULT_TIERS, at_most))
    assert tier_for(payment(cents=cents), sums, DEFAULT_TIERS, at_most) == tier


@settings(max_examples=300)
@given(st.data())
def test_what_is_credited_early_never_exceeds_the_limit(data: st.DataObject) -> None:
    """However payments, their attempts and the chain's finality follow each other."""
    most = data.draw(st.sampled_from([9_000, 100_000, 200_000]))
    amounts = st.sampled_from([1, 4_000, 9_000, 60_000, 100_000, 150_000])
    shape = st.tuples(st.integers(1, 6), st.sampled_from(["cus_A", "cus_B", "cus_C", "cus_D"]), amounts)
    shapes = data.draw(st.lists(shape, max_size=14))
    payments = [
        payment(tx_hash=tx_hash(n), sequence=n, block=height, log_index=n, customer_id=customer, cents=cents)
        for n, (height, customer, cents) in enumerate(shapes)
    ]
    credited: set[Payment] = set()
    for finalized in range(7):
        unfinalized = [each for each in payments if each.block > finalized]
        sums = UnfinalizedSums(unfinalized, most_early_cents(DEFAULT_TIERS, most))
        for each in data.draw(st.permutations(unfinalized)):
            if data.draw(st.booleans()) and tier_for(each, sums, DEFAULT_TIERS, most) != FINALIZED:
                credited.add(each)
        assert sum(each.cents for each in credited if each.block > finalized) <= most


TIME = block(100).time


@pytest.mark.parametrize(
    ("tier", "latest", "safe", "finalized", "expected"),
    [
        (SHALLOW, 100, 50, 10, Depth(reached=False, confirmed=0, needed=15)),
        (SHALLOW, 107, 50, 10, Depth(reached=False, confirmed=14, needed=15)),
        (SHALLOW, 108, 50, 10, Depth(reached=True, confirmed=15, needed=15)),
        (SHALLOW, 99, 50, 10, Depth(reached=False, confirmed=0, needed=15)),  # the node lags
        (SHALLOW, 100, 100, 100, Depth(reached=True)),
        (SAFE, 900, 99, 10, Depth(reached=False)),
        (SAFE, 900, 100, 10, Depth(reached=True)),
        (FINALIZED, 900, 800, 99, Depth(reached=False)),
        (FINALIZED, 900, 800, 100, Depth(reached=True)),
    ],
)
def test_measure_depth(tier: ConfirmationTier, latest: int, safe: int, finalized: int, expected: Depth) -> None:
    assert measure_depth(payment(), tier, heads(latest, safe, finalized), TIME + 60) == expected


def test_a_block_ahead_of_the_clock_is_not_accepted() -> None:
    final = heads(500, 500, 500)
    assert measure_depth(payment(), FINALIZED, final, TIME - 120).reached
    assert not measure_depth(payment(), FINALIZED, final, TIME - 121).reached


@given(st.integers(0, 400), st.integers(0, 400))
def test_final_means_at_or_below_the_finalized_block(number: int, finalized: int) -> None:
    assert is_final(payment(block=number), heads(1000, 1000, finalized)) == (number <= finalized)


def test_seconds_are_counted_between_blocks() -> None:
    late = measure_depth(payment(), SHALLOW, heads(101, 50, 10), TIME + 100_000)
    assert late == Depth(reached=False, confirmed=BLOCK_SECONDS, needed=15)


class TestBoundaries:
    """Tiers, sums and depths at the exact limit."""

    @pytest.mark.parametrize(("latest", "reached"), [(107, False), (108, True), (109, True)])
    def test_exactly_the_required_seconds_are_enough(self, latest: int, reached: bool) -> None:
        depth = measure_depth(payment(), ConfirmationTier(None, 16, None), heads(latest, 50, 10), TIME + 60)
        assert depth == Depth(reached=reached, confirmed=min(16, 2 * (latest - 100)), needed=16)

    def test_a_block_ahead_of_the_clock_reports_no_seconds(self) -> None:
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
    def test_an_error_says_what_is_wrong(self, text: str, sentence: str) -> None:
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
    def test_smallest_and_largest_tiers(self, text: str, tier: ConfirmationTier) -> None:
        assert parse_tiers(text)[0] == tier

    @pytest.mark.parametrize(
        "text", ["1000000000000000:15s,safe", "100000s", ":15s,safe", "1:s,safe", "1:,safe", "115s:,safe"]
    )
    def test_tiers_beyond_the_limits_are_rejected(self, text: str) -> None:
        with pytest.raises(ValueError, match="a tier is like"):
            parse_tiers(text)

    def test_zero_and_one_cent_are_rising_limits(self) -> None:
        assert [tier.cents for tier in parse_tiers("0:1s,1:2s,safe")] == [0, 1, None]

    def test_the_cap_is_exact_over_all_customers(self) -> None:
        tiers = parse_tiers("1000:1s,5000:safe,finalized")
        before: list[Payment] = [
            payment(cents=1_000, tx_hash=tx_hash(2), sequence=9, log_index=1, customer_id="cus_Bob"),
            payment(cents=1_000, tx_hash=tx_hash(3), sequence=9, log_index=2),
        ]
        own = payment(cents=500)
        assert (
            tier_for(own, UnfinalizedSums(before, NO_CAP), tiers, 2_500) == tiers[1]
        )  # 1,500 of this customer, 2,500 in all
        assert tier_for(own, UnfinalizedSums(before, NO_CAP), tiers, 2_499) == FINALIZED
        assert tier_for(own, UnfinalizedSums([*before, own], NO_CAP), tiers, 2_500) == tiers[1]

    def test_payments_of_one_transaction_add_up(self) -> None:
        first, second = payment(cents=6_000), payment(cents=6_000, ordinal=1, sequence=1, log_index=9)
        assert tier_for(first, UnfinalizedSums([first, second], NO_CAP), DEFAULT_TIERS, NO_CAP) == DEFAULT_TIERS[0]
        assert tier_for(second, UnfinalizedSums([first, second], NO_CAP), DEFAULT_TIERS, NO_CAP) == DEFAULT_TIERS[1]

    def test_a_customer_has_its_own_payments_in_the_order_of_the_chain(self) -> None:
        late, early, plain = payment(block=103), payment(block=101), payment(block=102, cents=0)
        sums = UnfinalizedSums([late, payment(block=102, customer_id="cus_Bob"), early, plain], NO_CAP)
        assert sums.of_customer(CUSTOMER) == [early, plain, late]
        assert not sums.of_customer("cus_Nobody")

    def test_a_payment_also_seen_in_an_earlier_block_counts_once(self) -> None:
        before, now = payment(cents=6_000, block=99), payment(cents=6_000)
        assert tier_for(now, UnfinalizedSums([before, now], NO_CAP), DEFAULT_TIERS, NO_CAP) == DEFAULT_TIERS[0]
