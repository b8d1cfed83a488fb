"""Error responses as RFC 9457 problem+json."""

import logging
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from chain.errors import ChainError
from stateless_billing.domain.errors import PROBLEMS, ProblemError
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.web.http.json_response import StructResponse

log = logging.getLogger(__name__)

_BY_STATUS = {400: "bad_request", 404: "not_found", 405: "method_not_allowed"}
_DETAILS = {
    "bad_request": "The request could not be read.",
    "not_found": "Check the address, or start at `/pay`.",
    "method_not_allowed": "Open the address as it was given to you, or start at `/pay`.",
}
_LATER = "Payments you already made are safe and are credited as usual. Try again in a minute."
RETRY_SECONDS = "5"
MEDIA_TYPE = "application/problem+json"
RENDERER = "render_problem"
"""The name, in the application's state, of what renders a problem as a page."""


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a request was not answered as asked."""

    type: Annotated[str, Meta(pattern="^/problems/[a-z_]+$", description="The problem's code, for programs.")]
    title: Annotated[str, Meta(description="The same for every problem of this type.")]
    status: Annotated[int, Meta(ge=400, le=599, description="The HTTP status.")]
    detail: Annotated[str, Meta(description="What happened, whether money moved, and what to do.")]
    request_id: Annotated[str, Meta(description="What to quote to support; also the X-Request-Id header.")]


def problem_response(request: Request, code: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Create the response for a problem: a page for browsers, else the document."""
    document = problem_document(code, detail, request.scope.get("request_id", ""))
    headers = {"vary": "accept", **(headers or {})}
    if document.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"retry-after": RETRY_SECONDS, **headers}
    render_page = getattr(request.app.state, RENDERER, None) if "app" in request.scope else None
    if render_page is not None and accepts_page(request):
        response: Response = render_page(request, document, headers)
        return response
    return StructResponse(document, document.status, headers, media_type=MEDIA_TYPE)


def accepts_page(request: Request) -> bool:
    """Whether `Accept` names a page; browsers always name it, and scripts do not."""
    return "text/html" in request.headers.get("accept", "")


def problem_document(code: str, detail: str, request_id: str) -> ProblemDocument:
    """Create the body of a problem. `request_id` is what users quote to support."""
    status, title = PROBLEMS[code]
    return ProblemDocument(type=f"/problems/{code}", title=title, status=status, detail=detail, request_id=request_id)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem_response(request, error.code, error.detail)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _BY_STATUS.get(error.status_code, "bad_request")
    headers = dict(error.headers) if error.headers else None
    return problem_response(request, code, f"{_DETAILS[code]} No money moved.", headers)


async def _on_chain_error(request: Request, error: Exception) -> Response:
    log.warning("request %s: %s", request.scope.get("request_id"), error)
    return problem_response(request, "chain_unavailable", f"The chain could not be read. {_LATER}")


async def _on_stripe_failure(request: Request, error: Exception) -> Response:
    log.warning("request %s: %s", request.scope.get("request_id"), error)
    return problem_response(request, "stripe_unavailable", f"Stripe could not be read. {_LATER}")


def internal_error_response(request: Request) -> Response:
    """Create the response to an unexpected error."""
    return problem_response(request, "internal", f"Something failed on our side and was logged. {_LATER}")


HANDLERS: dict[type[Exception] | int, ExceptionHandler] = {
    ProblemError: _on_problem,
    HTTPException: _on_http_error,
    ChainError: _on_chain_error,
    StripeFailure: _on_stripe_failure,
}
