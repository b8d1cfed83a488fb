"""The daily limit counts a customer's payments of 24 hours across all gateways, from the chain alone."""

import asyncio
from fractions import Fraction
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from chain.errors import ChainError
from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.daily_limit import DAY, DailyLimit, Remaining
from stateless_billing.domain.finality import parse_tiers
from stateless_billing.domain.payment_history import totals_of
from stateless_billing.pricing.price_feed import PriceFeed
from tests.chain.fake_node import FakeNode, FakeNodes
from tests.fakes.factories import (
    BLOCK_SECONDS,
    CHAIN_ID,
    CUSTOMER,
    GATEWAY,
    OTHER_GATEWAY,
    START,
    FakeClock,
    payment,
    tx_hash,
)

pytestmark = pytest.mark.anyio
DAY_BLOCKS = DAY // BLOCK_SECONDS
NOW_BLOCK = 100_000
SMALLEST = 500  # cents of the smallest payment


def feed(clock: FakeClock, price: str) -> PriceFeed:
    """A price feed that returns one price."""

    def respond(_: httpx.Request) -> httpx.Response:
        now = int(clock.wall())
        points = ", ".join(f"[{now - back}000, {price}]" for back in (900, 600, 300))
        return httpx.Response(200, text=f'{{"prices": [{points}]}}')

    return PriceFeed(
        http=httpx.AsyncClient(transport=httpx.MockTransport(respond)),
        base="https://x.example",
        coin="coin",
        api_key=None,
        clock=clock,
    )


def limit(
    payments: list[Payment],
    maximum: int,
    price: str = "null",
    finalized: int = NOW_BLOCK + 5,
    clock: FakeClock | None = None,
) -> tuple[DailyLimit, FakeNode]:
    """The limit over both gateways, and the node behind it."""
    node = FakeNode(payments, latest=NOW_BLOCK + 10, finalized=finalized)
    clock = clock or FakeClock(wall_time=float(START + NOW_BLOCK * BLOCK_SECONDS))
    gateways = [Gateway(node, CHAIN_ID, address) for address in (GATEWAY, OTHER_GATEWAY)]
    confirmations = Confirmations(
        nodes=FakeNodes(node), gateways=gateways, tiers=parse_tiers("finalized"), max_unfinalized_cents=0, clock=clock
    )
    daily = DailyLimit(
        gateways=gateways,
        finality=confirmations,
        maximum_cents=maximum,
        rates=feed(clock, price),
        discount_bps=0,
    )
    return daily, node


def paid(sequence: int, block: int, **changes: object) -> Payment:
    """A payment of $50, quoted by default."""
    return payment(**{"sequence": sequence, "block": block, "tx_hash": tx_hash(sequence), **changes})


THIS = NOW_BLOCK


@pytest.mark.parametrize(
    ("earlier", "maximum", "exceeded"),
    [
        ([], 5_000, False),
        ([], 4_999, True),
        ([paid(0, THIS - 5)], 10_000, False),
        ([paid(0, THIS - 5)], 9_999, True),
        ([paid(0, THIS - DAY_BLOCKS + 1)], 9_999, True),
        ([paid(0, THIS - DAY_BLOCKS)], 9_999, False),  # 24 hours ago
        ([paid(0, THIS, log_index=1)], 9_999, True),  # in the same block, before it
        ([paid(0, THIS - 5, gateway=OTHER_GATEWAY)], 9_999, True),
        ([paid(0, THIS - 5, customer_id="cus_Bob")], 9_999, False),
        ([paid(0, THIS - 5, cents=0)], 9_999, True),  # plain: at this payment's own rate
        ([paid(0, THIS - 5, cents=0)], 10_000, False),
        ([paid(0, THIS - 5, cents=0, amount=1)], 5_000, True),  # rounded up
    ],
)
async def test_whether_a_payment_takes_its_customer_above_the_limit(
    earlier: list[Payment], maximum: int, exceeded: bool
) -> None:
    mine = sum(other.customer_id == CUSTOMER and other.gateway == GATEWAY for other in earlier)
    this = paid(mine, THIS)
    later = [paid(mine + 1, THIS, log_index=9), paid(mine + 2, THIS + 1)]  # they do not count
    daily, _ = limit([*earlier, this, *later], maximum)
    assert await daily.is_exceeded(this, CUSTOMER, 5_000) is exceeded


