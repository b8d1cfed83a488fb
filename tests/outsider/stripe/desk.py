"""What happens to a request, in order: key, address, permission, rate, idempotency, parameters, execution."""

import asyncio
import base64
import binascii
import contextlib
import json
import re
from collections import defaultdict, deque
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

from tests.outsider.stripe.account import VERSION, Account, Clock, new_id
from tests.outsider.stripe.endpoints import ENDPOINTS, OTHERS, Endpoint
from tests.outsider.stripe.faults import Fault, Faults, Kind
from tests.outsider.stripe.idempotency import Keys
from tests.outsider.stripe.parameters import parse, read
from tests.outsider.stripe.refusals import Refusal, lock_timeout, rate_limited, server_error, unknown_address

ENDPOINT_RATE, SEARCH_RATE, SANDBOX_RATE, LIVE_RATE = 25, 20, 25, 100
LOCK_SECONDS = 3
_IDEMPOTENT, _SECRET = "idempotency-key", re.compile(r"(sk|rk)_(test|live)_\w+")


@dataclass(frozen=True)
class Request:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Answer:
    """An answer; `sent` says how much of it reaches the client: all, half or nothing."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    sent: str = "all"


@dataclass(frozen=True)
class Seen:
    """A request that came, for scenarios that count them."""

    method: str
    address: str
    path: str
    key: str | None
    status: int
    replayed: bool


@dataclass
class Rates:
    """Requests of the last second, by endpoint."""

    clock: Clock
    total: int
    sent: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def count(self, name: str, most: int, reason: str) -> None:
        """Count a request. Raises: Refusal beyond `most` a second."""
        now, times = self.clock(), self.sent[name]
        while times and times[0] <= now - 1:
            times.popleft()
        if len(times) >= most:
            raise rate_limited(reason)
        times.append(now)


class Desk:
    """Answers requests on behalf of one account. `secrets` maps each API key to its permissions; None means all."""

    def __init__(self, account: Account, secrets: dict[str, set[str] | None]) -> None:
        self.account, self.secrets = account, secrets
        self.keys, self.faults = Keys(account.clock), Faults()
        self.rates = Rates(account.clock, LIVE_RATE if account.live else SANDBOX_RATE)
        self.seen: list[Seen] = []
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def answer(self, request: Request) -> Answer:
        """Answer a request; never raises."""
        request_id = new_id("req", 14)
        url = urlsplit(request.target)
        encoded = request.body.decode(errors="replace") if request.method == "POST" else url.query
        endpoint: Endpoint | None = None
        fault: Fault | None = None
        try:
            permissions = self._authorize(request)
            endpoint, ids = self._route(request.method, url.path, permissions)
            self.rates.count("all", self.rates.total, "global-rate")
            most = SEARCH_RATE if endpoint.address.endswith("/search") else ENDPOINT_RATE
            self.rates.count(f"{request.method} {endpoint.address}", most, "endpoint-rate")
            version = request.headers.get("stripe-version", VERSION)
            if not re.fullmatch(r"\d{4}-\d\d-\d\d(\.[\w-]+)?", version):
                raise Refusal(400, f"Invalid Stripe API version: {version}")
            fault = self.faults.strike(request.method, endpoint.address, parse(encoded))
            answer = await self._faulty(request, endpoint, ids, encoded, request_id, fault)
        except Refusal as refusal:
            answer = Answer(refusal.status, _json(refusal.body(request_id)), dict(refusal.headers))
        key, replayed = request.headers.get(_IDEMPOTENT), "Idempotent-Replayed" in answer.headers
        address = endpoint.address if endpoint else url.path
        self.seen.append(Seen(request.method, address, url.path, key, answer.status, replayed))
        date = formatdate(self.account.clock(), usegmt=True)
        if answer.status == 502:  # of the edge, which knows nothing of the API
            answer.headers["Date"] = date
            return answer
        answer.headers = {
            "Content-Type": "application/json",
            "Date": date,
            "Request-Id": request_id,
            "Stripe-Version": request.headers.get("stripe-version", VERSION),
            **({"Idempotency-Key": key} if key and request.method == "POST" else {}),
            **answer.headers,
        }
        return answer

    def _authorize(self, request: Request) -> set[str] | None:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            with contextlib.suppress(binascii.Error):
                value = base64.b64decode(value).decode(errors="replace").partition(":")[0]
        if not value:
            raise Refusal(401, "You did not provide an API key.")
        if value not in self.secrets:
            shown = f"{value[:8]}{'*' * max(0, len(value) - 12)}{value[-4:]}"
            raise Refusal(401, f"Invalid API Key provided: {shown}")
        return self.secrets[value]

    def _route(self, method: str, path: str, permissions: set[str] | None) -> tuple[Endpoint, list[str]]:
        endpoint, ids = next(
            ((each, ids) for each in ENDPOINTS if each.method == method and (ids := each.match(path)) is not None),
            (None, []),
        )
        needed = endpoint.permission if endpoint else None
        if endpoint is None and path.startswith("/v1/") and path.split("/")[2] in OTHERS:
            needed = f"rak_{path.split('/')[2].removesuffix('s')}_{'read' if method == 'GET' else 'write'}"
        if needed and permissions is not None and not {needed, needed.replace("_read", "_write")} & permissions:
            message = "The provided key does not have the required permissions for this endpoint."
            raise Refusal(403, f"{message} Having the '{needed}' permission would allow this request to continue.")
        if endpoint is None:
            raise unknown_address(method, path)
        return endpoint, ids

    async def _faulty(
        self, request: Request, endpoint: Endpoint, ids: list[str], encoded: str, request_id: str, fault: Fault | None
    ) -> Answer:
        kind = fault.kind if fault else None
        if kind is Kind.LOST_BEFORE:
            return Answer(0, b"", sent="nothing")
        if kind is Kind.HTML_502:
            return Answer(502, b"<html><body>Bad Gateway</body></html>", {"Content-Type": "text/html"})
        if kind is Kind.RATE_LIMITED:
            raise rate_limited("endpoint-rate")
        answer = await self._idempotent(request, endpoint, ids, encoded, request_id, fault)
        if fault and kind is Kind.SLOW_AFTER:
            await asyncio.sleep(fault.seconds)
        if kind is Kind.LOST_AFTER:
            answer.sent = "nothing"
        if kind is Kind.CUT:
            answer.sent = "half"
        return answer

    async def _idempotent(
        self, request: Request, endpoint: Endpoint, ids: list[str], encoded: str, request_id: str, fault: Fault | None
    ) -> Answer:
        key = request.headers.get(_IDEMPOTENT) if request.method == "POST" else None
        parameters = parse(encoded)
        if key:
            compared = json.dumps(parameters, sort_keys=True)
            use = self.keys.begin(key, urlsplit(request.target).path, compared, request_id)
            if use and use.answer:
                status, body, headers = use.answer
                replayed = {"Idempotent-Replayed": "true", "Original-Request": use.request_id}
                return Answer(status, body, {**headers, **replayed})
        try:
            given = read(parameters, endpoint.specification, endpoint.required)
        except Refusal:
            if key:
                self.keys.release(key)
            raise
        try:
            status, body, headers = await self._execute(endpoint, ids, given, request_id, fault)
        except Refusal:  # before the execution began
            if key:
                self.keys.release(key)
            raise
        if key:
            self.keys.save(key, (status, body, headers))
            headers = {**headers, "Original-Request": request_id}
        return Answer(status, body, headers)

    async def _execute(
        self, endpoint: Endpoint, ids: list[str], given: dict[str, Any], request_id: str, fault: Fault | None
    ) -> tuple[int, bytes, dict[str, str]]:
        kind = fault.kind if fault else None
        if endpoint.method == "GET" or not ids:
            return await self._run(endpoint, ids, given, request_id, fault)
        if kind is Kind.LOCKED:
            raise lock_timeout()
        lock = self._locks[ids[0]]
        try:
            await asyncio.wait_for(lock.acquire(), LOCK_SECONDS)
        except TimeoutError:
            raise lock_timeout() from None
        try:
            return await self._run(endpoint, ids, given, request_id, fault)
        finally:
            lock.release()

    async def _run(
        self, endpoint: Endpoint, ids: list[str], given: dict[str, Any], request_id: str, fault: Fault | None
    ) -> tuple[int, bytes, dict[str, str]]:
        kind = fault.kind if fault else None
        if kind is Kind.LOCKED:
            raise lock_timeout()
        if fault and kind is Kind.SLOW_BEFORE:
            await asyncio.sleep(fault.seconds)
        try:
            if kind is Kind.SAVED_500:
                raise server_error()
            shown = endpoint.action(self.account, ids, given)
            if kind is Kind.EXECUTED_500:
                raise server_error()
        except Refusal as refusal:
            return refusal.status, _json(refusal.body(request_id)), dict(refusal.headers)
        return 200, _json(shown), {}


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, indent=2).encode()
