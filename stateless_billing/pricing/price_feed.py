"""Reads the token's market rate from CoinGecko: now for quotes, at the block's time for plain payments."""

import asyncio
import contextvars
import logging
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import httpx
from cachetools import TTLCache

from stateless_billing.assumptions.breaches import Breaches
from stateless_billing.assumptions.price_watch import PriceWatch
from stateless_billing.domain.money import Rate
from stateless_billing.pricing import rates
from stateless_billing.pricing.rates import HOUR, NoRate, Sample
from stateless_billing.runtime import metrics
from stateless_billing.runtime.bounded_http import MAX_RESPONSE_BYTES, parse_response, response_limits
from stateless_billing.runtime.clock import Clock

log = logging.getLogger(__name__)

RECENT_SPAN_SECONDS = 23 * HOUR  # a span of a full day may count as more than a day, which has hourly samples only
PAST_SPAN_SECONDS = 48 * HOUR  # a span of a day or less that ends in the past may have no samples at all
_HOURS_BEFORE_BLOCK = 3
MAX_WAIT_SECONDS = 2.0  # no page and no credit waits longer for a rate
_RATE_TTL_SECONDS = 60  # as long as the feed's own cache
_RETRY_AFTER_FAILURE_SECONDS = 15  # a feed that is down or limits us gets four requests a minute
_HOURLY_SECONDS = 1800
_WATCH_SECONDS = 600  # 4,400 calls a month of a demo key's 10,000
_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
CALL_TIMEOUT_SECONDS = 20.0
_LIMITS = response_limits(MAX_RESPONSE_BYTES, CALL_TIMEOUT_SECONDS)


_Kind = Literal["recent", "past"]


@dataclass(frozen=True, slots=True)
class _Span:
    """A range of Unix seconds, both ends included."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Request:
    """A request that several callers may wait for."""

    task: asyncio.Task[list[Sample]]
    sent_at: float
    """Seconds of the event loop's clock."""