async def test_a_payment_above_the_limit_by_itself_needs_no_reading() -> None:
    daily, node = limit([], 4_999)
    assert await daily.is_exceeded(paid(0, THIS), CUSTOMER, 5_000)
    assert node.asked == []


async def test_many_small_payments_count_together_through_all_windows() -> None:
    many = [paid(number, THIS - 100 + number, cents=100) for number in range(50)]
    this = paid(50, THIS)
    assert await limit([*many, this], 9_999)[0].is_exceeded(this, CUSTOMER, 5_000)
    assert not await limit([*many, this], 10_000)[0].is_exceeded(this, CUSTOMER, 5_000)


async def test_old_history_is_not_read() -> None:
    old = [paid(number, 100 + number) for number in range(200)]
    this = paid(200, THIS)
    daily, node = limit([*old, this], 10_000)
    assert not await daily.is_exceeded(this, CUSTOMER, 5_000)
    assert node.asked.count("eth_getLogs") <= 16


async def test_the_payments_own_gateway_is_read_backward_from_it() -> None:
    earlier = [paid(number, THIS - 100 + number, cents=100) for number in range(20)]
    this = paid(20, THIS)
    later = [paid(21 + number, THIS + 1 + number) for number in range(200)]
    other = [paid(number, THIS - 50 + number, cents=100, gateway=OTHER_GATEWAY) for number in range(3)]
    daily, node = limit([*earlier, this, *later, *other], 10**6)
    assert not await daily.is_exceeded(this, CUSTOMER, 5_000)
    assert node.asked.count("eth_getLogs") == len(earlier) + len(other)
    assert (GATEWAY, "paymentCount") not in node.viewed
    assert (OTHER_GATEWAY, "paymentCount") in node.viewed


async def remaining(daily: DailyLimit) -> int | None:
    """Return the cents that may still be paid now."""
    told = await daily.remaining(CUSTOMER, START + THIS * BLOCK_SECONDS, SMALLEST)
    return told.cents if told else None


async def test_an_unreadable_history_raises() -> None:
    this = paid(1, THIS)
    daily, node = limit([paid(0, THIS - 5), this], 10**9)
    node.lies["eth_getLogs"] = lambda _: []
    with pytest.raises(ChainError):
        await daily.is_exceeded(this, CUSTOMER, 5_000)
    with pytest.raises(ChainError):
        await remaining(daily)


@pytest.mark.parametrize(
    ("payments", "price", "expected"),
    [
        ([], "null", 20_000),
        ([paid(0, THIS - 5)], "null", 15_000),
        ([paid(0, THIS - 5), paid(0, THIS - 5, gateway=OTHER_GATEWAY)], "null", 10_000),
        ([paid(0, THIS - DAY_BLOCKS)], "null", 20_000),
        ([paid(0, THIS - 5, cents=0)], "0.01", 11_000),  # 9,000 tokens of a cent
        ([paid(0, THIS - 5, cents=0)], "null", 20_000),  # no price today
        ([paid(0, THIS - 5, cents=0)], "1", 0),  # never negative
    ],
)
async def test_remaining_cents(payments: list[Payment], price: str, expected: int) -> None:
    daily, _ = limit(payments, 20_000, price)
    assert await remaining(daily) == expected


HOUR_BLOCKS = 3_600 // BLOCK_SECONDS


def hours_ago(sequence: int, hours: int, cents: int, **changes: Any) -> Payment:
    """Create a payment of some hours ago."""
    return paid(sequence, THIS - hours * HOUR_BLOCKS, cents=cents, **changes)


