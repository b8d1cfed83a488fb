"""Reads the token's market rate from CoinGecko: now for quotes, at the block's time for plain payments."""

import asyncio
import logging
from urllib.parse import urlsplit

import httpx
from cachetools import TTLCache

from stateless_billing.domain.money import Rate
from stateless_billing.pricing import rates
from stateless_billing.pricing.rates import HOUR, NoRate, Sample
from stateless_billing.runtime import metrics
from stateless_billing.runtime.bounded_http import MAX_RESPONSE_BYTES, parse_response, response_limits
from stateless_billing.runtime.clock import Clock

log = logging.getLogger(__name__)

_RATE_TTL_SECONDS = 60  # as long as the feed's own cache
_RETRY_AFTER_FAILURE_SECONDS = 15  # a feed that is down or limits us gets four requests a minute
_HOURLY_SECONDS = 1800
_WATCH_SECONDS = 600  # 4,400 calls a month of a demo key's 10,000
_DAY = 24 * HOUR
_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
_CALL_TIMEOUT_SECONDS = 20.0
_LIMITS = response_limits(MAX_RESPONSE_BYTES, _CALL_TIMEOUT_SECONDS)


class PriceFeed:
    """CoinGecko's `market_chart/range`: five-minute samples of the last day, hourly ones before that."""

    def __init__(self, *, http: httpx.AsyncClient, base: str, coin: str, api_key: str | None, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._url = f"{base}/api/v3/coins/{coin}/market_chart/range"
        plan = "pro" if (urlsplit(base).hostname or "").startswith("pro-") else "demo"
        self._headers = {f"x-cg-{plan}-api-key": api_key} if api_key else {}
        self.source = f"coingecko:{coin}"
        timer = clock.boot
        self._samples: TTLCache[tuple[int, int], list[Sample]] = TTLCache(64, _HOURLY_SECONDS, timer)
        self._recent: TTLCache[None, list[Sample]] = TTLCache(1, _RATE_TTL_SECONDS, timer)
        self._failed_at: TTLCache[None, str] = TTLCache(1, _RETRY_AFTER_FAILURE_SECONDS, timer)
        self._lock = asyncio.Lock()
        self.latest: Rate | None = None
        """The newest sample received, as a rate."""
        self.recovered_at = 0.0
        """When there was a current rate again after there was none; seconds of the boot clock."""
        self._is_failing = False

    async def current_rate(self) -> Rate:
        """Return the market rate for a quote. Raises: NoRate."""
        try:
            rate = self._rate_of(rates.rate_near(await self._last_day(), int(self._clock.wall())))
        except NoRate:
            self._is_failing = True
            raise
        if self._is_failing:
            self._is_failing, self.recovered_at = False, self._clock.boot()
        return rate

    async def rate_at(self, time: int) -> Rate:
        """Return the market rate for a plain payment in a block at `time` (unix seconds). Raises: NoRate."""
        if self._clock.wall() - time <= rates.RECENT:
            return self._rate_of(rates.rate_near(await self._last_day(), time))
        hour = time - time % HOUR
        return self._rate_of(
            rates.rate_between_hours(await self._samples_between(hour - 3 * HOUR, hour + 4 * HOUR), time)
        )

    async def last_day(self) -> list[Sample]:
        """Return the samples of the last day, oldest first. Raises: NoRate."""
        return await self._last_day()

    async def watch(self) -> None:
        """Read the rate periodically, so that an outage shows up before a payer meets it."""
        while True:
            try:
                await self.current_rate()
            except NoRate as error:
                log.warning("%s", error)
            except Exception:
                log.exception("price watch: the rate could not be read, the sweep goes on")
            await asyncio.sleep(_RETRY_AFTER_FAILURE_SECONDS if self._is_failing else _WATCH_SECONDS)

    def _rate_of(self, sample: Sample) -> Rate:
        return Rate(sample.rate, self.source, sample.time)

    async def _last_day(self) -> list[Sample]:
        async with self._lock:
            samples = self._recent.get(None)
            if samples is None:
                now = int(self._clock.wall())
                samples = self._recent[None] = await self._request(now - _DAY, now)
                self.latest = self._rate_of(samples[-1]) if samples else self.latest
            return samples

    async def _samples_between(self, start: int, stop: int) -> list[Sample]:
        async with self._lock:
            samples = self._samples.get((start, stop))
            if samples is None:
                samples = self._samples[start, stop] = await self._request(start, stop)
            return samples

    async def _request(self, start: int, stop: int) -> list[Sample]:
        if failed := self._failed_at.get(None):
            raise NoRate(failed)
        params: dict[str, str | int] = {"vs_currency": "usd", "from": start, "to": stop, "precision": "full"}
        try:
            async with asyncio.timeout(_CALL_TIMEOUT_SECONDS):  # the phases' timeouts start again with every byte
                answer = await self._http.get(
                    self._url, params=params, headers=self._headers, timeout=_TIMEOUT, extensions=_LIMITS
                )
            if answer.status_code != httpx.codes.OK:
                text = answer.content[:200].decode(errors="replace")
                log.warning("the price feed answered HTTP %s: %s", answer.status_code, text)
                raise NoRate(f"the price feed answered HTTP {answer.status_code}")
            samples = await parse_response(rates.parse_samples, answer.content)
        except (httpx.HTTPError, TimeoutError) as error:
            cause = f"the price feed did not answer: {type(error).__name__}"
            self._record_failure(cause)
            raise NoRate(cause) from error
        except NoRate as error:
            self._record_failure(str(error))
            raise
        metrics.PRICE_CALLS.labels("ok").inc()
        return samples

    def _record_failure(self, cause: str) -> None:
        metrics.PRICE_CALLS.labels("failed").inc()
        self._failed_at[None] = cause
