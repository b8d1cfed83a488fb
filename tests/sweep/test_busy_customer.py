"""One customer's many payments: nobody else waits for them, and a restart goes on where the last slice ended."""

import asyncio

import pytest

from chain.payment import Payment
from stateless_billing.sweep.cursors import SLICE
from stateless_billing.sweep.customer_sweep import CustomerSweep
from tests.fakes.factories import payment, tx_hash
from tests.fakes.in_process_service import CREDITS, HOUR, Town, sweeping

BUSY, HONEST = "cus_Busy", "cus_Honest"
COUNT = 60


def busy(sequence: int, block: int = 100, customer_id: str = BUSY) -> Payment:
    """One of many small payments in one EVM transaction."""
    return payment(
        customer_id=customer_id, sequence=sequence, block=block, log_index=sequence, ordinal=sequence, cents=100
    )


def honest(block: int = 101) -> Payment:
    """A payment behind all of them."""
    return payment(customer_id=HONEST, sequence=0, block=block, tx_hash=tx_hash(9_999))


MANY = [busy(sequence) for sequence in range(COUNT)]


def credited_customers(town: Town) -> list[str]:
    """The customers of all credits in the order in which they were written."""
    return [row.path.split("/")[3] for row in town.stripe.log.rows if row.endpoint == CREDITS]


def test_another_customers_payment_does_not_wait_for_a_backlog() -> None:
    town = Town([*MANY, honest()])

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        assert credited_customers(town).index(HONEST) < SLICE
        assert (len(town.rows(BUSY)), len(town.rows(HONEST))) == (COUNT, 1)
        assert (town.record(), town.cursor(BUSY)) == ((str(COUNT + 1), {}), f"{COUNT}:{MANY[-1].tx_hash}")

    town.run(scenario())


def test_a_payment_made_during_a_backlog_is_found_while_it_goes_on() -> None:
    town = Town(MANY)
    town.add(HONEST)

    async def scenario() -> None:
        services = await town.started(STRIPE_RATE="2")
        work = asyncio.create_task(services.sweeper.run(3, 15))
        await asyncio.sleep(10)
        before = len(town.rows(BUSY))
        town.nodes[0].payments.append(honest())
        await asyncio.sleep(20)
        assert town.rows(HONEST)
        assert before < len(town.rows(BUSY)) < COUNT
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    town.run(scenario())


def test_a_restart_goes_on_from_the_last_slice() -> None:
    town = Town(MANY)

    async def scenario() -> None:
        first = await town.started()
        work = asyncio.create_task(first.sweeper.run(3, 15))
        while len(town.rows(BUSY)) < COUNT // 2:  # noqa: ASYNC110 - the stand-in signals nothing
            await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert town.cursor(BUSY) == f"{SLICE}:{MANY[0].tx_hash}"
        credited = len(town.rows(BUSY))
        town.stripe.log.reset()
        await (await town.started()).sweeper.run_once(force=True)
        assert len(town.rows(BUSY)) == COUNT
        assert town.asked(CREDITS) == COUNT - credited
        assert town.record() == (str(COUNT), {})

    town.run(scenario())


def test_the_requests_for_a_payment_do_not_grow_with_the_number_before_it() -> None:
    town = Town([])
    town.add(BUSY)

    async def scenario() -> None:
        services = await town.started()
        costs = []
        for count in range(160):  # more than a page of Stripe's list
            town.nodes[0].payments.append(busy(count, 100 + count))
            before = len(town.nodes[0].asked) + town.stripe.log.counts.total()
            await services.sweeper.run_once(force=True)
            costs.append(len(town.nodes[0].asked) + town.stripe.log.counts.total() - before)
            await asyncio.sleep(2)
        assert max(costs[10:]) <= 2 * costs[10]

    town.run(scenario())


def test_many_held_payments_of_one_customer_are_one_key_and_stop_nobody() -> None:
    town = Town([*MANY, honest()], strangers=[BUSY])

    async def scenario() -> None:
        await (await town.started()).sweeper.run_once(force=True)
        assert town.record() == (str(COUNT + 1), {BUSY: "0:customer_invalid"})
        assert town.rows(HONEST)
        town.add(BUSY)
        again = await town.started()
        await again.sweeper.run_once(force=True)
        assert len(town.rows(BUSY)) == COUNT
        assert town.record() == (str(COUNT + 1), {})
        await sweeping(again, HOUR)
        assert len(town.rows(BUSY)) == COUNT

    town.run(scenario())


def test_without_slices_a_restart_would_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant of `test_a_restart_goes_on_from_the_last_slice`: a run is one slice, its cursor written at the end."""
    monkeypatch.setattr("stateless_billing.sweep.customer_sweep.SLICE", 10_000)
    with pytest.raises(AssertionError):
        test_a_restart_goes_on_from_the_last_slice()


def test_one_turn_for_all_starves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant of the test of a backlog: one customer's whole work is done before another's begins."""
    original, turn = CustomerSweep.run, asyncio.Lock()

    async def run(self: CustomerSweep, *arguments: object, **options: bool) -> None:
        async with turn:
            await original(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(CustomerSweep, "run", run)
    with pytest.raises(AssertionError):
        test_another_customers_payment_does_not_wait_for_a_backlog()
