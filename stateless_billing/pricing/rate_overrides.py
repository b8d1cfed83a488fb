"""The rate that an admin has set for a while, kept on the service record, and the price that follows from it."""

import asyncio
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
MAX_OVERRIDE_SECONDS = 24 * 3600
MAX_HISTORY = 10  # the last ones, in slots that are used in turn
SOURCE = "override"
_COPY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Override:
    """A rate in 10^-18 dollars per whole token, who set it, and from when until when (unix seconds)."""

    rate: int
    operator: str
    since: int
    until: int
    reason: str = ""
    slot: int | None = None

    def __str__(self) -> str:
        return f"{format_decimal(self.rate)}:{self.operator}:{self.since}:{self.until}"

    def applies_at(self, time: int) -> bool:
        """Whether it prices what happens at `time`."""
        return self.since <= time < self.until


def parse_override(text: str, reason: str = "", slot: int | None = None) -> Override | None:
    """An override as metadata holds it; None where it is none."""
    pieces = text.split(":")
    if len(pieces) < 4 or not all(piece.isascii() and piece.isdigit() for piece in pieces[-2:]):
        return None
    rate = parse_rate(pieces[0])
    if rate is None:
        return None
    return Override(rate, ":".join(pieces[1:-2]), int(pieces[-2]), int(pieces[-1]), reason, slot)


def parse_history(metadata: Mapping[str, str]) -> list[Override]:
    """The last ten, newest first; the one that holds now may be among them."""
    found = []
    for slot in range(MAX_HISTORY):
        one = parse_override(metadata.get(f"{KEY}:{slot}", ""), metadata.get(f"{REASON}:{slot}", ""), slot)
        found += [one] if one else []
    return sorted(found, key=lambda one: one.since, reverse=True)


def override_at(metadata: Mapping[str, str], time: int) -> Override | None:
    """The override that prices what happens at `time`; of several the newest."""
    current = parse_override(metadata.get(KEY, ""))
    every = [*parse_history(metadata), *([current] if current else [])]
    return max((one for one in every if one.applies_at(time)), key=lambda one: one.since, default=None)


class Overrides:
    """Reads the service record where a price is needed, at most once a minute; writes it for admins."""

    def __init__(self, stripe: StripeApi, records: ServiceRecords, clock: Clock) -> None:
        self._stripe, self._records, self._clock = stripe, records, clock
        self._copy: TTLCache[None, Mapping[str, str]] = TTLCache(1, _COPY_SECONDS, clock.boot)
        self._reading = asyncio.Lock()

    async def effective_at(self, time: int) -> Override | None:
        """The override that prices what happens at `time`. Raises StripeFailure."""
        async with self._reading:
            copy = self._copy.get(None)
            if copy is None:
                copy = self._copy[None] = await self._read()
        return override_at(copy, time)

    async def history(self) -> list[Override]:
        """The last ten, newest first, as they are now. Raises StripeFailure."""
        copy = self._copy[None] = await self._read()
        return parse_history(copy)

    async def set(self, rate: int, operator: str, seconds: int, reason: str) -> Override:
        """Set a rate from now on; one that holds ends now. Raises StripeFailure."""
        now = int(self._clock.wall())
        metadata = await self._read()
        before = parse_history(metadata)
        used = {one.slot for one in before}
        free = [slot for slot in range(MAX_HISTORY) if slot not in used]
        slot = free[0] if free else before[-1].slot
        made = Override(rate, operator, now, now + min(seconds, MAX_OVERRIDE_SECONDS), reason, slot)
        values = {KEY: str(made), f"{KEY}:{slot}": str(made), f"{REASON}:{slot}": reason}
        await self._write(_end(before, now) | values)
        return made

    async def clear(self) -> None:
        """End the override that holds. What happened while it held keeps its price. Raises StripeFailure."""
        now = int(self._clock.wall())
        await self._write({KEY: "", **_end(parse_history(await self._read()), now)})

    async def _read(self) -> Mapping[str, str]:
        async with self._stripe.session() as session:
            try:
                return (await session.get_customer(self._records.service_id)).metadata or {}
            except RequestRejected as error:  # our own record is not there
                raise StripeUnavailable(f"the service record could not be read: {error}") from error

    async def _write(self, values: dict[str, str]) -> None:
        self._copy.clear()
        await self._records.update(values)
        self._copy.clear()


def _end(before: list[Override], now: int) -> dict[str, str]:
    """The slots of those that hold, as ended now."""
    return {f"{KEY}:{one.slot}": str(replace(one, until=now)) for one in before if one.since <= now < one.until}


class RateSource:
    """The rate that counts: an override where one holds, else the market's."""

    def __init__(self, feed: PriceFeed, overrides: Overrides, clock: Clock) -> None:
        self._feed, self._overrides, self._clock = feed, overrides, clock

    async def current_rate(self) -> Rate:
        """The rate for a quote. Raises NoRate, StripeFailure."""
        override = await self._overrides.effective_at(int(self._clock.wall()))
        return _rate_of(override) if override else await self._feed.current_rate()

    async def rate_at(self, time: int) -> Rate:
        """The rate for a plain payment of a block at `time`. Raises NoRate, StripeFailure."""
        override = await self._overrides.effective_at(time)
        return _rate_of(override) if override else await self._feed.rate_at(time)


def _rate_of(override: Override) -> Rate:
    return Rate(override.rate, SOURCE, override.since)
