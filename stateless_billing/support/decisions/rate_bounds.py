"""The bounds of rates that admins give, and their words."""

from dataclasses import dataclass

from chain.payment import Payment
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.money import format_rate
from stateless_billing.pricing.market_rates import HIGHEST_FACTOR, MarketRates, Reference
from stateless_billing.support.decisions.shown import describe_distance


@dataclass(frozen=True, slots=True)
class JudgedRate:
    """A rate within the hard bound, beside the market's now and at the payment's block (None: an override)."""

    rate: int
    market: Reference
    at_block: Reference | None = None

    @property
    def needs_second_admin(self) -> bool:
        """Whether it is more than 20 % above the market's."""
        return self.market.needs_second_admin(self.rate)

    def describe(self) -> str:
        """Set the rate beside the market's."""
        bound = self.at_block or self.market
        when = "at the payment's block" if self.at_block else "now"
        if not bound.is_known:
            when = "as last known"
        text = f"{describe_distance(self.rate, bound.rate)} {when} ({format_rate(bound.rate)})"
        if self.at_block and (self.market.rate, self.market.is_known) != (bound.rate, bound.is_known):
            later = "now" if self.market.is_known else "as last known"
            text += f"; {describe_distance(self.rate, self.market.rate)} {later} ({format_rate(self.market.rate)})"
        return text


async def judge_rate(rates: MarketRates, rate: int, nothing: str, payment: Payment | None = None) -> JudgedRate:
    """Hold a rate against the market's: nobody may give more than twice of it.

    Raises: ProblemError, ending with `nothing`; ChainError.
    """
    market = await rates.now()
    at_block = await rates.at(payment.time) if payment else None
    bound = at_block or market
    if market is None or bound is None:
        raise ProblemError(
            "over_bound",
            f"No rate of the market is known, so this one cannot be judged. {nothing} Try again when the price feed"
            " answers.",
        )
    if bound.is_above(rate):
        when = "at the payment's block" if payment else "now"
        if not bound.is_known:
            when = "as last known"
        raise ProblemError(
            "over_bound",
            f"{format_rate(rate)} is more than {HIGHEST_FACTOR} times the market's rate {when}"
            f" ({format_rate(bound.rate)}). Nobody may give that. {nothing} Check the decimal point.",
        )
    return JudgedRate(rate, market, at_block)
