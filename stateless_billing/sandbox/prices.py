"""Price feed stand-in: two CoinGecko endpoints with their granularity, caches and errors.

docs.coingecko.com/demo/reference/coins-id-market-chart-range: five-minute points only for a range of a day that ends
now, hourly ones up to 90 days, daily ones above. What is not documented is taken in the way that hurts most: a range of
exactly a day counts as longer, one of less than a day that ends more than 300 s ago has no points.
Prices are exact decimals, printed in full. Times are Unix seconds, in answers milliseconds.
"""

import json
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from urllib.parse import parse_qsl

from stateless_billing.sandbox.answers import LOST_ANSWER, Answer, json_answer

DAY = 86_400
RECENT = 300
HOURLY_UP_TO = 90 * DAY
HISTORY = 365 * DAY
DAILY_READY = 35 * 60
CURRENCIES = frozenset({"usd", "eur", "gbp", "btc", "eth"})


@dataclass(slots=True)
class PriceFault:
    """A fault of `FAULT_NAMES` for `times` requests (None: all); `seconds` is the age of a `stale` price."""

    name: str
    times: int | None = 1
    seconds: int = 7200


FAULT_NAMES = ("rate_limited", "html", "lost", "null", "nan", "zero", "empty", "absurd", "stale")
NO_FAULT = PriceFault("")


