"""The pay page without its service: the real template and files, and scripted API answers.

For states that a running service cannot produce on demand: held payments, outages, rising prices.
"""

from __future__ import annotations

import itertools
import json
import mimetypes
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from playwright.sync_api import Page, Request, Route

from stateless_billing.payers.responses import ClaimResponse, ReceiptResponse
from stateless_billing.web.http.problems import problem_document
from stateless_billing.web.pages import links, lookup_words
from stateless_billing.web.pages.assets import Assets
from stateless_billing.web.pages.pages import PRESETS, load_templates
from stateless_billing.web.pages.pay_query import PayQuery, read_pay_query
from stateless_billing.web.pages.problem_page import mark_up
from stateless_billing.web.pages.receipt_page import receipt_context
from stateless_billing.web.server.middleware import CSP
from tests.browser.scripted_wallet import NodeRefused

ORIGIN = "http://127.0.0.1:8765"
WALLET = "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
PAYER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
TOKEN = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
GATEWAY = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"
CHAIN_ID = 8453
PRICE = 16_666_666_666_666_667  # base units per cent at six cents a token
FIRST_HASH = 0xA0

NONCES, MULTICALL, UNALLOWED = "0x7ecebe00", "0xac9650d8", "0xfb8f41b2" + "00" * 96
VIEWS = {"0x70a08231": "balanceOf", "0xdd62ed3e": "allowance", "0x7ecebe00": "nonces", "0x50d25bcd": "coin_price"}

Answer = tuple[int, dict[str, Any]]

ASSETS = Assets()
TEMPLATES = load_templates(ASSETS)
BACK = "https://dashboard.test"
OFFERED = ("cents", "amount", "rate", "market_rate", "rate_source", "rate_at", "discount_bps")

CHAIN = {
    "id": CHAIN_ID,
    "hex": hex(CHAIN_ID),
    "name": "Base",
    "explorer": "https://explorer.test",
    "rpc_urls": ["https://node.test"],
    "coin_price_feed": "0x71041dddad3595F9CEd3DcCFBe3D1F4b0a16Bb70",
    "currency": {"name": "Ether", "symbol": "ETH", "decimals": 18},
}


def problem(code: str, status: int) -> Answer:
    """Return a problem as the service phrases it."""
    title = code.replace("_", " ").capitalize()
    return status, {"type": f"/problems/{code}", "title": title, "status": status, "request_id": "req-7F3K"}


def tx_hash(number: int) -> str:
    """Return a well-formed hash."""
    return f"0x{number:064x}"


def payment(state: str, number: int = 1, **facts: Any) -> dict[str, Any]:
    """Return a payment in the API's format."""
    return {
        "payment": f"{CHAIN_ID}:{GATEWAY.lower()}:{tx_hash(number)}:0",
        "ordinal": 0,
        "gateway": GATEWAY,
        "sequence": number,
        "wallet": WALLET,
        "payer": PAYER,
        "amount": str(5000 * PRICE),
        "cents": 5000,
        "block": 1000 + number,
        "time": int(time.time()) - 40,
        "state": state,
        "cause": None,
        "confirmed": None,
        "needed": None,
        "credit": "cbtxn_1" if state == "credited" else None,
        **facts,
    }


def answer(state: str, number: int, **facts: Any) -> Answer:
    """Return the answer to a claim of one payment."""
    payments = [] if state in {"unknown", "unrelated", "failed"} else [payment(state, number, **facts)]
    cause = facts.get("cause") if state == "unrelated" else None
    return 200, {"tx_hash": tx_hash(number), "state": state, "cause": cause, "retry_after": 1, "payments": payments}


class Node:
    """A node that accepts everything at once and has one balance."""

    def __init__(self) -> None:
        self.tokens = 10**24
        self.coins = 10**18
        self.gas_price = 10**9
        self.coin_price = 3000 * 10**8
        self.allowance = 10**24
        self.refusal: str | None = None
        self.nonces = True
        self.refuses_permits = False
        self.signature = "0x" + "11" * 32 + "22" * 32 + "00"
        self.receipts = True
        self.sent = itertools.count(FIRST_HASH)

    def __call__(self, method: str, params: list[Any]) -> Any:
        match method:
            case "eth_sendTransaction":
                return tx_hash(next(self.sent))
            case "eth_getTransactionReceipt":
                return {"status": "0x1"} if self.receipts else None
            case "eth_getBalance":
                return hex(self.coins)
            case "eth_gasPrice":
                return hex(self.gas_price)
            case "wallet_getCapabilities":
                raise NodeRefused({"code": -32601, "message": "the method does not exist"})
            case "eth_signTypedData_v4":
                return self.signature
            case "eth_call":
                return self._called(params[0]["data"])
        raise AssertionError(f"the page asked the node for {method}")

    def _called(self, data: str) -> str:
        selector = data[:10]
        if selector == NONCES and not self.nonces:
            raise NodeRefused({"code": 3, "message": "execution reverted"})
        if self.refuses_permits and data.startswith(MULTICALL):
            raise NodeRefused({"code": -32603, "message": "Internal", "data": {"code": 3, "data": UNALLOWED}})
        if selector in VIEWS:
            views = {"balanceOf": self.tokens, "allowance": self.allowance, "nonces": 7, "coin_price": self.coin_price}
            return hex(views[VIEWS[selector]]) if views[VIEWS[selector]] else "0x"
        if self.refusal:
            raise NodeRefused({"code": 3, "message": "execution reverted", "data": self.refusal})
        return "0x"


