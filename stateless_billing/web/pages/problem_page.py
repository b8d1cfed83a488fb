"""Problems as pages, for people who opened an address in a browser."""

import re
from collections.abc import Mapping

from jinja2 import Environment
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from stateless_billing.settings import Settings
from stateless_billing.web.http.problems import ProblemDocument
from stateless_billing.web.pages import links

_QUOTED = re.compile(r"`([^`]+)`")


class ProblemPage:
    """Renders a problem for a browser."""

    def __init__(self, settings: Settings, templates: Environment) -> None:
        self._settings = settings
        self._page = templates.get_template("refused.html")

    def render(self, request: Request, document: ProblemDocument, headers: Mapping[str, str]) -> Response:
        """Answer with a page that says what the document says."""
        page = self._page.render(
            document=document,
            detail=mark_up(document.detail),
            seller=self._settings.seller_name,
            support=links.support_link(self._settings.support_url, document.request_id),
        )
        return HTMLResponse("" if request.method == "HEAD" else page, document.status, dict(headers))


def mark_up(detail: str) -> Markup:
    """Escape a problem's detail and show what it quotes as code."""
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(escape(detail))))  # noqa: S704 - escaped before
