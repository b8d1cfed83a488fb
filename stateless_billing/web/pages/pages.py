"""Pages, rendered with their data so that they are useful before any script runs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from chain.errors import ChainError, NodeError
from chain.signatures import to_checksum_address
from stateless_billing.domain import money
from stateless_billing.domain.errors import PROBLEMS, ProblemError
from stateless_billing.payers.responses import AccountResponse, ClaimResponse, Offer
from stateless_billing.services.container import Services
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.web.api.handlers import Api
from stateless_billing.web.http import inputs
from stateless_billing.web.http.client_origin import request_origin
from stateless_billing.web.http.json_response import StructResponse
from stateless_billing.web.http.networks import describe_network
from stateless_billing.web.http.own_url import own_url
from stateless_billing.web.http.streaming import stream_response
from stateless_billing.web.pages import links, lookup_words
from stateless_billing.web.pages.assets import Assets, site_assets
from stateless_billing.web.pages.lookup_words import LookupWords
from stateless_billing.web.pages.pay_query import PayQuery, own_query, read_pay_query
from stateless_billing.web.pages.receipt_page import receipt_context

log = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parents[1] / "templates"
PRESETS = (10, 25, 50, 100, 250)

_UNKNOWN = "\N{EN DASH}"
_SHOWN = Decimal("1e-9")
_USUAL_CENTS = 5_000
_CREDITING_SECONDS = 5
_OFFER_SECONDS = 1.0  # a price feed that is slow does not hold up the page; the script asks again
_SOURCES = {"coingecko": "CoinGecko", "override": "set by our staff"}
_CONFIG = (
    "support",
    "chain",
    "token",
    "gateways",
    "wallet",
    "account",
    "cents",
    "usd_fault",
    "offer",
    "back",
    "limit_cents",
)
_SHORT_QUERY = ("wallet", "usd")


class _Shown(NamedTuple):
    """What the pay page shows; `conflict` says why it cannot name an account (`Accounts.find_conflict`)."""

    account: AccountResponse | None = None
    conflict: str = ""
    lookup: LookupWords | None = None
    looked_up: ClaimResponse | None = None
    offer: Offer | None = None


_NOTHING_SHOWN = _Shown()
_UNREADABLE = (ChainError, StripeFailure, ProblemError)


def load_templates(assets: Assets) -> Environment:
    """The templates, with what they format numbers and times by."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    found.globals["asset"] = assets.url
    found.filters |= {
        "dollars": lambda cents: _UNKNOWN if cents is None else money.format_dollars(cents),
        "tokens": lambda units: money.format_tokens(int(units)),
        "rounded": lambda units: _round_tokens(int(units)),
        "exact": lambda units: f"{money.format_decimal(int(units)).rstrip('0').rstrip('.')}",
        "rate": lambda rate: _rate_context(rate) if rate else _UNKNOWN,
        "source": lambda source: _SOURCES.get(source.partition(":")[0], source),
        "utc": lambda at: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "iso": lambda at: datetime.fromtimestamp(at, UTC).isoformat(),
        "qr": lambda url: Markup(links.qr_svg(url)),  # noqa: S704 - our own SVG; the text in it is drawn as squares
    }
    return found


@cache
def site_templates() -> Environment:
    """The templates of this site, loaded once."""
    return load_templates(site_assets())


