"""The market's rate as a measure of rates that people give: now, at a block, or the last one known."""

from collections.abc import Sequence
from dataclasses import dataclass

from chain.gateway import Gateway
from stateless_billing.domain import money
from stateless_billing.pricing.price_feed import PriceFeed
from stateless_billing.pricing.rates import NoRate

_MAX_PAYMENTS = 20  # of each gateway, searched for the newest quoted one

HIGHEST_FACTOR = 2
"""Nobody may give a rate above this multiple of the market's."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A rate of the market in 10^-18 dollars per whole token, before the discount.

    `is_known`: it is of the time that was asked for; else it is the last one known.
    """

    rate: int
    is_known: bool = True

    def is_above(self, rate: int) -> bool:
        """Whether a rate is above what anybody may give."""
        return rate > HIGHEST_FACTOR * self.rate

    def needs_second_admin(self, rate: int) -> bool:
        """Whether a rate is more than 20 % above the market's."""
        return rate * 5 > self.rate * 6


class MarketRates:
    """Rates of the market, as a measure of those that admins give.

    The last known one may be that of a quote, and so follow from a rate that an admin gave: it bounds, and against it
    nobody sets a rate alone.
    """

    def __init__(self, feed: PriceFeed, gateways: Sequence[Gateway], discount_bps: int) -> None:
        self._feed = feed
        self._gateways = gateways
        self._discount_bps = discount_bps

    async def now(self) -> Reference | None:
        """Return the current rate, else the last one known; None if none is known.

        Raises: ChainError.
        """
        try:
            return Reference((await self._feed.current_rate()).market)
        except NoRate:
            return await self._last_known()

    async def at(self, time: int) -> Reference | None:
        """Return the rate at a block's time, else the last one known; None if none is known.

        Raises: ChainError.
        """
        try:
            return Reference((await self._feed.rate_at(time)).market)
        except NoRate:
            return await self._last_known()

    async def _last_known(self) -> Reference | None:
        """What the feed sent to this process last, else the price of the newest quoted payment."""
        if rate := self._feed.last_known_rate():
            return Reference(rate, is_known=False)
        newest: tuple[int, int] = 0, 0
        for gateway in self._gateways:
            total = await gateway.total_payments()
            async for window in gateway.payments(max(0, total - _MAX_PAYMENTS), total):
                for _, payment in window.payments:
                    if payment.quoted:
                        rate = money.market_rate_down(payment.cents, payment.amount, self._discount_bps)
                        newest = max(newest, (payment.time, rate))
        return Reference(newest[1], is_known=False) if newest[1] else None
