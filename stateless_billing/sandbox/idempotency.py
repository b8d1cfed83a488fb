"""Idempotency keys of API v1 (docs.stripe.com/api/idempotent_requests, docs.stripe.com/error-low-level).

The first answer given after execution began is saved with its status, including a 500, and replayed. A key lives at
least 24 hours from its first request; the additional time is random per key, because Stripe does not document it.
A key belongs to the whole account: another path or other parameters are rejected, never executed.
"""

import random
from dataclasses import dataclass

from stateless_billing.sandbox.answers import Outcome, Refusal
from stateless_billing.sandbox.forms import Group

MIN_KEY_LIFE_SECONDS = 86_400.0
MAX_KEY_LENGTH = 255


@dataclass(slots=True)
class SavedAnswer:
    """A key: the request it was first used for, and the outcome (None while that request runs)."""

    path: str
    parameters: Group
    request_id: str
    started: float
    life: float
    outcome: Outcome | None = None


class IdempotencyKeys:
    """The keys of an account. `longest_life` (seconds, at least 24 h) bounds a key's life."""

    def __init__(self, rng: random.Random, longest_life: float = 30 * 3600.0) -> None:
        self._rng = rng
        self._saved: dict[str, SavedAnswer] = {}
        self.longest_life = longest_life

    def __len__(self) -> int:
        return len(self._saved)

    def find_replay(self, key: str, path: str, parameters: Group, now: float) -> Outcome | None:
        """Return the saved answer, or None if the key is free.

        Raises: `Refusal` 400 `idempotency_error` for another endpoint or other parameters, and 409
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
        """Take the key as execution begins."""
        extra = max(0.0, self.longest_life - MIN_KEY_LIFE_SECONDS)
        life = MIN_KEY_LIFE_SECONDS + self._rng.random() * extra
        self._saved[key] = SavedAnswer(path, parameters, request_id, now, life)

    def save(self, key: str, outcome: Outcome) -> None:
        """Save the answer of the request that took the key."""
        self._saved[key].outcome = outcome

    def forget(self, key: str) -> None:
        """Free the key, for an answer that Stripe does not save."""
        self._saved.pop(key, None)

    def age(self, seconds: float) -> None:
        """Make every key older without moving the clock."""
        for saved in self._saved.values():
            saved.started -= seconds


def in_use(key: str) -> Refusal:
    """Return the refusal of a request whose key another running request holds."""
    message = (
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted "
        f"twice, and the other request is still going through): {key}. Please try again later."
    )
    return Refusal(409, message, code="idempotency_key_in_use")


def check_key(key: str) -> str:
    """Return the key if it is short enough. Raises: `Refusal` 400."""
    if len(key) > MAX_KEY_LENGTH:
        raise Refusal(400, f"Idempotency keys are at most {MAX_KEY_LENGTH} characters")
    return key


def _mismatch(condition: str, key: str) -> Refusal:
    message = (
        f"Keys for idempotent requests can only be used {condition}. "
        f"Try using a key other than '{key}' if you meant to execute a different request."
    )
    return Refusal(400, message, kind="idempotency_error")