class Pages:
    """The handlers of pages."""

    def __init__(self, services: Services, api: Api, templates: Environment) -> None:
        self._services = services
        self._api = api
        self._templates = templates

    async def pay(self, request: Request) -> Response:
        """`GET /pay?wallet=&usd=&return_url=&ref=&tx_hash=`.

        What is malformed or cannot be read now leaves the page usable.
        The head is the same for everybody and goes out at once: style and script load while the account is read.
        """
        return stream_response(request, self._pay_parts(request, self._network_context()))

    async def _pay_parts(self, request: Request, network: dict[str, Any]) -> AsyncIterator[bytes]:
        page = self._templates.get_template("pay.html")
        nobody = self._pay_context(request, network, {}, read_pay_query({}), _NOTHING_SHOWN)
        head, body, _ = page.render(nobody, config={}).partition("<body>")
        yield head.encode()
        query = request.query_params
        asked = read_pay_query(query)
        account, lookup, offer, permit = await asyncio.gather(
            self._account(request, asked.wallet and asked.wallet.lower()),
            self._look_up(request, asked),
            self._offer(asked),
            self._permit_domain(request),
        )
        context = self._pay_context(request, network, query, asked, _Shown(*account, *lookup, offer), permit)
        config = msgspec.to_builtins({name: context[name] for name in _CONFIG})
        yield (body + page.render(context, config=config).partition(body)[2]).encode()

    def _pay_context(
        self,
        request: Request,
        network: dict[str, Any],
        query: Mapping[str, str],
        asked: PayQuery,
        shown: _Shown,
        permit: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        settings = self._services.settings
        back = links.return_link(query.get("return_url"), query.get("ref"), settings.return_urls)
        query_fields = own_query(query, asked, has_link_back=back is not None)
        base = own_url(settings, request)
        here = links.with_query(f"{base}/pay", query_fields) if base else ""
        scanned = here
        if len(here) > links.MAX_QR_LENGTH:
            fields = {name: query_fields[name] for name in _SHORT_QUERY if name in query_fields}
            scanned = links.with_query(f"{base}/pay", fields)
        return {
            **network,
            "token": {**network["token"], "permit": permit},
            **asked._asdict(),
            "cents": None if asked.usd_fault else asked.cents or (None if asked.usd else _USUAL_CENTS),
            **shown._asdict(),
            "limit_cents": settings.max_payment_cents,
            "back": back,
            "seller": settings.seller_name,
            "support": settings.support_url,
            "support_link": links.support_link(settings.support_url, asked.wallet or ""),
            "lookup_support": links.support_link(settings.support_url, asked.tx_hash or ""),
            "here": here,
            "scanned": scanned,
            "wallets": links.wallet_links(here) if here else [],
            "query_fields": {name: value for name, value in query_fields.items() if name != "wallet"},
            "presets": PRESETS,
            "seconds": self._usual_credit_seconds(),
        }

    async def _account(self, request: Request, wallet: str | None) -> tuple[AccountResponse | None, str]:
        if not wallet:
            return None, ""
        origin = request_origin(request)
        try:
            account = await self._api.describe_account(wallet, origin)
            conflict = await self._services.accounts.find_conflict(wallet, origin)
        except _UNREADABLE as error:
            log.warning("request %s: the pay page shows no account: %s", request.scope.get("request_id"), error)
        except Exception:  # half of the page is out already; it says that the account cannot be read
            log.exception("request %s: the pay page shows no account", request.scope.get("request_id"))
        else:
            return None if conflict else account, conflict
        return None, ""

    async def _look_up(self, request: Request, asked: PayQuery) -> tuple[LookupWords | None, ClaimResponse | None]:
        """Say where the query's EVM transaction stands, without writing."""
        if not asked.tx_hash:
            return lookup_words.MALFORMED if asked.tx_text else None, None
        try:
            answer = await self._services.claims.status(asked.tx_hash)
        except _UNREADABLE as error:
            log.warning("request %s: the pay page looks nothing up: %s", request.scope.get("request_id"), error)
        except Exception:  # half of the page is out already; it says that the state cannot be read
            log.exception("request %s: the pay page looks nothing up", request.scope.get("request_id"))
        else:
            return lookup_words.describe_lookup(answer, asked.wallet), answer
        return lookup_words.UNREADABLE, None

    async def _offer(self, asked: PayQuery) -> Offer | None:
        if asked.usd_fault:
            return None
        try:
            async with asyncio.timeout(_OFFER_SECONDS):
                return await self._api.create_offer(asked.cents or _USUAL_CENTS)
        except (ProblemError, TimeoutError):
            return None

    async def _permit_domain(self, request: Request) -> dict[str, str] | None:
        """Read how the token's permits are signed; None if it cannot be read: the page then asks for an approval."""
        try:
            return await self._services.permit_domain()
        except ChainError as error:
            log.warning("request %s: the pay page offers no permit: %s", request.scope.get("request_id"), error)
        return None

    def _usual_credit_seconds(self) -> int | None:
        """How long a small payment usually takes: as the last ones did, else its depth and a few seconds."""
        depth = self._services.settings.confirmations[0].seconds
        return self._services.status_cache.median_credit_seconds or (depth and depth + _CREDITING_SECONDS)

    def _network_context(self) -> dict[str, Any]:
        token = self._services.token
        if token is None:
            raise NodeError("the token was not read since this process started")
        return {
            "chain": describe_network(self._services.settings.chain_id),
            "token": {
                "address": to_checksum_address(token.address),
                "symbol": token.symbol,
                "decimals": token.decimals,
            },
            "gateways": [to_checksum_address(gateway.address) for gateway in self._services.gateways],
        }

    async def receipt(self, request: Request) -> Response:
        """`GET /receipt/{tx_hash}/{ordinal}`: a page, or JSON for whoever asks for that."""
        tx_hash = inputs.parse_tx_hash(request.path_params["tx_hash"])
        ordinal = inputs.parse_ordinal(request.path_params["ordinal"])
        asked = request.query_params.get("gateway")
        gateway = inputs.parse_wallet(asked, "gateway") if asked else None
        receipt = await self._services.receipts.find(tx_hash, ordinal, gateway)
        if receipt is None:
            raise ProblemError(
                "not_found",
                "We found no such payment to this service. Opening a receipt only reads. No money moved."
                " A payment that was just sent can take a minute to show: try again then.",
            )
        headers = {"vary": "accept"}
        if _wants_json(request):
            return StructResponse(receipt, headers=headers)
        settings = self._services.settings
        base = own_url(settings, request)
        here = f"{base}/receipt/{tx_hash}/{ordinal}{f'?gateway={gateway}' if gateway else ''}" if base else None
        page = self._templates.get_template("receipt.html")
        context = receipt_context(receipt, settings.seller_name, settings.support_url)
        return HTMLResponse(page.render(self._network_context(), here=here, **context), headers=headers)

    async def problem(self, request: Request) -> Response:
        """`GET /problems/{code}`: what a problem's `type` means."""
        code = request.path_params["code"]
        if code not in PROBLEMS:
            raise ProblemError("not_found", "This problem does not exist. No money moved.")
        status, title = PROBLEMS[code]
        page = self._templates.get_template("problem.html")
        return HTMLResponse(page.render(code=code, status=status, title=title))


def _round_tokens(units: int) -> str:
    """Round tokens as the pay page's script does: to two places, or to six below one token."""
    places = Decimal("1e-6") if units < 10**18 else Decimal("0.01")
    text = f"{Decimal(units).scaleb(-18).quantize(places, ROUND_HALF_UP):,f}"
    return text.rstrip("0").rstrip(".")


def _rate_context(rate: str) -> str:
    """A rate to the nearest billionth of a dollar, with two places at least."""
    whole, part = format(Decimal(rate).quantize(_SHOWN), "f").split(".")
    return f"${whole}.{part.rstrip('0').ljust(2, '0')}"


def _wants_json(request: Request) -> bool:
    """Whether `Accept` names JSON and no page; browsers always name the page."""
    accepted = request.headers.get("accept", "")
    return "json" in accepted and "text/html" not in accepted
