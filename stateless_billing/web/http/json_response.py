"""Answers in JSON."""

from typing import Any

import msgspec
from starlette.responses import Response


class StructResponse(Response):
    """Sends a Struct as JSON, its fields in their order."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode the body."""
        return msgspec.json.encode(content)
