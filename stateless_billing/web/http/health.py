"""`GET /healthz`: the process lives."""

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from stateless_billing.web.http.json_response import StructResponse

PATH = "/healthz"


class HealthResponse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The process lives."""

    ok: Annotated[bool, Meta(description="Always true.", extra_json_schema={"const": True})]


async def healthz(request: Request) -> Response:
    """Answer: the process lives. Nothing is read for it."""
    return StructResponse(HealthResponse(ok=True))
