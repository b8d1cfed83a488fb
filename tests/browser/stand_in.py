"""The pay page without its service: the real template and files, scripted answers of the API.

For what a running service cannot be brought to say at will: held payments, outages, prices that rise.
"""

from __future__ import annotations

import itertools
import json
import mimetypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from playwright.sync_api import Page, Request, Route

from stateless_billing.web.guards import CSP

ROOT = Path(__file__).resolve().parents[2]
ORIGIN = "http://127.0.0.1:8765"
WALLET = "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
PAYER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
TOKEN = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
GATEWAY = "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512"
CHAIN_ID = 8453
PRICE = 16_666_666_666_666_667  # base units per cent at six cents a token
FIRST_HASH = 0xA0

Answer = tuple[int, dict[str, Any]]

CHAIN = {
    "id": CHAIN_ID,
    "hex": hex(CHAIN_ID),
    "name": "Base",
    "explorer": "https://explorer.test",
    "rpc_urls": ["https://node.test"],
    "currency": {"name": "Ether", "symbol": "ETH", "decimals": 18},
}


def problem(code: str, status: int) -> Answer:
    """Return a fault as the service words it."""
    title = code.replace("_", " ").capitalize()
    return status, {"type": f"/problems/{code}", "title": title, "status": status, "request_id": "req-7F3K"}


def tx_hash(number: int) -> str:
    """Return a well-formed hash."""
    return f"0x{number:064x}"


def payment(state: str, number: int = 1, **facts: Any) -> dict[str, Any]:
    """Return one payment as the API tells it."""
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
    """Return what a claim says about one payment."""
    payments = [] if state in {"unknown", "failed"} else [payment(state, number, **facts)]
    return 200, {"tx_hash": tx_hash(number), "state": state, "retry_after": 1, "payments": payments}


class Node:
    """A node that accepts everything at once and keeps one balance."""

    def __init__(self) -> None:
        self.tokens = 10**24
        self.coins = 10**18
        self.allowance = 10**24
        self.receipts = True
        self._numbers = itertools.count(FIRST_HASH)

    def __call__(self, method: str, params: list[Any]) -> Any:
        match method:
            case "eth_sendTransaction":
                return tx_hash(next(self._numbers))
            case "eth_getTransactionReceipt":
                return {"status": "0x1"} if self.receipts else None
            case "eth_getBalance":
                return hex(self.coins)
            case "eth_call":
                return hex(self.tokens if params[0]["data"].startswith("0x70a08231") else self.allowance)
        raise AssertionError(f"the page asked the node for {method}")


class StandIn:
    """Answers the page's requests; tests change the answers by setting attributes."""

    def __init__(self) -> None:
        self.found = True
        self.readable = True
        self.payments: list[dict[str, Any]] = []
        self.quote_fault: Answer | None = None
        self.price = PRICE
        self.seconds = 300
        self.allowed = False
        self.claims: dict[int, list[Answer]] = {}
        self.default_claims: list[Answer | Callable[[int], Answer]] = []
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def attach(self, page: Page) -> None:
        """Serve one page."""
        page.route(f"{ORIGIN}/**", self._serve)

    def count(self, method: str, path: str) -> int:
        """How often the page asked for something."""
        return sum(1 for verb, asked, _ in self.asked if (verb, asked) == (method, path))

    def account(self) -> dict[str, Any]:
        """Return the account as the API tells it."""
        return {
            "wallet": WALLET,
            "found": self.found,
            "email": "c…s@l…" if self.found else None,
            "registered": self.found,
            "minimum_cents": 500,
            "maximum_cents": 500_000,
            "payments": self.payments,
        }

    def quote(self, wish: dict[str, Any]) -> Answer:
        """Return a price for the wish."""
        if self.quote_fault:
            return self.quote_fault
        calls = [{"to": TOKEN, "data": "0x01", "value": "0x0", "label": "approve"}] if not self.allowed else []
        calls.append({"to": GATEWAY, "data": "0x02", "value": "0x0", "label": "pay"})
        now = int(time.time())
        facts = {"rate": "0.060000000000000000", "market_rate": "0.058500000000000000", "rate_source": "coingecko"}
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
            "sequence": 0,
            "deadline": now + self.seconds,
            "signature": "0x",
            "registered": True,
            "registration": None,
            "calls": calls,
        }

    def html(self, wallet: str | None, usd: str | None) -> str:
        """Render the page as the service does."""
        token = {"address": TOKEN, "symbol": "LITKEY", "decimals": 18}
        facts = {
            "wallet": wallet,
            "usd": usd,
            "account": self.account() if wallet and self.readable else None,
            "chain": CHAIN,
            "token": token,
            "gateways": [GATEWAY],
        }
        templates = FileSystemLoader(ROOT / "stateless_billing" / "web" / "templates")
        environment = Environment(loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        return environment.get_template("pay.html").render(**facts, config=facts, asset=lambda path: f"/static/{path}")

    def _claim(self, number: int) -> Answer:
        waiting = self.claims.setdefault(number, [])
        if not waiting:
            waiting.extend(one(number) if callable(one) else one for one in self.default_claims)
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def _api(self, request: Request, path: str) -> Answer:
        body = json.loads(request.post_data or "{}")
        self.asked.append((request.method, path, body))
        if path == "/api/quotes":
            return self.quote(body)
        if path == "/api/payments":
            return self._claim(int(body["tx_hash"], 16))
        return 200, self.account()

    def _serve(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        if url.path.startswith("/static/"):
            file = ROOT / url.path.lstrip("/")
            kind = mimetypes.guess_type(file.name)[0] or "text/plain"
            route.fulfill(status=200, content_type=kind, body=file.read_bytes())
        elif url.path == "/pay":
            query = dict(part.split("=", 1) for part in url.query.split("&") if part)
            body = self.html(query.get("wallet"), query.get("usd"))
            headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": CSP}
            route.fulfill(status=200, headers=headers, body=body)
        else:
            status, facts = self._api(route.request, url.path)
            kind = "application/json" if status < 400 else "application/problem+json"
            route.fulfill(status=status, content_type=kind, body=json.dumps(facts))