@pytest.mark.parametrize(
    ("payments", "cents", "hours"),
    [
        ([], 20_000, None),
        ([hours_ago(0, 25, 5_000)], 20_000, None),
        ([hours_ago(0, 24, 5_000)], 20_000, None),
        ([hours_ago(0, 23, 5_000)], 15_000, 1),
        ([hours_ago(0, 23, 5_000), hours_ago(1, 3, 5_000)], 10_000, 1),
        ([hours_ago(0, 3, 5_000), hours_ago(0, 23, 5_000, gateway=OTHER_GATEWAY)], 10_000, 1),
        ([hours_ago(0, 23, 20_000)], 0, 1),
        ([hours_ago(0, 23, 5_000), hours_ago(1, 20, 20_000), hours_ago(2, 3, 1)], 0, 4),  # released above the limit
        ([hours_ago(0, 23, 499), hours_ago(1, 20, 1), hours_ago(2, 3, 19_500)], 0, 4),  # less could not be paid
        ([hours_ago(0, 23, 1), hours_ago(1, 20, 1), hours_ago(2, 3, 19_000)], 998, 1),
        ([hours_ago(0, 23, 0)], 20_000, None),  # plain, and no price today
    ],
)
@pytest.mark.parametrize("finalized", [NOW_BLOCK + 5, 100, THIS - 10 * HOUR_BLOCKS], ids=["final", "none", "some"])
async def test_when_more_may_be_paid(payments: list[Payment], cents: int, hours: int | None, finalized: int) -> None:
    daily, _ = limit(payments, 20_000, finalized=finalized)
    now = START + THIS * BLOCK_SECONDS
    told = await daily.remaining(CUSTOMER, now, SMALLEST)
    assert told == Remaining(cents, None if hours is None else now + hours * 3_600)
    if told.resets_at:
        before, then = [await daily.remaining(CUSTOMER, told.resets_at + late, SMALLEST) for late in (-1, 0)]
        assert before
        assert then
        assert max(before.cents, SMALLEST - 1) < then.cents


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**24))), st.integers(1, 10**6), st.integers(1, 10**24)
)
def test_value_is_exact_and_rounded_up(values: list[tuple[int, int]], cents: int, amount: int) -> None:
    payments = [structs.replace(payment(), cents=quoted, amount=tokens) for quoted, tokens in values]
    rate = Fraction(cents, amount)
    exact = sum((Fraction(entry.cents) if entry.quoted else entry.amount * rate for entry in payments), Fraction())
    assert exact <= totals_of(payments).cents(rate) < exact + 1


async def cost(daily: DailyLimit, node: FakeNode, subject: Payment) -> int:
    """The node calls that judging one payment takes."""
    before = len(node.asked)
    await daily.is_exceeded(subject, CUSTOMER, subject.cents)
    return len(node.asked) - before


@pytest.mark.parametrize("finalized", [NOW_BLOCK + 5, 100], ids=["final", "unfinalized"])
async def test_the_cost_of_a_payment_does_not_grow_with_the_number_before_it(finalized: int) -> None:
    many = [paid(number, THIS - 2_000 + number, cents=100) for number in range(300)]
    daily, node = limit(many, 10**6, finalized=finalized)
    costs = [await cost(daily, node, subject) for subject in many]
    assert max(costs[1:]) <= 2 * max(costs[10], 5)


async def test_many_payments_in_one_transaction_are_judged_at_a_constant_cost_each() -> None:
    many = [paid(number, THIS, cents=100, log_index=number) for number in range(100)]
    daily, node = limit(many, 10**6)
    costs = [await cost(daily, node, subject) for subject in many]
    assert costs[-1] <= 2 * costs[10]


async def test_payments_that_are_credited_before_they_are_final_share_one_reading_for_seconds() -> None:
    many = [paid(number, THIS - 100 + number, cents=100) for number in range(100)]
    clock = FakeClock(wall_time=float(START + NOW_BLOCK * BLOCK_SECONDS))
    daily, node = limit(many, 10_000, finalized=THIS - 200, clock=clock)
    assert not await daily.is_exceeded(many[98], CUSTOMER, 100)
    node.viewed.clear()
    clock.wait(5)
    assert not await daily.is_exceeded(many[99], CUSTOMER, 100)
    assert await daily.is_exceeded(many[99], CUSTOMER, 101)
    assert "totalPayments" not in {function for _, function in node.viewed}
    clock.wait(2)
    assert not await daily.is_exceeded(many[99], CUSTOMER, 100)
    assert "totalPayments" in {function for _, function in node.viewed}


