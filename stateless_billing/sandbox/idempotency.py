"""Idempotency keys of API v1 (docs.stripe.com/api/idempotent_requests, docs.stripe.com/error-low-level).

The first answer given after execution began is saved with its status, a 500 included, and replayed. A key lives at
least 24 hours, counted from its first request; how much longer is drawn per key, because nothing says when it goes.
A key belongs to the whole account: another path or other parameters are refused, never executed.
"""

import random
from dataclasses import dataclass

from stateless_billing.sandbox.answers import Outcome, Refusal
from stateless_billing.sandbox.forms import Group

SHORTEST_LIFE = 86_400.0
LONGEST_KEY = 255


@dataclass(slots=True)
class SavedAnswer:
    """One key: the request it was first used for, and what was answered (None while that request runs)."""

    path: str
    parameters: Group
    request_id: str
    started: float
    life: float
    outcome: Outcome | None = None


class IdempotencyKeys:
    """The keys of one account. `longest_life` (seconds, at least 24 h) bounds how long a key may live."""

    def __init__(self, rng: random.Random, longest_life: float = 30 * 3600.0) -> None:
        self._rng = rng
        self._saved: dict[str, SavedAnswer] = {}
        self.longest_life = longest_life

    def __len__(self) -> int:
        return len(self._saved)

    def replayed(self, key: str, path: str, parameters: Group, now: float) -> Outcome | None:
        """The saved answer, or None when the key is free.

        Raises `Refusal` 400 `idempotency_error` for another endpoint or other parameters, and 409
        `idempotency_key_in_use` while the first request still runs.
        """
        saved = self._saved.get(key)
        if saved is None:
            return None
        if saved.outcome is not None and now - saved.started >= saved.life:
            del self._saved[key]
            return None
        if saved.path != path:
            raise _mismatch(f"for the same endpoint they were first used for ('{saved.path}' vs '{path}')", key)
        if saved.parameters != parameters:
            raise _mismatch("with the same parameters they were first used with", key)
        if saved.outcome is None:
            raise in_use(key)
        outcome = saved.outcome
        return Outcome(outcome.status, outcome.body, outcome.headers, replayed=True, original=saved.request_id)

    def start(self, key: str, path: str, parameters: Group, request_id: str, now: float) -> None:
        """Take the key: execution begins."""
        extra = max(0.0, self.longest_life - SHORTEST_LIFE)
        life = SHORTEST_LIFE + self._rng.random() * extra
        self._saved[key] = SavedAnswer(path, parameters, request_id, now, life)

    def save(self, key: str, outcome: Outcome) -> None:
        """Keep the answer of the request that took the key."""
        self._saved[key].outcome = outcome

    def forget(self, key: str) -> None:
        """Free the key: this answer is one that Stripe does not save."""
        self._saved.pop(key, None)

    def age(self, seconds: float) -> None:
        """Make every key older, without moving the clock."""
        for saved in self._saved.values():
            saved.started -= seconds


def in_use(key: str) -> Refusal:
    """The refusal of a request whose key another running request holds."""
    message = (
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted "
        f"twice, and the other request is still going through): {key}. Please try again later."
    )
    return Refusal(409, message, code="idempotency_key_in_use")


def checked_key(key: str) -> str:
    """The key, if it is short enough; raises `Refusal` 400."""
    if len(key) > LONGEST_KEY:
        raise Refusal(400, f"Idempotency keys are at most {LONGEST_KEY} characters", kind="idempotency_error")
    return key


def _mismatch(condition: str, key: str) -> Refusal:
    message = (
        f"Keys for idempotent requests can only be used {condition}. "
        f"Try using a key other than '{key}' if you meant to execute a different request."
    )
    return Refusal(400, message, kind="idempotency_error")
