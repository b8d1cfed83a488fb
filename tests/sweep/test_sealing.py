"""Sealing: a customer's credits are listed and passed together, half an hour behind the finalized block."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chain.gateway import Window
from chain.payment import Payment
from stateless_billing.bookkeeping.records import OpenPayments
from stateless_billing.crediting.payment_status import PaymentStatus, credited_status
from stateless_billing.crediting.status_cache import StatusCache
from stateless_billing.domain.finality import Heads
from stateless_billing.sandbox.account import Entry
from stateless_billing.sweep.checkpoint import SEAL_SECONDS, GatewayCheckpoint, is_seal_due
from stateless_billing.sweep.customer_tasks import CustomerTasks
from stateless_billing.sweep.reading import Reading, RoundHeads
from tests.chain.fake_node import history
from tests.fakes.factories import BLOCK_SECONDS, GATEWAY, FakeClock, heads, payment, tx_hash
from tests.fakes.in_process_service import CREDITS, FINALITY, LISTS, NOW_BLOCK, UPDATES, Town, sweeping
from tests.fakes.virtual_time import run_virtually

FINAL_SECONDS = FINALITY * BLOCK_SECONDS
TEN = [
    payment(sequence=place, block=NOW_BLOCK + 60 * place, tx_hash=tx_hash(place + 1), cents=500) for place in range(10)
]
CUSTOMER = "cus_Alice1"


def own_calls(town: Town) -> list[str]:
    """The requests about the customer."""
    return [row.endpoint for row in town.stripe.log.rows if CUSTOMER in row.path]


async def pay(town: Town, payments: list[Payment], services: Any) -> None:
    """Let each payment happen at its block, while the service sweeps."""
    for number, made in enumerate(payments):
        town.nodes[0].payments.append(made)
        following = payments[number + 1 : number + 2] or [made]
        await sweeping(services, max(1, following[0].time - made.time), busy=3, idle=15)


def test_what_a_customer_pays_within_half_an_hour_is_sealed_with_one_listing_and_one_cursor() -> None:
    town = Town([])
    town.add(CUSTOMER)

    async def scenario() -> None:
        services = await town.started()
        await pay(town, TEN, services)
        await sweeping(services, 60)
        assert own_calls(town).count(CREDITS) == len(TEN)
        assert not {LISTS, UPDATES} & set(own_calls(town))
        elapsed = TEN[-1].time - TEN[0].time + 60
        await sweeping(services, FINAL_SECONDS + SEAL_SECONDS - elapsed - 120)
        assert (town.record()[0], town.cursor(CUSTOMER)) == (None, None), "half an hour has not passed"
        await sweeping(services, 240)
        assert [own_calls(town).count(name) for name in (LISTS, UPDATES)] == [1, 1]
        assert town.cursor(CUSTOMER) == f"10:{TEN[-1].tx_hash}", "all that is final by then"
        await sweeping(services, 120)
        assert town.record() == ("10", {})

    town.run(scenario())


def test_a_restart_seals_at_the_same_time() -> None:
    town = Town([TEN[0]])

    async def scenario() -> None:
        await sweeping(await town.started(), FINAL_SECONDS + 600)
        await sweeping(await town.started(), SEAL_SECONDS - 600 - 120)
        assert town.cursor(CUSTOMER) is None
        await sweeping(await town.started(), 300)
        assert (town.cursor(CUSTOMER), town.record()) == (f"1:{TEN[0].tx_hash}", ("1", {}))
        assert len(town.rows(CUSTOMER)) == 1

    town.run(scenario())


def test_while_finality_stands_still_nothing_is_sealed() -> None:
    final, above = payment(block=40), payment(block=60)
    at = heads(10_000, 9_000, 50)
    assert not is_seal_due([final, above], at)
    assert not is_seal_due([above], heads(10_000, 9_000, 60 + SEAL_SECONDS // BLOCK_SECONDS - 1))
    assert is_seal_due([above], heads(10_000, 9_000, 60 + SEAL_SECONDS // BLOCK_SECONDS))


def test_a_credit_that_the_sealing_listing_does_not_show_is_looked_for_at_once() -> None:
    town = Town([TEN[0]])

    async def scenario() -> None:
        services = await town.started()
        await sweeping(services, FINAL_SECONDS + SEAL_SECONDS - 60)
        assert len(town.rows(CUSTOMER)) == 1
        town.customer(CUSTOMER).rows.clear()
        await sweeping(services, 120)
        writes = [row for row in town.stripe.log.rows if row.endpoint == CREDITS]
        assert len(writes) == 2
        assert len({row.idempotency_key for row in writes}) == 1
        assert (town.cursor(CUSTOMER), town.record()[0]) == (None, None)

    town.run(scenario())


def test_a_long_ledger_is_read_once_for_the_credit_and_its_sealing() -> None:
    plain = payment(block=NOW_BLOCK - FINALITY + 5, cents=0)
    town = Town([plain])
    debits = [(plain.time + number, Entry(1, "usd", description="Usage")) for number in range(1_000)]

    async def scenario() -> None:
        town.stripe.account.add_past(town.customer(CUSTOMER), debits)
        services = await town.started()
        await sweeping(services, 120, busy=3)
        assert town.cursor(CUSTOMER) == f"1:{plain.tx_hash}", "the listing was at hand"
        assert own_calls(town).count(LISTS) == 11, "ten pages, and what is new"
        await sweeping(services, FINAL_SECONDS + SEAL_SECONDS)
        assert own_calls(town).count(LISTS) == 11

    town.run(scenario())


def test_while_only_sealing_remains_a_round_asks_for_the_count_alone() -> None:
    town = Town([TEN[0]])

    async def scenario() -> None:
        services = await town.started()
        await sweeping(services, FINAL_SECONDS + 120)
        town.nodes[0].asked.clear()
        town.nodes[0].viewed.clear()
        await sweeping(services, 600, idle=15)
        assert {name for _, name in town.nodes[0].viewed} == {"totalPayments"}
        assert "eth_getLogs" not in town.nodes[0].asked

    town.run(scenario())


def checkpoint(swept: int = 0) -> GatewayCheckpoint:
    """A position without a record."""
    return GatewayCheckpoint(cast("Any", None), swept, OpenPayments(), (0, OpenPayments()))


def test_a_place_that_was_passed_in_another_block_is_read_again() -> None:
    """A node invented a payment before it: what it showed at each place behind lies one further."""
    position = checkpoint()
    position.close(1, payment(block=100))
    assert position.is_done_in(1, 100)
    assert not position.is_done_in(1, 102)
    position.unsealed[2] = payment(block=104)
    reading = Reading(position, heads(10_000, 9_500, 9_000))
    is_passed = reading.is_passed(lambda _: True)
    assert [is_passed(index, number) for index, number in ((1, 100), (2, 104), (3, 106))] == [True, True, False]
    assert [is_passed(index, number) for index, number in ((1, 102), (2, 106))] == [False, False]
    assert not reading.is_passed(lambda _: False)(2, 104), "no longer credited"
    assert not Reading(position, heads(10_000, 9_500, 99)).is_passed(lambda _: True)(1, 100), "not final by these heads"


def test_work_on_final_payments_begins_before_a_long_reading_ends() -> None:
    made = history(1, 1, 1)
    reading = Reading(checkpoint(), heads(200, 150, 102))
    reading.add(Window(3, list(enumerate(made))))
    assert reading.take() == list(enumerate(made))[:2], "what is not final waits for the sums of all gateways"
    reading.is_over = True
    assert reading.take() == [(2, made[2])]
    assert reading.take() == []
    assert [payment for _, payment in reading.unfinalized().payments] == [made[2]]


def test_what_a_round_finds_later_of_a_customer_waits_for_what_it_found_first() -> None:
    """Else final payments that wait for a node, or for Stripe, would hide the unfinalized ones behind them."""
    status_cache, now = StatusCache(FakeClock()), heads(200, 150, 102)
    position = SimpleNamespace(gateway=SimpleNamespace(address=GATEWAY), indexed={}, is_done_in=lambda *_: False)
    place = cast("GatewayCheckpoint", position)
    made = list(enumerate(history(1, 1, 1)))
    taken: list[list[int]] = []

    class Customers:
        async def run(self, *found: Any, seal: bool) -> bool:
            taken.append([index for index, _ in found[2]])
            await asyncio.sleep(10)
            return not seal

    async def scenario() -> None:
        tasks = CustomerTasks(cast("Any", Customers()), status_cache)
        for index, entry in enumerate(made):
            tasks.begin(place, "cus_Payer0", [entry], now, seal=index == 1)
        await tasks.wait(None)
        assert taken == [[0], [1], [2]]
        assert tasks.failed
        assert not tasks
        tasks.begin_round()
        for _ in range(5):  # rounds that are shorter than the first work
            tasks.begin_round()
            tasks.begin(place, "cus_Payer0", [], now)
            tasks.begin(place, "cus_Payer0", made[:1], now)
            tasks.begin(place, "cus_Payer0", made[:2], now)
            await tasks.wait(3)
        await tasks.wait(None)
        assert taken[3:] == [[], [0], [1]], "once each while it goes on"
        tasks.begin(place, "cus_Payer0", made[:1], now)
        await tasks.stop()
        assert not tasks

    run_virtually(scenario())


def test_a_round_takes_few_payments_to_credit_and_many_to_seal() -> None:
    status_cache, key = StatusCache(FakeClock()), (GATEWAY, CUSTOMER)
    tasks = CustomerTasks(cast("Any", None), status_cache)
    made = [(place, payment(sequence=place, block=place, tx_hash=tx_hash(place + 1))) for place in range(700)]
    now = heads(1_000, 900, 499)

    def places() -> list[int]:
        return [place for place, _ in tasks._choose(key, made, now)]

    assert places() == [*range(64), *range(500, 564)], "of those that are final and of the others"
    assert places() == [], "in the same round"
    for place in [*range(64), *range(500, 564)]:
        status_cache.record_confirming(made[place][1], PaymentStatus("confirming"))
    tasks.begin_round()
    assert places() == [*range(64, 128), *range(564, 628)], "those that wait come last"
    for _, each in made[:600]:
        status_cache.record_attempt(each, credited_status(each.cents, None))
    tasks.begin_round()
    assert places() == [*range(512), *range(600, 664)], "what is to be sealed takes no room from what is to be credited"


class Shared:
    """Stands for the confirmations: heads with these final blocks, and what is shared."""

    def __init__(self, *finalized: int) -> None:
        self._finalized = list(finalized)
        self.shared: list[list[Payment]] = []

    async def heads(self) -> Heads:
        """Return the next heads."""
        return heads(200, 150, self._finalized.pop(0))

    def share_unfinalized(self, _: Heads, windows: Sequence[Window], __: float) -> None:
        """Note what is shared."""
        self.shared.append([made for window in windows for _, made in window.payments])


async def share(round_heads: RoundHeads, counted: set[str]) -> None:
    """Share an empty round of two gateways."""
    round_heads.begin_round()
    await round_heads.read()
    round_heads.counted |= counted
    round_heads.share([], 2)


@pytest.mark.anyio
async def test_a_gateway_counted_before_the_heads_may_lack_a_payment() -> None:
    confirmations = Shared(100, 100)
    round_heads = RoundHeads(cast("Any", confirmations), FakeClock())
    await share(round_heads, {"a"})
    assert not confirmations.shared, "the caps would be judged without the payments of the other"
    await share(round_heads, {"a", "b"})
    assert confirmations.shared == [[]]


@pytest.mark.anyio
async def test_a_node_that_is_behind_shares_no_reading_that_begins_too_late() -> None:
    """`swept` passed what the other node showed as final: a reading from there lacks payments above this one's."""
    confirmations = Shared(100, 90, 101)
    round_heads = RoundHeads(cast("Any", confirmations), FakeClock())
    for count in (1, 1, 2):
        await share(round_heads, {"a", "b"})
        assert len(confirmations.shared) == count


def test_a_payment_in_another_block_is_known_once() -> None:
    checkpoint = GatewayCheckpoint(cast("Any", None), 10, OpenPayments(), (10, OpenPayments()))
    checkpoint.done_above, checkpoint.unsealed = {11, 9}, {11: payment()}
    assert checkpoint.has_work(12, heads(200, 150, 100), seals_all=False), "what is at index 10 is not known"
    checkpoint.unsealed |= {10: payment()}
    assert not checkpoint.has_work(12, heads(200, 150, 100), seals_all=False)
