"""How long one reading of the orders serves."""

import asyncio
from typing import Any, cast

import pytest

from stateless_billing.bookkeeping.orders import READING_TTL_SECONDS, RecordReading, may_still_be_used
from tests.fakes.factories import START, payment
from tests.fakes.in_process_service import Town

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
