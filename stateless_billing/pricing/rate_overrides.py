"""Rates that admins set for a limited time, stored on the service record."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

from cachetools import TTLCache

from stateless_billing.bookkeeping.records import ServiceRecords
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.money import Rate
from stateless_billing.pricing.override_values import (
    PROPOSAL,
    PROPOSAL_REASON,
    NewRate,
    Override,
    cleared_values,
    override_at,
    parse_history,
    parse_proposal,
    set_values,
)
from stateless_billing.pricing.price_feed import PriceFeed
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.client import StripeApi, StripeSession
from stateless_billing.stripe.connection import MAX_ANSWER_AGE_SECONDS
from stateless_billing.stripe.errors import RequestRejected, StripeUnavailable

T = TypeVar("T")

SOURCE = "override"
_CACHE_TTL_SECONDS = 60


class Overrides:
    """Reads overrides from the service record, at most once a minute, and writes them."""

    def __init__(self, stripe: StripeApi, records: ServiceRecords, clock: Clock) -> None:
        self._stripe = stripe
        self._records = records
        self._clock = clock
        self._cached: TTLCache[None, Mapping[str, str]] = TTLCache(1, _CACHE_TTL_SECONDS, clock.boot)
        self._last_read: Mapping[str, str] = {}
        self._reading = asyncio.Lock()

    async def effective_at(self, time: int) -> Override | None:
        """Return the override that applies at `time`.

        Raises: StripeFailure.
        """
        async with self._reading:
            metadata = self._cached.get(None)
            if metadata is None:
                metadata = self._cached[None] = await self._read()
        return override_at(metadata, time)

    def recalled_at(self, time: int) -> Override | None:
        """Return the override that applies at `time` by the last reading, however old."""
        return override_at(self._last_read, time)

    async def history(self) -> list[Override]:
        """Read the latest overrides, newest first, bypassing the cache.

        Raises: StripeFailure.
        """
        metadata = self._cached[None] = await self._read()
        return parse_history(metadata)

    async def read(self) -> Mapping[str, str]:
        """Read the service record's metadata, bypassing the cache.

        Raises: StripeFailure.
        """
        metadata = self._cached[None] = await self._read()
        return metadata

    async def find_alike(self, rate: int, operator: str, reason: str, since: int) -> tuple[Override, bool] | None:
        """Find what an admin set or proposed with the same words since `since`, and whether it waits.

        A button may be pressed twice.

        Raises: StripeFailure.
        """
        metadata = await self.read()
        for override in parse_history(metadata):
            is_same = (override.rate, override.operator) == (rate, operator)
            words, ending = override.reason[: len(reason)], override.reason[len(reason) :]
            if override.since >= since and is_same and words == reason and ending[:1] in ("", ";"):
                return override, False  # also one that was ended since, which its reason then says
        proposal = parse_proposal(metadata)
        if proposal and proposal.since >= since and (proposal.rate, proposal.operator) == (rate, operator):
            return proposal, True
        return None

    async def set(self, new: NewRate, *, decided_at: float, confirms: Override | None = None) -> Override:
        """Set a rate from now on and end the current override and the proposal.

        With `confirms`, it is the rate that another admin proposed. Raises: StripeFailure, ProblemError.
        """

        def plan(metadata: Mapping[str, str], now: int) -> tuple[dict[str, str], Override]:
            if confirms:
                _require_waiting(metadata, confirms)
            return set_values(metadata, new, now)

        return await self._change(plan, decided_at)

    async def propose(self, new: NewRate, *, decided_at: float) -> Override:
        """Write a rate that waits for another admin, replacing one that waits.

        Raises: StripeFailure.
        """

        def plan(_: Mapping[str, str], now: int) -> tuple[dict[str, str], Override]:
            proposal = new.starting(now)
            return {PROPOSAL: str(proposal), PROPOSAL_REASON: proposal.reason}, proposal

        return await self._change(plan, decided_at)

    async def withdraw_proposal(self, proposal: Override, *, decided_at: float) -> None:
        """Remove the rate that waits for another admin.

        Raises: StripeFailure; ProblemError if another one waits, or none.
        """

        def plan(metadata: Mapping[str, str], _: int) -> tuple[dict[str, str], None]:
            _require_waiting(metadata, proposal)
            return {PROPOSAL: "", PROPOSAL_REASON: ""}, None

        await self._change(plan, decided_at)

    async def clear(self, note: str = "", *, decided_at: float) -> None:
        """End the current override. Payments made while it applied keep their price. `note` joins its reason.

        Raises: StripeFailure.
        """

        def plan(metadata: Mapping[str, str], now: int) -> tuple[dict[str, str], None]:
            return cleared_values(metadata, note, now), None

        await self._change(plan, decided_at)

    async def _change(self, plan: Callable[[Mapping[str, str], int], tuple[dict[str, str], T]], decided_at: float) -> T:
        """Write what `plan` makes of the record's metadata and the time, over the connection that read them.

        A machine that slept never sends what it had decided: `decided_at`, by the boot clock, may be a minute old.
        """

        def still_valid(_: int) -> bool:
            return 0 <= self._clock.boot() - decided_at <= MAX_ANSWER_AGE_SECONDS

        self._cached.clear()
        try:
            async with self._stripe.session() as session:
                metadata = await self._read_within(session)
                values, result = plan(metadata, int(self._clock.wall()))
                await session.set_metadata(self._records.service_id, values, still_valid)
                return result
        finally:
            self._cached.clear()

    async def _read(self) -> Mapping[str, str]:
        async with self._stripe.session() as session:
            return await self._read_within(session)

    async def _read_within(self, session: StripeSession) -> Mapping[str, str]:
        try:
            self._last_read = (await session.get_customer(self._records.service_id)).metadata or {}
        except RequestRejected as error:  # our own record is missing
            raise StripeUnavailable(f"the service record could not be read: {error}") from error
        return self._last_read


def _require_waiting(metadata: Mapping[str, str], proposal: Override) -> None:
    if metadata.get(PROPOSAL) != str(proposal):
        raise ProblemError(
            "too_late",
            "This proposal was confirmed, withdrawn or replaced. Nothing was set and the rate stays as it is.",
        )


class RateSource:
    """The effective rate: an override if one applies, else the market rate."""

    def __init__(self, feed: PriceFeed, overrides: Overrides, clock: Clock) -> None:
        self._feed = feed
        self._overrides = overrides
        self._clock = clock

    async def current_rate(self) -> Rate:
        """Return the rate for a quote.

        Raises: NoRate, StripeFailure.
        """
        override = await self._overrides.effective_at(int(self._clock.wall()))
        return _rate_of(override) if override else await self._feed.current_rate()

    async def rate_at(self, time: int) -> Rate:
        """Return the rate for a plain payment in a block of `time`.

        Raises: NoRate, StripeFailure.
        """
        override = await self._overrides.effective_at(time)
        return _rate_of(override) if override else await self._feed.rate_at(time)


class RecalledRates:
    """The effective rate as far as this process knows it: it never reads Stripe."""

    def __init__(self, feed: PriceFeed, overrides: Overrides, clock: Clock) -> None:
        self._feed = feed
        self._overrides = overrides
        self._clock = clock

    async def current_rate(self) -> Rate:
        """Return the rate for a quote.

        Raises: NoRate.
        """
        override = self._overrides.recalled_at(int(self._clock.wall()))
        return _rate_of(override) if override else await self._feed.current_rate()


def _rate_of(override: Override) -> Rate:
    return Rate(override.rate, SOURCE, override.since)