class PriceFeed:
    """Serves `/api/v3/coins/{id}/market_chart/range`, `/api/v3/simple/price` and `/api/v3/ping`.

    If `api_key` is set, requests need it in `x-cg-demo-api-key` or `x-cg-pro-api-key`. `calls_per_minute` None disables
    the limit. Without `strict`, every range within the last day has five-minute points (the wide reading of the docs).
    """

    def __init__(
        self, clock: Callable[[], float], coin: str = "lit-protocol", price: Decimal = Decimal("0.006")
    ) -> None:
        self._clock = clock
        self.coin = coin
        self.api_key = ""
        self.calls_per_minute: int | None = None
        self.strict = True
        self.faults: list[PriceFault] = []
        self.calls = 0
        self._recent: deque[float] = deque()
        self._steps: list[tuple[int, Decimal]] = [(0, price)]

    def set_steps(self, *steps: tuple[int, Decimal]) -> None:
        """Set prices, each effective from a Unix second; the first one also applies before its second."""
        self._steps = sorted(steps)

    def set_price(self, price: Decimal) -> None:
        """Set one price for all times."""
        self._steps = [(0, price)]

    def price_at(self, moment: float) -> Decimal:
        """Return the price at a Unix second."""
        place = bisect_right(self._steps, moment, key=lambda step: step[0])
        return self._steps[max(0, place - 1)][1]

    def fail(self, name: str, times: int | None = 1, seconds: int = 7200) -> None:
        """Make the next `times` requests fail. Raises: ValueError for an unknown name."""
        if name not in FAULT_NAMES:
            raise ValueError(f"unknown price fault {name}")
        self.faults.append(PriceFault(name, times, seconds))

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Answer one request; `path` includes the query string."""
        self.calls += 1
        fault = self._next_fault()
        now = self._clock()
        if fault.name == "lost":
            return LOST_ANSWER
        if fault.name == "html":
            return Answer(502, {"Content-Type": "text/html"}, b"<html>502</html>", length=16)
        if fault.name == "rate_limited" or self._exhausted(now):
            return _failure(429, 429, "You've exceeded the Rate Limit.")
        bare, _, query = path.partition("?")
        refused = self._key_refusal(headers)
        if refused is not None:
            return refused
        if method != "GET":
            return json_answer(404, b'{"error":"Incorrect path."}')
        given = dict(parse_qsl(query))
        if bare == f"/api/v3/coins/{self.coin}/market_chart/range":
            return self._range(given, fault, now)
        if bare == "/api/v3/simple/price":
            return self._simple(given, fault, now)
        if bare == "/api/v3/ping":
            return json_answer(200, b'{"gecko_says":"(V3) To the Moon!"}')
        missing = b'{"error":"coin not found"}' if bare.startswith("/api/v3/coins/") else b'{"error":"Incorrect path."}'
        return json_answer(404, missing)

    def _next_fault(self) -> PriceFault:
        if not self.faults:
            return NO_FAULT
        fault = self.faults[0]
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self.faults.pop(0)
        return fault

    def _exhausted(self, now: float) -> bool:
        if self.calls_per_minute is None:
            return False
        while self._recent and not now - 60 < self._recent[0] <= now:
            self._recent.popleft()
        if len(self._recent) >= self.calls_per_minute:
            return True
        self._recent.append(now)
        return False

    def _key_refusal(self, headers: Mapping[str, str]) -> Answer | None:
        if not self.api_key:
            return None
        lower = {name.lower(): value for name, value in headers.items()}
        given = lower.get("x-cg-demo-api-key") or lower.get("x-cg-pro-api-key")
        if given is None:
            return _failure(401, 10002, "API Key Missing.")
        return None if given == self.api_key else _failure(401, 10002, "Invalid API Key.")

    def _range(self, given: dict[str, str], fault: PriceFault, now: float) -> Answer:
        currency = given.get("vs_currency", "")
        if currency not in CURRENCIES:
            return json_answer(400, b'{"error":"invalid vs_currency"}')
        try:
            first, last = _moment(given["from"]), _moment(given["to"])
            digits = _digits(given.get("precision"))
        except (KeyError, ValueError):
            return json_answer(400, b'{"error":"invalid date range or precision"}')
        if first > last:
            return json_answer(400, b'{"error":"invalid date range"}')
        if first < now - HISTORY:
            return _failure(401, 10012, "Your request exceeds the allowed time range.")
        step = self._step(first, last, now, given.get("interval"))
        if step is None:
            return _failure(401, 10005, "This interval is limited to higher plans.")
        if fault.name == "stale":
            now -= fault.seconds
        is_empty = fault.name == "empty" or (self.strict and self._is_short_and_past(first, last, now))
        points = [] if is_empty else _points(first, last, step, now)
        prices = ",".join(f"[{point},{self._price_text(point / 1000, digits, fault)}]" for point in points)
        zeros = ",".join(f"[{point},0.0]" for point in points)
        body = f'{{"prices":[{prices}],"market_caps":[{zeros}],"total_volumes":[{zeros}]}}'
        return json_answer(200, body.encode())

    def _step(self, first: int, last: int, now: float, interval: str | None) -> int | None:
        if interval is not None:
            return {"hourly": 3600, "daily": DAY}.get(interval)
        if last - first > HOURLY_UP_TO:
            return DAY
        if self.strict:
            return RECENT if last - first < DAY and last >= now - RECENT else 3600
        return RECENT if first >= now - DAY - RECENT else 3600

    @staticmethod
    def _is_short_and_past(first: int, last: int, now: float) -> bool:
        return last - first < DAY and last < now - RECENT

    def _simple(self, given: dict[str, str], fault: PriceFault, now: float) -> Answer:
        if "ids" not in given or "vs_currencies" not in given:
            return json_answer(422, b'{"error":"Missing parameter ids or vs_currencies"}')
        if self.coin not in given["ids"].split(",") or fault.name == "empty":
            return json_answer(200, b"{}")
        updated = int(now - now % 60) - (fault.seconds if fault.name == "stale" else 0)
        digits = _digits(given.get("precision"))
        names = [name for name in given["vs_currencies"].split(",") if name in CURRENCIES]
        fields = [f"{json.dumps(name)}:{self._price_text(updated, digits, fault)}" for name in names]
        if given.get("include_last_updated_at") == "true":
            fields.append(f'"last_updated_at":{updated}')
        return json_answer(200, f"{{{json.dumps(self.coin)}:{{{','.join(fields)}}}}}".encode())

    def _price_text(self, moment: float, digits: int | None, fault: PriceFault) -> str:
        if fault.name in ("null", "nan", "zero"):
            return {"null": "null", "nan": "NaN", "zero": "0"}[fault.name]
        price = self.price_at(moment) * (1000 if fault.name == "absurd" else 1)
        if digits is not None:
            price = price.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
        return format(price, "f")


def _points(first: int, last: int, step: int, now: float) -> list[int]:
    """Return the times of the points in a range, in milliseconds, as a cache of the documented age shows them."""
    cache = {RECENT: 30, 3600: 1800, DAY: DAY // 2}[step]
    seen = (now - now % cache - (DAILY_READY if step == DAY else 0)) * 1000
    end = min(last * 1000, seen)
    points = (number * step * 1000 + _jitter(number, step) for number in range(first // step, last // step + 1))
    return [point for point in points if first * 1000 <= point <= end]


def _jitter(number: int, step: int) -> int:
    """Return a point's offset from its grid: some seconds, or none for daily points."""
    return 0 if step == DAY else random.Random(number).randrange(20_000)  # noqa: S311 - reproducible, not secret


def _moment(text: str) -> int:
    if text.isdecimal():
        return int(text)
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _digits(text: str | None) -> int | None:
    if text is None or text == "full":
        return None
    digits = int(text)
    if not 0 <= digits <= 18:
        raise ValueError("precision")
    return digits


def _failure(status: int, code: int, message: str) -> Answer:
    body = json.dumps({"status": {"error_code": code, "error_message": message}})
    return json_answer(status, body.encode())
