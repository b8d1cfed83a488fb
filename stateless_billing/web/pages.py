"""Pages, rendered with their data so that they are useful before any script runs."""

import logging
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from chain.errors import ChainError
from chain.signing import checksum
from stateless_billing.errors import PROBLEMS, Refusal, StripeFailure
from stateless_billing.services import Services
from stateless_billing.web import inputs
from stateless_billing.web.api import Api
from stateless_billing.web.assets import Assets
from stateless_billing.web.networks import network

log = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parent / "templates"


class Pages:
    """The handlers of pages."""

    def __init__(self, services: Services, api: Api, assets: Assets) -> None:
        self._services, self._api = services, api
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._templates.globals["asset"] = assets.url

    async def pay(self, request: Request) -> Response:
        """`GET /pay?wallet=&usd=`. A wallet that is malformed or cannot be looked up now leaves the page usable."""
        usd = request.query_params.get("usd")
        wallet, account = None, None
        try:
            if request.query_params.get("wallet"):
                wallet = inputs.wallet(request.query_params["wallet"])
                account = await self._api.describe(wallet)
        except Refusal:
            wallet = None
        except (ChainError, StripeFailure) as error:
            log.warning("request %s: the pay page shows no account: %s", request.scope.get("request_id"), error)
        context = self._context() | {
            "wallet": wallet and checksum(wallet),
            "account": account,
            "usd": usd if usd and usd.replace(".", "", 1).isascii() and usd.replace(".", "", 1).isdigit() else None,
        }
        config = {name: context[name] for name in ("wallet", "usd", "account", "chain", "token", "gateways")}
        return HTMLResponse(self._templates.get_template("pay.html").render(context, config=config))

    def _context(self) -> dict[str, Any]:
        token = self._services.token
        assert token is not None
        return {
            "chain": network(self._services.settings.chain_id),
            "token": {"address": checksum(token.address), "symbol": token.symbol, "decimals": token.decimals},
            "gateways": [checksum(gateway.address) for gateway in self._services.gateways],
        }

    async def to_pay(self, request: Request) -> Response:
        """Older addresses of the pay page, with their query."""
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/pay{query}", 307)

    async def problem(self, request: Request) -> Response:
        """`GET /problems/{code}`: what a problem's `type` means."""
        code = request.path_params["code"]
        if code not in PROBLEMS:
            raise Refusal("not_found", "There is no such problem.")
        status, title = PROBLEMS[code]
        page = self._templates.get_template("problem.html")
        return HTMLResponse(page.render(code=code, status=status, title=title))
