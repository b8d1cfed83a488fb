"""Mailbox stand-in: Resend's `POST /emails` (resend.com/docs/api-reference/emails/send-email), readable by tests.

Keys may only send unless `full_access`: any other endpoint is a 401 (resend.com/docs/api-reference/errors).

Idempotency keys live 24 h and have 1 to 256 characters; the same key with a different payload is a 409
(resend.com/docs/dashboard/emails/idempotency-keys). Two requests a second per team by default
(resend.com/docs/api-reference/rate-limit).
"""

import json
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from stateless_billing.sandbox import identifiers
from stateless_billing.sandbox.answers import LOST_ANSWER, Answer, Json, json_answer

KEY_LIFE_SECONDS = 86_400
MAX_KEY_LENGTH = 256
MAX_MAILS = 1000
FAULTS = {
    "rate_limited": (429, "rate_limit_exceeded"),
    "daily_quota": (429, "daily_quota_exceeded"),
    "monthly_quota": (429, "monthly_quota_exceeded"),
    "concurrent": (409, "concurrent_idempotent_requests"),
    "server_error": (500, "internal_server_error"),
    "lost_after": (0, ""),
    "lost_before": (0, ""),
}


@dataclass(frozen=True, slots=True)
class Mail:
    """An accepted mail; `at` in Unix seconds."""

    id: str
    at: float
    sender: str
    to: tuple[str, ...]
    subject: str
    text: str
    html: str
    idempotency_key: str

    def to_json(self) -> Json:
        """Return the mail for the control interface."""
        return asdict(self)


class Mailbox:
    """Accepts mail. A nonempty `api_keys` lists the keys that may send; `per_second` None disables the limit."""

    def __init__(self, clock: Callable[[], float], rng: random.Random, per_second: int | None = 2) -> None:
        self._clock = clock
        self._rng = rng
        self.per_second = per_second
        self.api_keys: set[str] = set()
        self.full_access = False
        self.mails: deque[Mail] = deque(maxlen=MAX_MAILS)
        self._faults: deque[str] = deque()
        self._recent: deque[float] = deque()
        self._saved: dict[str, tuple[float, object, bytes]] = {}

    def fail(self, name: str, times: int = 1) -> None:
        """Make the next `times` requests fail with a fault of `FAULTS`. Raises: ValueError for an unknown name."""
        if name not in FAULTS:
            raise ValueError(f"unknown mail fault {name}")
        self._faults.extend([name] * times)

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Answer one request."""
        now = self._clock()
        lower = {name.lower(): value for name, value in headers.items()}
        fault = self._faults.popleft() if self._faults else ""
        if fault == "lost_before":
            return LOST_ANSWER
        bare = path.partition("?")[0]
        if (method, bare) == ("GET", "/domains"):
            return self._refusal(lower, now, fault) or self._domains()
        if (method, bare) != ("POST", "/emails"):
            return _failure(404, "not_found", "The requested endpoint does not exist.")
        refused = self._refusal(lower, now, fault)
        if refused is not None:
            return refused
        answer = self._accept(lower.get("idempotency-key"), body, now)
        return LOST_ANSWER if fault == "lost_after" else answer

    def _domains(self) -> Answer:
        if not self.full_access:
            return _failure(401, "restricted_api_key", "This API key is restricted to only send emails.")
        return json_answer(200, json.dumps({"object": "list", "has_more": False, "data": []}).encode())

    def _refusal(self, headers: Mapping[str, str], now: float, fault: str) -> Answer | None:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            return _failure(401, "missing_api_key", "Missing API key in the authorization header.")
        if self.api_keys and key not in self.api_keys:
            return _failure(403, "invalid_api_key", "API key is invalid.")
        if fault and fault != "lost_after":
            status, name = FAULTS[fault]
            return _failure(status, name, f"{name}.")
        if self.per_second is not None:
            while self._recent and not now - 1 < self._recent[0] <= now:
                self._recent.popleft()
            if len(self._recent) >= self.per_second:
                return _failure(429, "rate_limit_exceeded", "Too many requests.", {"retry-after": "1"})
            self._recent.append(now)
        return None

    def _accept(self, key: str | None, body: bytes, now: float) -> Answer:
        if key is not None and not 1 <= len(key) <= MAX_KEY_LENGTH:
            return _failure(400, "invalid_idempotency_key", f"The key must be between 1-{MAX_KEY_LENGTH} chars.")
        try:
            payload = json.loads(body)
            mail = self._mail(payload, key or "", now)
        except (ValueError, TypeError, AttributeError):
            return _failure(400, "validation_error", "The request body is not a mail.")
        except KeyError as missing:
            return _failure(422, "missing_required_field", f"Missing `{missing.args[0]}` field.")
        saved = self._saved.get(key) if key else None
        if saved is not None and now - saved[0] < KEY_LIFE_SECONDS:
            if saved[1] != payload:
                return _failure(
                    409, "invalid_idempotent_request", "Same idempotency key used with a different payload."
                )
            return json_answer(200, saved[2])
        self.mails.append(mail)
        answer = json.dumps({"id": mail.id}).encode()
        if key:
            self._saved[key] = (now, payload, answer)
        return json_answer(200, answer)

    def _mail(self, payload: dict[str, str | list[str]], key: str, now: float) -> Mail:
        to = payload["to"]
        if "html" not in payload and "text" not in payload:
            raise KeyError("html")
        return Mail(
            identifiers.uuid(self._rng),
            now,
            str(payload["from"]),
            (to,) if isinstance(to, str) else tuple(to),
            str(payload["subject"]),
            str(payload.get("text", "")),
            str(payload.get("html", "")),
            key,
        )


def _failure(status: int, name: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    body = json.dumps({"statusCode": status, "name": name, "message": message})
    return json_answer(status, body.encode(), headers)
