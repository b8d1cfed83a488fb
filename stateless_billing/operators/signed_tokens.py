"""Signed tokens for sessions, sign-in links and forms.

The newest secret signs; all secrets verify.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from stateless_billing.runtime.clock import Clock

_CLOCK_SKEW_SECONDS = 120  # by which the signing process's clock may be ahead


class BadToken(Exception):
    """The token was altered, is not ours, or has another purpose."""


class ExpiredToken(BadToken):
    """The token is ours but too old."""


class Tokens:
    """Signs and verifies tokens. A token is valid only for the `purpose` it was signed for."""

    def __init__(self, secrets: Sequence[str], clock: Clock) -> None:
        self._secrets = tuple(secrets)
        self._clock = clock

    def seal(self, purpose: str, values: Mapping[str, Any], at: int | None = None) -> str:
        """Sign values together with the time. Equal values and times give equal tokens."""
        signed_at = int(self._clock.wall()) if at is None else at
        return str(self._serializer(purpose).dumps({**values, "at": signed_at}))

    def open(self, purpose: str, token: str, seconds: int) -> dict[str, Any]:
        """Return the values of a token signed at most `seconds` ago.

        Raises: ExpiredToken, BadToken.
        """
        try:
            values = self._serializer(purpose).loads(token)
        except BadData as error:
            raise BadToken("not signed by us") from error
        if not isinstance(values, dict) or type(values.get("at")) is not int:
            raise BadToken("signed without a time")
        age = self._clock.wall() - values["at"]
        if not -_CLOCK_SKEW_SECONDS <= age <= seconds:
            raise ExpiredToken(f"signed {age:.0f} s ago")
        return values

    def code(self, purpose: str, text: str) -> str:
        """Derive a code of eight base32 characters from a text and the newest secret."""
        return self.codes(purpose, text)[0]

    def codes(self, purpose: str, text: str) -> list[str]:
        """Derive the code by each secret, newest first."""
        return [base64.b32encode(_digest(secret, purpose, text))[:8].decode() for secret in self._secrets]

    def nonces(self, purpose: str, text: str) -> list[str]:
        """Derive 32 hex digits by each secret, newest first."""
        return [_digest(secret, purpose, text).hex()[:32] for secret in self._secrets]

    def _serializer(self, purpose: str) -> URLSafeSerializer:
        return URLSafeSerializer(
            list(reversed(self._secrets)),
            salt=f"stateless-billing/{purpose}",
            signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
        )


def _digest(secret: str, purpose: str, text: str) -> bytes:
    return hmac.new(secret.encode(), f"{purpose}\0{text}".encode(), hashlib.sha256).digest()
