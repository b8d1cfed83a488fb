"""What rates that people give are measured by."""

import asyncio
from decimal import Decimal

import pytest

from stateless_billing.pricing.market_rates import MarketRates, Reference
from tests.fakes.factories import START, payment, tx_hash
from tests.fakes.in_process_service import BEGIN, Town

RATE = 6 * 10**15


@pytest.mark.parametrize(
    ("rate", "is_above", "second"),
    [
        (RATE, False, False),
        (RATE * 6 // 5, False, False),
        (RATE * 6 // 5 + 1, False, True),
        (RATE * 2, False, True),
        (RATE * 2 + 1, True, True),
    ],
)
def test_the_bounds_are_exact(rate: int, is_above: bool, second: bool) -> None:
    reference = Reference(RATE)
    assert (reference.is_above(rate), reference.needs_second_admin(rate)) == (is_above, second)


def test_the_last_known_rate_is_the_feeds_lowest_of_an_hour_and_then_the_newest_quotes() -> None:
    quoted = payment(cents=5_000, amount=10_000 * 10**18)  # $0.005
    older = payment(cents=9_000, amount=10_000 * 10**18, tx_hash=tx_hash(2), sequence=1, block=90)
    town = Town([older, quoted])

    async def scenario() -> None:
        services = town.process()
        rates = MarketRates(services.price_feed, services.gateways, 0)
        town.price = Decimal("0")
        assert await rates.now() == Reference(5 * 10**15, is_known=False)
        assert await rates.at(START + 3600) == Reference(5 * 10**15, is_known=False)
        town.price = Decimal("0.006")
        await asyncio.sleep(120)
        assert await rates.now() == Reference(RATE)
        assert await rates.at(int(BEGIN)) == Reference(RATE)
        town.price = Decimal("0")
        await asyncio.sleep(120)
        assert await rates.now() == Reference(5 * 10**15, is_known=False), "the feed has none of the last hour"
        await services.__aexit__(None, None, None)

    town.run(scenario())


def test_without_feed_and_quotes_nothing_is_known() -> None:
    town = Town([payment(cents=0)])
    town.price = Decimal("0")

    async def scenario() -> None:
        services = town.process()
        assert await MarketRates(services.price_feed, services.gateways, 0).now() is None
        await services.__aexit__(None, None, None)

    town.run(scenario())
