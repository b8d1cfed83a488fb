"""Answers of the running service match `/openapi.json` and have the common headers."""

import re
from typing import Any

import httpx
import pytest

from stateless_billing.sandbox.stack import Service, Stack
from tests.fakes.json_schema import faults
from tests.integration.raw import RawClient
from tests.integration.shop import Shop

NOBODY = "0x" + "12" * 20
NOTHING = "0x" + "34" * 32
JSON = {"accept": "application/json"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin-allow-popups",
    "permissions-policy": "clipboard-write=(self)",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
}
ABSENT = ("server", "x-powered-by", "cross-origin-embedder-policy")
REQUESTS = [
    ("GET", "/", 307),
    ("GET", "/payWithLitkey?usd=5", 307),
    ("GET", "/pay", 200),
    ("HEAD", "/pay", 200),
    ("GET", "/pay?wallet=<script>", 200),
    ("GET", "/pay?tx_hash=<script>", 200),
    ("GET", f"/pay?tx_hash={NOTHING}", 200),
    ("GET", f"/receipt/{NOTHING}/0", 404),
    ("GET", "/problems/busy", 200),
    ("GET", "/problems/nothing", 404),
    ("GET", f"/api/accounts/{NOBODY}", 200),
    ("GET", "/api/accounts/x", 422),
    ("POST", "/api/quotes", 415),
    ("POST", "/api/quotes/status", 415),
    ("POST", "/api/payments", 415),
    ("GET", f"/api/payments/{NOTHING}", 200),
    ("DELETE", "/api/payments", 405),
    ("GET", "/login", 200),
    ("POST", "/login", 422),
    ("GET", "/login/link", 401),
    ("POST", "/logout", 303),
    ("GET", "/admin", 303),
    ("GET", "/api/admin/find", 401),
    ("POST", "/api/admin/grants", 401),
    ("GET", "/healthz", 200),
    ("GET", "/readyz", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/abi.json", 200),
    ("GET", "/docs/api", 200),
    ("GET", "/static/x/pay.css", 200),
    ("GET", "/static/x/nothing", 404),
    ("GET", "/nothing", 404),
    ("OPTIONS", "/pay", 405),
]
BYTES = [
    (b"nonsense\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\na: " + b"a" * 100_000, 431),
    (b"POST /api/payments HTTP/1.1\r\nhost: x\r\ncontent-length: 99999\r\n\r\n", 413),
]


@pytest.mark.parametrize(("method", "path", "status"), REQUESTS)
def test_every_answer_has_the_headers(shop: Shop, service: Service, method: str, path: str, status: int) -> None:
    answer = shop.stack.http.request(method, service.url + path)
    assert answer.status_code == status
    assert_headers(answer.headers)
    cacheable = path.startswith("/static/") and answer.is_success
    assert answer.headers["cache-control"] == ("no-cache" if cacheable else "no-store")


@pytest.mark.parametrize(("data", "status"), BYTES)
def test_rejections_before_parsing_have_the_headers_too(service: Service, data: bytes, status: int) -> None:
    client = RawClient(service.url)
    client.send(data)
    head, _, _ = client.closed().partition(b"\r\n\r\n")
    first, *rows = head.decode().split("\r\n")
    assert first.split()[1] == str(status)
    assert_headers(httpx.Headers([(name, value) for name, _, value in (row.partition(": ") for row in rows)]))


def assert_headers(headers: httpx.Headers) -> None:
    """Check that every common header is present once, and no revealing one."""
    assert {name: headers.get(name) for name in HEADERS} == HEADERS
    assert re.fullmatch("[0-9a-f]{16}", headers["x-request-id"])
    assert not [name for name in ABSENT if name in headers]
    assert "date" in headers


def test_real_answers_are_as_described(shop: Shop, stack: Stack, service: Service) -> None:
    document = stack.http.get(f"{service.url}/openapi.json").json()

    def check(template: str, method: str, path: str, status: int, **more: Any) -> Any:
        answer = stack.http.request(method, service.url + path, **more)
        assert answer.status_code == status, answer.text
        described = document["paths"][template][method.lower()]["responses"][str(status)]
        content = described["content"][answer.headers["content-type"].split(";")[0]]
        assert not list(faults(answer.json(), content["schema"], document)), answer.text
        for name, header in described.get("headers", {}).items():
            assert name in answer.headers or not header["required"]
        return answer.json()

    accounts, payments, customer = "/api/accounts/{wallet}", "/api/payments", shop.customer()
    claim, receipt = "/api/payments/{tx_hash}", "/receipt/{tx_hash}/{ordinal}"
    check(accounts, "GET", f"/api/accounts/{NOBODY}", 200)
    check(accounts, "GET", f"/api/accounts/{customer.wallet}", 200)
    check(accounts, "GET", "/api/accounts/x", 422)
    wish = {"wallet": customer.wallet, "cents": 50_000, "payer": stack.payer}
    check("/api/quotes", "POST", "/api/quotes", 404, json={**wish, "wallet": NOBODY})
    check("/api/quotes", "POST", "/api/quotes", 422, json={**wish, "cents": 1})
    quote = check("/api/quotes", "POST", "/api/quotes", 200, json=wish)
    terms = {
        name: quote[name] for name in ("gateway", "wallet", "sequence", "amount", "cents", "deadline", "signature")
    }
    check("/api/quotes/status", "POST", "/api/quotes/status", 200, json=terms)
    check("/api/quotes/status", "POST", "/api/quotes/status", 422, json={**terms, "cents": 1})
    tx_hash = shop.send(quote)
    check("/api/quotes/status", "POST", "/api/quotes/status", 200, json=terms)
    for _ in ("confirming", "credited"):
        check(payments, "POST", "/api/payments", 200, json={"tx_hash": tx_hash})
        check(claim, "GET", f"/api/payments/{tx_hash}", 200)
        check(accounts, "GET", f"/api/accounts/{customer.wallet}", 200)
        check(receipt, "GET", f"/receipt/{tx_hash}/0", 200, headers=JSON)
        shop.finalize()
        shop.claimed(service, tx_hash)
    body = check(claim, "GET", f"/api/payments/{tx_hash}", 200)
    assert body["state"] == "credited"
    check("/api/quotes", "POST", "/api/quotes", 200, json={**wish, "payer": None, "cents": 500})
    check(claim, "GET", f"/api/payments/{NOTHING}", 200)
    check(payments, "POST", "/api/payments", 413, json={"tx_hash": "a" * 20_000})
    check(receipt, "GET", f"/receipt/{NOTHING}/0", 404)
    for path in ("/healthz", "/readyz", "/openapi.json", "/abi.json"):
        check(path, "GET", path, 200)


def test_held_and_unready_answers_are_as_described(shop: Shop, stack: Stack) -> None:
    cut = stack.serve(MAX_PAYMENT_CENTS="6000")
    document = stack.http.get(f"{cut.url}/openapi.json").json()
    tx_hash = shop.pay(cut, shop.customer())
    strict = stack.serve(MAX_PAYMENT_CENTS="1000")
    held = stack.http.get(f"{strict.url}/api/payments/{tx_hash}").json()
    assert not list(faults(held, document["components"]["schemas"]["ClaimResponse"], document))
    stack.control("POST", "price/faults", {"name": "lost", "times": 50})
    ready = stack.http.get(f"{strict.url}/readyz")
    content = document["paths"]["/readyz"]["get"]["responses"][str(ready.status_code)]["content"]["application/json"]
    assert not list(faults(ready.json(), content["schema"], document))
