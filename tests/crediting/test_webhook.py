"""The credit webhook is signed, retried, bounded, and never delays a credit."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable

import httpx
import pytest

from stateless_billing.crediting import webhook
from stateless_billing.crediting.webhook import CreditWebhook, sign_body
from tests.fakes.factories import CUSTOMER, GATEWAY, START, FakeClock, payment, tx_hash

pytestmark = pytest.mark.anyio

URL = "https://api.example.org/hook?key=sesame"


def hook(
    handle: Callable[[httpx.Request], httpx.Response],
    pauses: tuple[float, ...] = (0.0, 0.0),
    *,
    url: str = URL,
    header: str | None = None,
) -> CreditWebhook:
    """A hook whose other end is a function."""
    http = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    return CreditWebhook(http, url, "secret", FakeClock(), pauses, secret_header=header)


async def test_what_is_sent() -> None:
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(204)

    one = hook(handle)
    one.enqueue(payment(), CUSTOMER, 5_000)
    await one.aclose()
    [request] = asked
    assert (request.method, str(request.url)) == ("POST", URL)
    golden = (  # receivers sign these bytes: order and spacing count
        f'{{"customer_id":"{CUSTOMER}","customer":"{CUSTOMER}","wallet":"0x{"11" * 20}",'
        f'"payment":"8453:{GATEWAY}:{tx_hash(1)}:0","cents":5000}}'
    )
    assert request.content == golden.encode()
    proof = hmac.new(b"secret", f"{START}.".encode() + request.content, hashlib.sha256).hexdigest()
    assert request.headers["billing-signature"] == f"t={START},v1={proof}"
    assert sign_body("secret", START, request.content) == f"t={START},v1={proof}"


async def test_a_server_that_invalidates_a_cache_by_customer_id(caplog: pytest.LogCaptureFixture) -> None:
    """It compares a header with its secret, reads `customer_id` and nothing else, and knows no signature."""
    invalidated: list[str] = []

    def invalidate_balance_cache(request: httpx.Request) -> httpx.Response:
        if (request.method, request.url.path) != ("POST", "/internal/invalidate_balance_cache"):
            return httpx.Response(404)
        if request.headers.get("X-Internal-Secret") != "secret":
            return httpx.Response(401)
        if request.headers["content-type"] != "application/json":
            return httpx.Response(415)
        customer_id = json.loads(request.content)["customer_id"]
        assert isinstance(customer_id, str)
        assert "billing-signature" not in request.headers
        invalidated.append(customer_id)
        return httpx.Response(204)

    url = "https://api.example.org/internal/invalidate_balance_cache"
    one = hook(invalidate_balance_cache, url=url, header="x-internal-secret")
    one.enqueue(payment(), CUSTOMER, 5_000)
    await one.aclose()
    assert (invalidated, caplog.records) == ([CUSTOMER], [])
    other = hook(invalidate_balance_cache, url=url)  # signed: it does not know that
    other.enqueue(payment(), CUSTOMER, 5_000)
    await other.aclose()
    assert len(invalidated) == 1
    assert "HTTP 401" in caplog.text


async def test_the_secret_follows_no_redirect() -> None:
    hosts: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(307, headers={"location": "https://evil.test/"})

    one = hook(redirect, header="x-internal-secret")
    one.enqueue(payment(), CUSTOMER, 5_000)
    await one.aclose()
    assert set(hosts) == {"api.example.org"}


async def test_tried_a_few_times_and_then_given_up(caplog: pytest.LogCaptureFixture) -> None:
    answers = iter([httpx.Response(500), httpx.Response(302), httpx.Response(404), httpx.Response(204)])
    one = hook(lambda _: next(answers))
    one.enqueue(payment(), CUSTOMER, 5_000)
    one.enqueue(payment(sequence=1), CUSTOMER, 7_000)
    await one.aclose()
    assert next(answers, None) is None
    assert len(caplog.records) == 3
    assert "sesame" not in caplog.text


async def test_never_waits_and_never_fails(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(webhook, "SHUTDOWN_GRACE_SECONDS", 0.01)

    def handle(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody is there")

    one = hook(handle, pauses=(60.0,))
    for _ in range(webhook.QUEUE_SIZE + 5):
        one.enqueue(payment(), CUSTOMER, 5_000)
    await asyncio.sleep(0)
    await asyncio.wait_for(one.aclose(), 5)
    assert "webhook dropped" in caplog.text
