"""Signed values that come back to us: sessions, sign-in links, forms. The newest secret signs, all of them verify."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from stateless_billing.runtime.clock import Clock

_SKEW = 120  # seconds by which the clock of the process that signed may be ahead


class BadToken(Exception):
    """A value that was altered, is not ours or is meant for something else."""


class ExpiredToken(BadToken):
    """A value that was ours, and is too old."""


class Tokens:
    """Signs and verifies; `purpose` keeps one kind of value from passing for another."""

    def __init__(self, secrets: Sequence[str], clock: Clock) -> None:
        self._secrets, self._clock = tuple(secrets), clock

    def seal(self, purpose: str, values: Mapping[str, Any], at: int | None = None) -> str:
        """The values signed, with the time. The same values and time give the same text."""
        signed_at = int(self._clock.wall()) if at is None else at
        return str(self._serializer(purpose).dumps({**values, "at": signed_at}))

    def open(self, purpose: str, token: str, seconds: int) -> dict[str, Any]:
        """What was signed at most so many seconds ago. Raises ExpiredToken, BadToken."""
        try:
            values = self._serializer(purpose).loads(token)
        except BadData as error:
            raise BadToken("not signed by us") from error
        if not isinstance(values, dict) or type(values.get("at")) is not int:
            raise BadToken("not of our making")
        age = self._clock.wall() - values["at"]
        if not -_SKEW <= age <= seconds:
            raise ExpiredToken(f"signed {age:.0f} s ago")
        return values

    def code(self, purpose: str, text: str) -> str:
        """Eight base32 characters that only we can tell for a text."""
        return self.codes(purpose, text)[0]

    def codes(self, purpose: str, text: str) -> list[str]:
        """The code by each secret, the newest first."""
        return [base64.b32encode(_digest(secret, purpose, text))[:8].decode() for secret in self._secrets]

    def nonce(self, purpose: str, text: str) -> list[str]:
        """Thirty-two hex digits by each secret, the newest first."""
        return [_digest(secret, purpose, text).hex()[:32] for secret in self._secrets]

    def _serializer(self, purpose: str) -> URLSafeSerializer:
        return URLSafeSerializer(
            list(reversed(self._secrets)),
            salt=f"stateless-billing/{purpose}",
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
        )


def _digest(secret: str, purpose: str, text: str) -> bytes:
    return hmac.new(secret.encode(), f"{purpose}\0{text}".encode(), hashlib.sha256).digest()
