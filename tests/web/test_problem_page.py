"""A browser that opens a refused address gets a page; programs get the document."""

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stateless_billing import settings
from stateless_billing.domain.errors import ProblemError
from stateless_billing.web.http.problems import HANDLERS, RENDERER
from stateless_billing.web.pages.pages import site_templates
from stateless_billing.web.pages.problem_page import ProblemPage, mark_up
from stateless_billing.web.server.middleware import RequestContextMiddleware

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


async def refuse(request: Request) -> Response:
    """Refuse what is asked for."""
    raise ProblemError("invalid_input", "`tx_hash` must be <b>. No money moved.")


@pytest.fixture
def client() -> httpx.AsyncClient:
    """Return a client of a site with one address, which refuses."""
    app = Starlette(routes=[Route("/refused", refuse)], exception_handlers=HANDLERS)
    loaded = settings.load((), {"SELLER_NAME": "A & B", "SUPPORT_URL": "mailto:help@example.org"})
    setattr(app.state, RENDERER, ProblemPage(loaded, site_templates()).render)
    app.add_middleware(RequestContextMiddleware)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "path", "status", "title"),
    [
        ("GET", "/nowhere", 404, "Nothing exists at this address"),
        ("POST", "/refused", 405, "This address does not accept that method"),
        ("GET", "/refused", 422, "A value in the request is not valid"),
    ],
)
async def test_page_or_document(client: httpx.AsyncClient, method: str, path: str, status: int, title: str) -> None:
    page = await client.request(method, path, headers={"accept": BROWSER})
    assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert page.headers["vary"] == "accept"
    reference = page.headers["x-request-id"]
    for text in (f"<h1>{title}</h1>", "No money moved.", "A &amp; B", "To the pay page", reference):
        assert text in page.text
    assert f"mailto:help@example.org?subject=Payment%20{reference}" in page.text
    for accept in ("application/json", "*/*", ""):
        answer = await client.request(method, path, headers={"accept": accept})
        facts: dict[str, Any] = answer.json()
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert (facts["status"], facts["title"]) == (status, title)
        assert "No money moved." in facts["detail"]


def test_what_is_quoted_is_code_and_nothing_else_is_markup() -> None:
    assert mark_up("`a<b` & <i>") == "<code>a&lt;b</code> &amp; &lt;i&gt;"


@pytest.mark.anyio
async def test_head_has_no_body(client: httpx.AsyncClient) -> None:
    assert (await client.head("/nowhere", headers={"accept": BROWSER})).text == ""