@given(
    st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 3), st.booleans()), min_size=1, max_size=40), st.data()
)
async def test_kept_totals_change_no_verdict(steps: list[tuple[int, int, bool]], data: st.DataObject) -> None:
    """Any order of questions, at any finality, gives what a new process would say."""
    made: list[Payment] = []
    number = 100
    for gap, log_index, elsewhere in steps:
        number += gap + 1
        address = OTHER_GATEWAY if elsewhere else GATEWAY
        sequence = sum(other.gateway == address for other in made)
        made.append(
            paid(
                sequence,
                number,
                gateway=address,
                log_index=log_index,
                cents=100 * (log_index % 3),
                tx_hash=tx_hash(number),
            )
        )
    finalized = data.draw(st.integers(100, number + 10))
    warm, node = limit(made, 500)
    node.tags = {"latest": number + 20, "safe": number + 20, "finalized": finalized}
    for subject in data.draw(st.lists(st.sampled_from(made), max_size=12)):
        fresh, other = limit(made, 500)
        other.tags = node.tags
        earlier = [
            entry
            for entry in made
            if entry.time > subject.time - DAY and (entry.block, entry.log_index) < (subject.block, subject.log_index)
        ]
        expected = 120 + totals_of(earlier).cents(Fraction(120, subject.amount)) > 500
        assert await warm.is_exceeded(subject, CUSTOMER, 120) == expected
        assert await fresh.is_exceeded(subject, CUSTOMER, 120) == expected


async def test_a_visitors_question_reads_a_bounded_number_of_payments_and_the_next_goes_on() -> None:
    many = [paid(number, THIS - 2_000 + number, cents=100) for number in range(300)]
    daily, node = limit(many, 50_000)
    answers = []
    for _ in range(8):
        before = node.asked.count("eth_getLogs")
        answers.append(await remaining(daily))
        assert node.asked.count("eth_getLogs") - before <= 64
    assert answers[0] is None
    assert answers[-1] == 20_000
    before = len(node.asked)
    await remaining(daily)
    assert len(node.asked) - before <= 4


async def test_many_payments_that_become_final_together_are_counted_without_reading_them_again() -> None:
    many = [paid(number, THIS - 200 + number, cents=100) for number in range(200)]
    clock = FakeClock(wall_time=float(START + NOW_BLOCK * BLOCK_SECONDS))
    daily, node = limit(many, 50_000, finalized=THIS - 210, clock=clock)
    assert await remaining(daily) == 30_000
    before = node.asked.count("eth_getLogs")
    node.tags |= {"latest": THIS + 60, "finalized": THIS}
    clock.wait(120)
    assert await remaining(daily) == 30_000
    assert node.asked.count("eth_getLogs") == before


async def test_a_visitors_question_about_cached_blocks_asks_a_bounded_number_of_times_too() -> None:
    many = [paid(number, THIS - 2_000 + number, cents=1) for number in range(1_990)]
    clock = FakeClock(wall_time=float(START + NOW_BLOCK * BLOCK_SECONDS))
    daily, node = limit(many, 50_000, finalized=THIS - 2_010, clock=clock)
    assert await remaining(daily) == 48_010
    node.tags |= {"latest": THIS + 60, "finalized": THIS}
    clock.wait(120)
    answers: list[int | None] = []
    while not answers or answers[-1] is None:
        before = len(node.asked)
        answers.append(await remaining(daily))
        assert len(node.asked) - before <= 200
    assert answers == [None, 48_010]


async def test_concurrent_questions_count_each_payment_once() -> None:
    many = [paid(number, THIS - 2_000 + number, cents=100) for number in range(50)]
    daily, _ = limit(many, 50_000)
    visitors, _ = limit(many, 50_000)
    visitors.histories = daily.histories
    now = START + THIS * BLOCK_SECONDS
    await asyncio.gather(*(each.remaining(CUSTOMER, now, SMALLEST) for each in (daily, visitors, daily, visitors)))
    assert (await remaining(visitors)) == 45_000
