"""Checks that a webhook came from the service, by its `Billing-Signature`."""

import hashlib
import hmac
import re

MAX_AGE = 300  # seconds; an older request may be a replay


def is_authentic(secret: str, header: str, body: bytes, now: int) -> bool:
    """Whether `header` signs exactly these bytes: check before parsing them, and not a copy that was encoded again."""
    match = re.fullmatch(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})", header)
    if not match or abs(now - int(match[1])) > MAX_AGE:
        return False
    expected = hmac.new(secret.encode(), f"{match[1]}.".encode() + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, match[2])
