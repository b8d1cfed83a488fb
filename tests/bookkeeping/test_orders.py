"""How long one reading of the orders serves."""

import asyncio
from typing import Any, cast

import pytest

from stateless_billing.bookkeeping.orders import READING_TTL_SECONDS, OrderDraft, RecordReading, may_still_be_used
from stateless_billing.sandbox.account import Entry
from tests.fakes.factories import START, payment
from tests.fakes.in_process_service import SERVICE, Town

HOUR = 3600


@pytest.mark.parametrize(
    ("seconds", "usable"),
    [(0, True), (READING_TTL_SECONDS, True), (READING_TTL_SECONDS + 1, False), (-1, True), (-2, True), (-3, False)],
)
def test_a_reading_serves_for_a_minute_and_two_clocks_may_differ_by_their_rounding(seconds: int, usable: bool) -> None:
    reading = RecordReading(START + HOUR, cast("Any", None), [], 0, [])
    assert may_still_be_used(reading, START, START + HOUR + seconds) is usable


@pytest.mark.parametrize("moment", [number / 10 for number in range(10)])
def test_a_slow_pace_delays_a_credit_by_seconds_only(moment: float) -> None:
    """The time of the crediting connection is rounded down, while the orders are read over another one."""
    paid = payment(cents=0)
    town = Town([paid])

    async def scenario() -> None:
        services = await town.started(STRIPE_RATE="2", STRIPE_TOTAL_RATE="6")
        await asyncio.sleep(10 + moment)
        work = asyncio.create_task(services.sweeper.run(3, 15))
        await asyncio.sleep(15)
        assert len(town.rows(paid.customer_id or "")) == 1
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    town.run(scenario())


def test_a_reading_that_began_before_an_order_was_written_is_not_used_after_it() -> None:
    paid = payment()
    town = Town([paid])
    for _ in range(950):  # ten pages: the newest rows are read before the order is written, the oldest after it
        row = Entry(-1, "usd", "Order", {"kind": "order"})
        town.stripe.account.add_transaction(town.customer(SERVICE), row, START - 3 * HOUR, START - 3 * HOUR)
    draft = OrderDraft("release", "ann@example.org", "as agreed", 5_000)

    async def scenario() -> None:
        services = await town.started()
        reading = asyncio.create_task(services.orders.find(paid))
        await asyncio.sleep(0.035)
        written = await services.orders.write(services.grants.create_grant_id(), paid, draft)
        assert not reading.done()
        assert (await reading).effective is None
        assert (await services.orders.find(paid)).effective == written

    town.run(scenario())
