"""Error responses as RFC 9457 problem+json."""

import logging
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ExceptionHandler

from chain.errors import ChainError
from stateless_billing.domain.errors import PROBLEMS, ProblemError
from stateless_billing.stripe.errors import StripeFailure

log = logging.getLogger(__name__)

_BY_STATUS = {400: "bad_request", 404: "not_found", 405: "method_not_allowed"}
_LATER = "Payments you already made are safe and are credited as usual. Try again in a minute."
RETRY_SECONDS = "5"
MEDIA_TYPE = "application/problem+json"


def problem_response(request: Request, code: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Create the response for a problem."""
    body = problem_document(code, detail, request.scope.get("request_id"))
    status = body["status"]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"retry-after": RETRY_SECONDS, **(headers or {})}
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def problem_document(code: str, detail: str, request_id: str | None) -> dict[str, Any]:
    """Create the body of a problem. `request_id` is what users quote to support."""
    status, title = PROBLEMS[code]
    return {"type": f"/problems/{code}", "title": title, "status": status, "detail": detail, "request_id": request_id}


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem_response(request, error.code, error.detail)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _BY_STATUS.get(error.status_code, "bad_request")
    headers = dict(error.headers) if error.headers else None
    return problem_response(request, code, f"{request.method} {request.url.path[:100]}", headers)


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
