"""Receives the webhook of credits, and checks its signature as the integrators' guide says."""

import hashlib
import hmac
import json
import re
import time
from typing import Any

from tests.outsider.stripe.desk import Answer, Request

MAX_AGE_SECONDS = 300


class Receiver:
    """Keeps what was posted; refuses the first `refusals` requests."""

    def __init__(self, secret: str) -> None:
        self.secret, self.refusals = secret, 0
        self.received: list[dict[str, Any]] = []
        self.unsigned = 0

    async def answer(self, request: Request) -> Answer:
        """Answer a webhook: 204, or a refusal."""
        if self.refusals:
            self.refusals -= 1
            return Answer(500, b"")
        if self._is_authentic(request):
            self.received.append(json.loads(request.body))
        else:
            self.unsigned += 1
        return Answer(204, b"")

    def _is_authentic(self, request: Request) -> bool:
        signature = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", request.headers.get("billing-signature", ""))
        if not signature or abs(time.time() - int(signature[1])) > MAX_AGE_SECONDS:
            return False
        signed = signature[1].encode() + b"." + request.body
        return hmac.compare_digest(hmac.new(self.secret.encode(), signed, hashlib.sha256).hexdigest(), signature[2])
