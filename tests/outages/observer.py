"""Watches the service as payers' pages and a load balancer do, and remembers each distinct answer."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

_POLL_SECONDS = 0.25
_ANSWER_SECONDS = 10.0
_FINE = {"confirming", "credited"}


class Observer:
    """Distinct answers, in the order of their first appearance."""

    def __init__(self, url: str, hashes: Sequence[str]) -> None:
        self._url = url
        self._hashes = hashes
        self._ended = threading.Event()
        self._states: dict[str, None] = {}
        self._readiness: dict[str, None] = {}
        self.details: dict[str, None] = {}
        """The words of the checks of `/readyz` that failed."""

    @property
    def states(self) -> list[str]:
        """The states of the payments, with their causes: `pending: stripe_down`."""
        return list(self._states)

    @property
    def payers(self) -> str:
        """What payers saw other than an ordinary payment's way."""
        return ", ".join(state for state in self._states if state not in _FINE) or "nothing unusual"

    @property
    def readiness(self) -> str:
        """What `/readyz` said: `ready`, and the checks that failed."""
        return ", ".join(self._readiness)

    def unsaid(self, *expected: str) -> list[str]:
        """Which of these were never said: states of payments, words of `/readyz` or of its failed checks."""
        said = [*self._states, *self._readiness, *self.details]
        return [words for words in expected if not any(words in other for other in said)]

    def watch(self) -> None:
        """Ask until `stop`."""
        with httpx.Client(trust_env=False, timeout=_ANSWER_SECONDS) as http:
            while not self._ended.wait(_POLL_SECONDS):
                self._look(http)

    def stop(self) -> None:
        """Stop watching."""
        self._ended.set()

    def _look(self, http: httpx.Client) -> None:
        for tx_hash in self._hashes:
            try:
                answer = http.post(f"{self._url}/api/payments", json={"tx_hash": tx_hash})
                self._states[_state_of(answer)] = None
            except httpx.TransportError as error:
                self._states[f"no answer ({type(error).__name__})"] = None
        try:
            answer = http.get(f"{self._url}/readyz")
        except httpx.TransportError as error:
            self._readiness[f"no answer ({type(error).__name__})"] = None
            return
        checks: dict[str, dict[str, Any]] = answer.json()["checks"]
        failed = [name for name, check in checks.items() if not check["ok"]]
        for name in failed:
            self.details[f"{name}: {checks[name]['detail']}"] = None
        self._readiness[_words("ready" if answer.is_success else "not ready", failed)] = None


def _state_of(answer: httpx.Response) -> str:
    body = answer.json()
    if not answer.is_success:
        return f"{answer.status_code} {str(body['type']).removeprefix('/problems/')}"
    payments = body["payments"]
    cause = payments[0]["cause"] if payments else body.get("cause")
    return f"{body['state']}: {cause}" if cause else str(body["state"])


def _words(verdict: str, failed: Sequence[str]) -> str:
    return f"{verdict} ({' '.join(failed)})" if failed else verdict


@contextmanager
def observing(url: str, hashes: Sequence[str]) -> Iterator[Observer]:
    """Watch for the duration of the block."""
    observer = Observer(url, hashes)
    thread = threading.Thread(target=observer.watch)
    thread.start()
    try:
        yield observer
    finally:
        observer.stop()
        thread.join()