class PriceFeed:
    """CoinGecko's `market_chart/range`: five-minute samples of the last day, hourly ones before that.

    Requests run in the background. A caller waits for one at most `max_wait_seconds` from its beginning; then the
    samples read before serve as long as they give a rate.
    """

    def __init__(
        self,
        *,
        http: httpx.AsyncClient,
        base: str,
        coin: str,
        api_key: str | None,
        clock: Clock,
        max_wait_seconds: float = MAX_WAIT_SECONDS,
        watch: PriceWatch | None = None,
    ) -> None:
        self._http = http
        self._clock = clock
        self._watch = watch or PriceWatch(Breaches())
        self._max_wait_seconds = max_wait_seconds
        self._url = f"{base}/api/v3/coins/{coin}/market_chart/range"
        plan = "pro" if (urlsplit(base).hostname or "").startswith("pro-") else "demo"
        self._headers = {f"x-cg-{plan}-api-key": api_key} if api_key else {}
        self.source = f"coingecko:{coin}"
        timer = clock.boot
        self._past: TTLCache[int, list[Sample]] = TTLCache(64, _HOURLY_SECONDS, timer)
        self._recent: TTLCache[int | None, list[Sample]] = TTLCache(16, _RATE_TTL_SECONDS, timer)
        self._failed_at: TTLCache[None, str] = TTLCache(1, _RETRY_AFTER_FAILURE_SECONDS, timer)
        self._last_recent: tuple[int, list[Sample]] = (0, [])
        """The beginning of the newest span up to now that was answered, and its samples."""
        self._requests: dict[tuple[_Kind, int | None], _Request] = {}
        self._past_lock = asyncio.Lock()
        self.latest: Rate | None = None
        """The newest sample received, as a rate."""
        self.recovered_at = 0.0
        """When there was a rate again after there was none; seconds of the boot clock."""
        self._is_unpriced = False
        self._unanswered: set[_Kind] = set()

    async def current_rate(self) -> Rate:
        """Return the market rate for a quote. Raises: NoRate."""
        try:
            sample = await self._current_sample()
        except NoRate:
            self._is_unpriced = True
            raise
        if self._is_unpriced:
            self._is_unpriced, self.recovered_at = False, self._clock.boot()
        return self._rate_of(sample)

    async def rate_at(self, time: int) -> Rate:
        """Return the market rate for a plain payment in a block at `time` (unix seconds). Raises: NoRate."""
        now = int(self._clock.wall())
        if now - time > rates.RECENT:
            return self._rate_of(rates.rate_between_hours(await self._samples_around(time), time))
        try:
            samples = await self._samples_since(time - HOUR + 1, now)
        except NoRate:
            start, samples = self._last_recent
            if not (samples and start < time - HOUR and time < samples[-1].time):  # nothing is missing up to the block
                raise
        return self._rate_of(rates.rate_near(samples, time))

    async def recent_samples(self) -> list[Sample]:
        """Return the samples of the last 23 hours, oldest first. Raises: NoRate."""
        return await self._samples_since(None, int(self._clock.wall()))

    def last_known_rate(self) -> int | None:
        """Return the lowest rate of the last hour that was answered, however long ago; None if there is none."""
        samples = [sample for sample in self._last_recent[1] if sample.rate != rates.IMPLAUSIBLE]
        return min((sample.rate for sample in samples if sample.time > samples[-1].time - HOUR), default=None)

    async def probe_recent(self) -> list[Sample]:
        """Ask for the samples of the last 23 hours and wait for the whole answer. Raises: NoRate."""
        now = int(self._clock.wall())
        samples = await self._request(_Span(now - RECENT_SPAN_SECONDS, now))
        self._keep_recent(None, now - RECENT_SPAN_SECONDS, samples)
        return samples

    async def probe_past(self, time: int) -> list[Sample]:
        """Ask for the hourly samples around `time` and wait for the whole answer. Raises: NoRate."""
        return await self._request(_past_span(time, int(self._clock.wall())))

    async def watch(self) -> None:
        """Read the rate periodically, so that an outage shows up before a payer meets it."""
        while True:
            try:
                await self.current_rate()
            except NoRate as error:
                log.warning("%s", error)
            except Exception:
                log.exception("price watch: the rate could not be read, the sweep goes on")
            is_failing = self._is_unpriced or "recent" in self._unanswered
            await asyncio.sleep(_RETRY_AFTER_FAILURE_SECONDS if is_failing else _WATCH_SECONDS)

    async def aclose(self) -> None:
        """End the requests that run in the background."""
        tasks = [request.task for request in self._requests.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _rate_of(self, sample: Sample) -> Rate:
        return Rate(sample.rate, self.source, sample.time)

    async def _current_sample(self) -> Sample:
        try:
            samples = await self.recent_samples()
        except NoRate as late:
            try:
                return rates.rate_near(self._last_recent[1], int(self._clock.wall()))
            except NoRate:
                raise late from None
        return rates.rate_near(samples, int(self._clock.wall()))

    async def _samples_since(self, start: int | None, now: int) -> list[Sample]:
        """Five-minute samples from `start` (None, or later: 23 hours ago) to now, at most a minute old."""
        usual = now - RECENT_SPAN_SECONDS
        key = start if start is not None and start < usual else None
        samples = self._recent.get(key)
        if samples is None:
            samples = await self._share(("recent", key), _Span(usual if key is None else key, now))
        return samples

    async def _samples_around(self, time: int) -> list[Sample]:
        hour = time - time % HOUR
        samples = self._past.get(hour)
        if samples is None:
            samples = await self._share(("past", hour), _past_span(time, int(self._clock.wall())))
        return samples

    async def _share(self, key: tuple[_Kind, int | None], span: _Span) -> list[Sample]:
        """Wait a short while for a request, which others may have begun. Raises: NoRate."""
        loop = asyncio.get_running_loop()
        request = self._requests.get(key)
        if request is None:
            # Without the caller's context: the request is not a part of what its log lines are about.
            task = loop.create_task(self._fill(key, span), context=contextvars.Context())
            request = self._requests[key] = _Request(task, loop.time())
            task.add_done_callback(lambda _: self._requests.pop(key, None))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        waited = loop.time() - request.sent_at
        await asyncio.wait([request.task], timeout=max(0.0, self._max_wait_seconds - waited))
        try:
            if not request.task.done() or request.task.cancelled():
                raise NoRate("the price feed has not answered yet")
            return request.task.result()
        except NoRate:
            self._unanswered.add(key[0])
            raise

    async def _fill(self, key: tuple[_Kind, int | None], span: _Span) -> list[Sample]:
        """Request a span, cache what came and note a recovery."""
        kind, name = key
        if kind == "past":
            async with self._past_lock:  # one at a time: when it fails, the others are not sent
                samples = await self._request(span)
            assert name is not None
            self._past[name] = samples
        else:
            samples = await self._request(span)
            if not samples:
                cause = "the price feed sent no prices"
                self._record_failure(cause)
                raise NoRate(cause)
            self._keep_recent(name, span.start, samples)
        self._watch.sampled(kind, ((sample.time, sample.rate) for sample in samples), int(self._clock.wall()))
        if kind in self._unanswered:
            self._unanswered.discard(kind)
            self.recovered_at = self._clock.boot()
        return samples

    def _keep_recent(self, name: int | None, start: int, samples: list[Sample]) -> None:
        self._recent[name] = samples
        if samples:
            self._last_recent = start, samples
            self.latest = self._rate_of(samples[-1])

    async def _request(self, span: _Span) -> list[Sample]:
        if failed := self._failed_at.get(None):
            raise NoRate(failed)
        params: dict[str, str | int] = {"vs_currency": "usd", "from": span.start, "to": span.stop, "precision": "full"}
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):  # the phases' timeouts start again with every byte
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


def _past_span(time: int, now: int) -> _Span:
    """The span to ask for around `time`: always two days, from three hours before its hour unless it is recent."""
    stop = min(time - time % HOUR - _HOURS_BEFORE_BLOCK * HOUR + PAST_SPAN_SECONDS, now)
    return _Span(stop - PAST_SPAN_SECONDS, stop)
