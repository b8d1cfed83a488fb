"""Rates that admins set for a time: judged by the market's, put into words, confirmed by another admin where needed."""

from dataclasses import dataclass

from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.money import format_rate
from stateless_billing.operators.roster import Roster
from stateless_billing.pricing.market_rates import MarketRates
from stateless_billing.pricing.override_values import Override, override_at, parse_proposal
from stateless_billing.pricing.rate_overrides import Overrides
from stateless_billing.runtime.clock import Clock
from stateless_billing.support.decisions.rate_bounds import judge_rate
from stateless_billing.support.decisions.shown import Shown

NOTHING = "Nothing was changed."
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class RateDecision:
    """What is shown of a rate, and the proposal that it confirms or withdraws."""

    shown: Shown
    proposal: Override | None = None


class RateDecisions:
    """Prepares changes of the rate. All methods raise: ProblemError, StripeFailure, ChainError."""

    def __init__(self, overrides: Overrides, rates: MarketRates, roster: Roster, clock: Clock) -> None:
        self._overrides = overrides
        self._rates = rates
        self._roster = roster
        self._clock = clock

    async def prepare(self, rate: int, hours: int, reason: str) -> RateDecision:
        """Put an admin's own rate into words."""
        judged = await judge_rate(self._rates, rate, NOTHING)
        current, proposal = await self._read()
        length = f"{hours} hour{'s' if hours > 1 else ''}"
        sentence = (
            f"Set the rate to {format_rate(rate)} a token for {length}, {judged.describe()}."
            f" It goes from {_name(current, judged.market.rate)} to {format_rate(rate)}."
        )
        notes = [
            "It prices every quote, and plain payments whose block lies in that time. Balances change only by payments."
        ]
        if proposal:
            notes.append(f"It removes the rate {format_rate(proposal.rate)} that {proposal.operator} proposed.")
        second = judged.needs_second_admin or not judged.market.is_known
        if judged.needs_second_admin:
            notes.append("That is more than 20 % above the market's: it waits until another admin confirms it.")
        elif second:
            notes.append("The market's rate of now is not known: it waits until another admin confirms it.")
        button = f"Propose {format_rate(rate)}" if second else f"Set {format_rate(rate)}"
        return RateDecision(Shown(sentence, (*notes, f"Why: {reason}"), button, second))

    async def prepare_confirmation(self, words: str, operator: str, reason: str) -> RateDecision:
        """Put the confirmation of another admin's rate into words; `words` is the proposal as it was shown."""
        proposal = await self._find_proposal(words)
        if self._roster.identity_of(proposal.operator) == self._roster.identity_of(operator):
            raise ProblemError("not_allowed", f"This is your own proposal. {NOTHING} Another admin must confirm it.")
        judged = await judge_rate(self._rates, proposal.rate, NOTHING)
        current, _ = await self._read()
        hours = -(-(proposal.until - proposal.since) // _HOUR)
        sentence = (
            f"Set the rate to {format_rate(proposal.rate)} a token for {hours} hour{'s' if hours > 1 else ''} from now,"
            f" {judged.describe()}."
            f" It goes from {_name(current, judged.market.rate)} to {format_rate(proposal.rate)}."
        )
        notes = (
            f"{proposal.operator} proposed it: {proposal.reason}",
            "It prices every quote, and plain payments whose block lies in that time.",
            f"Why you confirm it: {reason}",
        )
        return RateDecision(Shown(sentence, notes, f"Confirm {format_rate(proposal.rate)}"), proposal)

    async def prepare_withdrawal(self, words: str, reason: str) -> RateDecision:
        """Put the end of a proposal into words."""
        proposal = await self._find_proposal(words)
        rate = format_rate(proposal.rate)
        sentence = f"Withdraw the rate {rate} that {proposal.operator} proposed. The rate stays as it is."
        return RateDecision(Shown(sentence, (f"Why: {reason}",), "Withdraw the proposal"), proposal)

    async def prepare_end(self, reason: str) -> RateDecision:
        """Put the return to the market's rate into words."""
        current, _ = await self._read()
        if current is None:
            raise ProblemError("already_done", f"No rate is set by hand. {NOTHING}")
        market = await self._rates.now()
        then = f"to the market's, now {format_rate(market.rate)}" if market and market.is_known else "to no rate at all"
        sentence = f"End the rate that {current.operator} set: it goes from {format_rate(current.rate)} {then}."
        notes = ["Payments whose block lies in its time keep its price."]
        if market is None or not market.is_known:
            notes.append("The market has no rate now: quotes are refused and plain payments wait until it has.")
        return RateDecision(Shown(sentence, (*notes, f"Why: {reason}"), "End it"))

    async def _read(self) -> tuple[Override | None, Override | None]:
        """Read the override in effect, and the proposal unless its time is over."""
        metadata = await self._overrides.read()
        now = int(self._clock.wall())
        proposal = parse_proposal(metadata)
        return override_at(metadata, now), proposal if proposal and now < proposal.until else None

    async def proposal(self) -> Override | None:
        """Return the rate that waits for another admin, if any."""
        return (await self._read())[1]

    async def _find_proposal(self, words: str) -> Override:
        proposal = await self.proposal()
        if proposal is None or str(proposal) != words.strip():
            raise ProblemError(
                "too_late", f"This proposal was confirmed, withdrawn or replaced, or its time is over. {NOTHING}"
            )
        return proposal


def _name(current: Override | None, market: int) -> str:
    return f"{format_rate(current.rate)} (set by {current.operator})" if current else f"{format_rate(market)} (market)"
