"""Rates that admins set for a limited time, stored on the service record."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cachetools import TTLCache

from stateless_billing.bookkeeping.records import ServiceRecords
from stateless_billing.domain.money import Rate, format_decimal, parse_rate
from stateless_billing.pricing.price_feed import PriceFeed
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import RequestRejected, StripeUnavailable

KEY = "rate_override"
REASON = "rate_override_reason"
PROPOSAL = "rate_proposal"
PROPOSAL_REASON = "rate_proposal_reason"
MAX_OVERRIDE_SECONDS = 24 * 3600
MAX_HISTORY = 5  # slots for the latest overrides, reused in turn
_SLOTS_READ = 10  # earlier versions wrote ten, and payments may still wait for what these say
_MAX_REASON_CHARACTERS = 500  # Stripe's limit of a value
SOURCE = "override"
_CACHE_TTL_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Override:
    """A rate in 10^-18 dollars per whole token, who set it and who confirmed it, and its Unix time range."""

    rate: int
    operator: str
    since: int
    until: int
    reason: str = ""
    slot: int | None = None
    confirmed_by: str = ""

    def __str__(self) -> str:
        text = f"{format_decimal(self.rate)}:{self.operator}:{self.since}:{self.until}"
        return f"{text}:{self.confirmed_by}" if self.confirmed_by else text

    def applies_at(self, time: int) -> bool:
        """Whether it sets the rate at `time`."""
        return self.since <= time < self.until


_OVERRIDE = re.compile(
    r"(?P<rate>[^:]+):(?P<operator>.+?):(?P<since>[0-9]{1,12}):(?P<until>[0-9]{1,12})(?::(?P<second>[^:]+))?", re.ASCII
)


def parse_override(text: str, reason: str = "", slot: int | None = None) -> Override | None:
    """Parse `<rate>:<operator>:<from>:<until>[:<second admin>]`; None if it is malformed."""
    match = _OVERRIDE.fullmatch(text)
    rate = parse_rate(match["rate"]) if match else None
    if match is None or rate is None:
        return None
    since, until = int(match["since"]), int(match["until"])
    return Override(rate, match["operator"], since, until, reason, slot, match["second"] or "")


def parse_proposal(metadata: Mapping[str, str]) -> Override | None:
    """Parse the rate that waits for another admin; None if there is none."""
    return parse_override(metadata.get(PROPOSAL, ""), metadata.get(PROPOSAL_REASON, ""))


def parse_history(metadata: Mapping[str, str]) -> list[Override]:
    """Parse the latest overrides, newest first, including the current one."""
    overrides = []
    for slot in range(_SLOTS_READ):
        override = parse_override(metadata.get(f"{KEY}:{slot}", ""), metadata.get(f"{REASON}:{slot}", ""), slot)
        if override:
            overrides.append(override)
    return sorted(overrides, key=lambda override: override.since, reverse=True)


def override_at(metadata: Mapping[str, str], time: int) -> Override | None:
    """Return the newest override that applies at `time`."""
    overrides = parse_history(metadata)
    if current := parse_override(metadata.get(KEY, "")):
        overrides.append(current)
    applicable = (override for override in overrides if override.applies_at(time))
    return max(applicable, key=lambda override: override.since, default=None)


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

    async def set(self, rate: int, operator: str, seconds: int, reason: str, *, confirmed_by: str = "") -> Override:
        """Set a rate from now on and end the current override and the proposal.

        Raises: StripeFailure.
        """
        now = int(self._clock.wall())
        history = parse_history(await self._read())
        used_slots = {override.slot for override in history}
        free_slots = [slot for slot in range(MAX_HISTORY) if slot not in used_slots]
        reusable = [override.slot for override in history if override.slot is not None and override.slot < MAX_HISTORY]
        slot = free_slots[0] if free_slots else reusable[-1]
        until = now + min(seconds, MAX_OVERRIDE_SECONDS)
        override = Override(rate, operator, now, until, reason[:_MAX_REASON_CHARACTERS], slot, confirmed_by)
        values = {KEY: str(override), f"{KEY}:{slot}": str(override), f"{REASON}:{slot}": override.reason}
        await self._write(_ended_values(history, now) | values | {PROPOSAL: "", PROPOSAL_REASON: ""})
        return override

    async def propose(self, rate: int, operator: str, seconds: int, reason: str) -> Override:
        """Write a rate that waits for another admin, replacing one that waits.

        Raises: StripeFailure.
        """
        now = int(self._clock.wall())
        proposal = Override(rate, operator, now, now + min(seconds, MAX_OVERRIDE_SECONDS), reason)
        await self._write({PROPOSAL: str(proposal), PROPOSAL_REASON: reason})
        return proposal

    async def withdraw_proposal(self) -> None:
        """Remove the rate that waits for another admin.

        Raises: StripeFailure.
        """
        await self._write({PROPOSAL: "", PROPOSAL_REASON: ""})

    async def clear(self, note: str = "") -> None:
        """End the current override. Payments made while it applied keep their price. `note` joins its reason.

        Raises: StripeFailure.
        """
        now = int(self._clock.wall())
        history = parse_history(await self._read())
        notes = {
            f"{REASON}:{override.slot}": f"{override.reason}; {note}"[:_MAX_REASON_CHARACTERS]
            for override in history
            if note and override.applies_at(now)
        }
        await self._write({KEY: "", **notes, **_ended_values(history, now)})

    async def _read(self) -> Mapping[str, str]:
        async with self._stripe.session() as session:
            try:
                self._last_read = (await session.get_customer(self._records.service_id)).metadata or {}
            except RequestRejected as error:  # our own record is missing
                raise StripeUnavailable(f"the service record could not be read: {error}") from error
        return self._last_read

    async def _write(self, values: dict[str, str]) -> None:
        self._cached.clear()
        await self._records.update(values)
        self._cached.clear()


def _ended_values(overrides: list[Override], now: int) -> dict[str, str]:
    """Return the metadata that ends the overrides that apply now."""
    current = [override for override in overrides if override.applies_at(now)]
    return {f"{KEY}:{override.slot}": str(replace(override, until=now)) for override in current}


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