class StandIn:
    """Answers the page's requests; tests set attributes to change the answers."""

    def __init__(self) -> None:
        self.found = True
        self.readable = True
        self.conflict = ""
        self.maximum_cents = 500_000
        self.resets_at: int | None = None
        self.payments: list[dict[str, Any]] = []
        self.quote_fault: Answer | None = None
        self.price = PRICE
        self.rate_source = "coingecko:lit-protocol"
        self.has_address = True
        self.seller: str | None = None
        self.support: str | None = None
        self.seconds = 300
        self.sequence = 0
        self.chain_time = 0
        self.finalized_at = 0
        self.allowed = False
        self.permit: dict[str, str] | None = None
        self.claims: dict[int, list[Answer]] = {}
        self.default_claims: list[Answer | Callable[[int], Answer]] = []
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def attach(self, page: Page) -> None:
        """Serve a page."""
        page.route(f"{ORIGIN}/**", self._serve)

    def count(self, method: str, path: str) -> int:
        """Return how often the page requested a path."""
        return sum(1 for verb, requested, _ in self.asked if (verb, requested) == (method, path))

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """Return what the page sent to a path, in order: an open page asks for other things in between."""
        return [body for _, requested, body in self.asked if requested == path]

    def account(self) -> dict[str, Any]:
        """Return the account in the API's format."""
        return {
            "wallet": WALLET,
            "found": self.found,
            "email": "c…s@l….com" if self.found else None,
            "registered": self.found,
            "minimum_cents": 500,
            "maximum_cents": self.maximum_cents,
            "maximum_resets_at": self.resets_at,
            "payments": self.payments,
        }

    def quote(self, wish: dict[str, Any]) -> Answer:
        """Return a quote for the request."""
        if self.quote_fault:
            return self.quote_fault
        calls = [{"to": TOKEN, "data": "0x01", "value": "0x0", "label": "approve"}] if not self.allowed else []
        calls.append({"to": GATEWAY, "data": "0x02", "value": "0x0", "label": "pay"})
        now = int(time.time())
        facts = {"rate": "0.600000000000000000", "market_rate": "0.585000000000000000", "rate_source": self.rate_source}
        return 200, {
            **facts,
            "wallet": WALLET,
            "cents": wish["cents"],
            "amount": str(wish["cents"] * self.price),
            "rate_at": now - 12,
            "discount_bps": 250,
            "gateway": GATEWAY,
            "token": TOKEN,
            "chain_id": CHAIN_ID,
            "sequence": self.sequence,
            "deadline": now + self.seconds,
            "signature": f"0x{wish['cents']:0130x}",
            "registered": True,
            "registration": None,
            "calls": calls,
        }

    def quote_status(self, quote: dict[str, Any]) -> Answer:
        """Return what became of a quote, by the payments and the chain's time."""
        match = next((paid for paid in self.payments if paid["sequence"] == quote["sequence"]), None)
        if match is None:
            late = "undecided" if self.chain_time > quote["deadline"] else "open"
            return 200, {"state": "void" if self.finalized_at > quote["deadline"] else late, "payment": None}
        if (match["amount"], match["cents"]) != (quote["amount"], quote["cents"]):
            return 200, {"state": "superseded", "payment": None}
        facts = {name: match[name] for name in ("ordinal", "block", "time")}
        return 200, {"state": "paid", "payment": {"tx_hash": match["payment"].split(":")[2], **facts, "final": False}}

    def lookup(self, asked: PayQuery) -> dict[str, Any]:
        """Return what the page says of the transaction that its address names."""
        if not asked.tx_hash:
            return {"lookup": lookup_words.MALFORMED if asked.tx_text else None, "looked_up": None}
        status, facts = self._claim(int(asked.tx_hash, 16))
        if status >= 400:
            return {"lookup": lookup_words.UNREADABLE, "looked_up": None}
        claimed = msgspec.convert(facts, ClaimResponse)
        return {"lookup": lookup_words.describe_lookup(claimed, asked.wallet), "looked_up": claimed}

    def html(self, query: dict[str, str]) -> str:
        """Render the page as the service does."""
        asked = read_pay_query(query)
        wallet, cents = asked.wallet, None if asked.usd_fault else asked.cents or 5000
        unpriced = self.quote_fault or cents is None
        offer = None if unpriced else {name: self.quote({"cents": cents})[1][name] for name in OFFERED}
        facts = {
            **asked._asdict(),
            "cents": cents,
            "account": self.account() if wallet and self.readable and not self.conflict else None,
            "conflict": self.conflict,
            "limit_cents": 500_000,
            **self.lookup(asked),
            "chain": CHAIN,
            "token": {"address": TOKEN, "symbol": "LITKEY", "decimals": 18, "permit": self.permit},
            "gateways": [GATEWAY],
            "offer": offer,
            "support": self.support,
            "back": links.return_link(query.get("return_url"), query.get("ref"), (BACK,)),
        }
        here = f"{ORIGIN}/pay?wallet={wallet}" if self.has_address else ""
        query_fields = {name: query[name] for name in ("usd", "return_url", "ref") if name in query}
        context = {
            "here": here,
            "scanned": here,
            "wallets": links.wallet_links(here) if here else [],
            "query_fields": query_fields,
            "presets": PRESETS,
            "seconds": 20,
            "seller": self.seller,
            "support_link": links.support_link(self.support, wallet or ""),
            "lookup_support": links.support_link(self.support, asked.tx_hash or ""),
        }
        return TEMPLATES.get_template("pay.html").render(
            **facts,
            **context,
            config={name: value for name, value in facts.items() if name not in ("lookup", "looked_up")},
        )

    def receipt(self) -> str:
        """Render the receipt of the account's first payment."""
        number = int(self.payments[0]["payment"].split(":")[2], 16)
        more = {"tx_hash": tx_hash(number), "chain_id": CHAIN_ID, "rate": "0.600000000000000000", "retry_after": None}
        receipt = msgspec.convert({**self.payments[0], **more}, ReceiptResponse)
        world = {"chain": CHAIN, "token": {"address": TOKEN, "symbol": "LITKEY", "decimals": 18}}
        here = f"{ORIGIN}/receipt/{tx_hash(number)}/0"
        context = receipt_context(receipt, self.seller, self.support)
        return TEMPLATES.get_template("receipt.html").render(world, here=here, **context)

    def refusal(self) -> str:
        """Render the page of an address that does not exist."""
        document = problem_document("not_found", "Check the address, or start at `/pay`. No money moved.", "req-7F3K")
        facts = {"document": document, "detail": mark_up(document.detail), "seller": self.seller}
        support = links.support_link(self.support, document.request_id)
        return TEMPLATES.get_template("refused.html").render(**facts, support=support)

    def _claim(self, number: int) -> Answer:
        waiting = self.claims.setdefault(number, [])
        if not waiting:
            waiting.extend(claim(number) if callable(claim) else claim for claim in self.default_claims)
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def _api(self, request: Request, path: str) -> Answer:
        body = json.loads(request.post_data or "{}")
        self.asked.append((request.method, path, body))
        if path.endswith("/events"):
            return problem("busy", 503)
        if path == "/api/quotes":
            return self.quote(body)
        if path == "/api/quotes/status":
            return self.quote_status(body)
        if path == "/api/payments":
            return self._claim(int(body["tx_hash"], 16))
        return 200, self.account()

    def _page(self, path: str, query: dict[str, str]) -> str:
        if path == "/pay":
            return self.html(query)
        return self.receipt() if path.startswith("/receipt/") else self.refusal()

    def _serve(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        if url.path.startswith("/static/"):
            name = url.path.rsplit("/", 1)[1]
            kind = mimetypes.guess_type(name)[0] or "text/plain"
            route.fulfill(status=200, content_type=kind, body=ASSETS.plain(name))
        elif not url.path.startswith("/api/"):
            body = self._page(url.path, dict(parse_qsl(url.query)))
            headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": CSP}
            route.fulfill(status=200, headers=headers, body=body)
        else:
            status, facts = self._api(route.request, url.path)
            kind = "application/json" if status < 400 else "application/problem+json"
            route.fulfill(status=status, content_type=kind, body=json.dumps(facts))
