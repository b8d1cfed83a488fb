"""The API's description as a page: whole, without script, every link leads somewhere."""

import re

import pytest
from starlette.requests import Request

from stateless_billing.web.api.openapi import create_document
from stateless_billing.web.pages.api_page import ApiPage, mark_up
from stateless_billing.web.pages.pages import site_templates


@pytest.fixture
async def page() -> str:
    """Return the page."""
    answer = await ApiPage(site_templates()).show(Request({"type": "http"}))
    assert (answer.status_code, answer.media_type) == (200, "text/html")
    return bytes(answer.body).decode()


@pytest.mark.anyio
async def test_everything_is_described(page: str) -> None:
    document = create_document()
    text = re.sub(r"\s+", " ", page)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f'<span class="method">{method.upper()}</span> <code>{path}</code></h3>' in text
            assert str(mark_up(operation["summary"])) in page
            for status, answer in operation["responses"].items():
                assert f">{status}</span> {mark_up(answer['description'])}" in page
            for parameter in operation.get("parameters", ()):
                assert f"<dt><code>{parameter['name']}</code>" in page
    for name, schema in document["components"]["schemas"].items():
        assert f'id="type-{name}"' in page
        for field, value in schema["properties"].items():
            assert f"<dt><code>{field}</code>" in page
            assert str(mark_up(value.get("description", ""))) in page
    for problem in ("unknown_wallet", "below_minimum"):
        assert f"/problems/{problem}" in page
    assert "&#34;cents&#34;: 2500" in page, "examples are escaped"


@pytest.mark.anyio
async def test_it_needs_no_script_and_every_link_leads_somewhere(page: str) -> None:
    assert "<script" not in page
    assert "style=" not in page
    anchors = re.findall(r' id="([^"]+)"', page)
    assert len(set(anchors)) == len(anchors)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(anchors)
    assert {href for href in re.findall(r'href="([^"#]+)"', page) if not href.startswith("/static/")} == {
        "/openapi.json",
        "/abi.json",
    }


def test_what_a_value_may_be_is_said_in_words() -> None:
    document = create_document()
    page = ApiPage(site_templates())
    assert document["components"]["schemas"]["QuoteRequest"]["required"] == ["wallet", "cents"]
    html = str(page._html)
    fields = html[html.index('id="type-QuoteRequest-title"') :].partition("</article>")[0]
    optional = re.findall(r"<dt><code>(\w+)</code>( <span)?", fields)
    assert optional == [("wallet", ""), ("cents", ""), ("payer", " <span")]
    assert "text or null" in fields
