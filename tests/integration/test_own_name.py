"""A page that relays ours under another name, or sends another Host, learns and gets nothing."""

from typing import Any

import httpx
import pytest

from stateless_billing.runtime.bounded_http import create_ssl_context
from stateless_billing.sandbox.localchain import dev_account
from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.operators import ADMIN, mail_to
from tests.integration.shop import problem

EVIL = "evil.example"
PUBLIC = "https://billing.example.org"


@pytest.fixture(scope="module")
def local(stack: Stack) -> Service:
    """Start a service on loopback without PUBLIC_URL."""
    return stack.serve()


@pytest.fixture(scope="module")
def public(stack: Stack) -> Service:
    """Start a service behind a proxy."""
    return stack.serve(PUBLIC_URL=PUBLIC, CLIENT_IP_HEADER="x-ip")


@pytest.fixture(params=["local", "public"])
def either(request: pytest.FixtureRequest, local: Service, public: Service) -> Service:
    """Return each of the two."""
    return local if request.param == "local" else public


def ask(service: Service, method: str, path: str, **rest: Any) -> httpx.Response:
    """Send a request under another name."""
    headers = {"host": EVIL, **rest.pop("headers", {})}
    return httpx.request(
        method,
        f"{service.url}{path}",
        headers=headers,
        verify=create_ssl_context(),
        trust_env=False,
        timeout=60,
        **rest,
    )


def test_no_answer_repeats_a_foreign_host(either: Service) -> None:
    paths = ("/", "/pay", "/pay/", "/pay?wallet=x", "/payWithLitkey", "/payWithLitkey/", "/login", "/login/", "/admin")
    more = ("/admin/", "/audit", "/receipt/x/0", "/problems/busy", "/problems/busy/", "/api/payments/", "/nowhere/")
    for path in (*paths, *more, "/healthz", "/healthz/", "/readyz", "/openapi.json", "//login/"):
        answer = ask(either, "GET", path)
        assert answer.status_code < 500, path
        assert EVIL not in answer.text + str(answer.headers), path


@pytest.mark.parametrize("path", ["/pay/", "/healthz/", "/login//", "/problems/busy/?a=b"])
def test_a_trailing_slash_redirects_by_path(local: Service, path: str) -> None:
    answer = ask(local, "GET", path)
    bare, _, query = path.partition("?")
    location = bare.rstrip("/") + (f"?{query}" if query else "")
    assert (answer.status_code, answer.headers["location"]) == (307, location)


def test_a_relay_gets_messages_of_our_name_only(either: Service, public: Service) -> None:
    """The wallet compares the message's domain with the page's, and warns."""
    body = {"address": dev_account(4).address, "next": "/admin"}
    refused = ask(either, "POST", "/login/wallet/message", json=body, headers={"origin": f"http://{EVIL}"})
    problem(refused, 403, "forged_request")
    message = ask(either, "POST", "/login/wallet/message", json=body).json()["message"]
    own = PUBLIC if either is public else f"http://localhost:{either.url.rpartition(':')[2]}"
    assert message.startswith(f"{own.partition('://')[2]} wants you to sign in")
    assert f"URI: {own}\n" in message


def test_a_relay_gets_mails_of_our_name_only(stack: Stack, public: Service) -> None:
    ask(public, "POST", "/login", data={"email": ADMIN})
    assert f"{PUBLIC}/login/link?token=" in mail_to(stack, ADMIN)["text"]


def test_loopback_names_stand_for_one_another(local: Service) -> None:
    port = local.url.rpartition(":")[2]
    body = {"address": dev_account(4).address, "next": "/admin"}
    for name in ("localhost", "127.0.0.1", "[::1]"):
        headers = {"host": f"{name}:{port}", "origin": f"http://127.0.0.1:{port}"}
        message = ask(local, "POST", "/login/wallet/message", json=body, headers=headers).json()["message"]
        assert f"URI: http://{name}:{port}\n" in message
    for foreign in ("http://127.0.0.1:1", f"https://localhost:{port}", f"http://localhost.evil.example:{port}"):
        answer = ask(local, "POST", "/login/wallet/message", json=body, headers={"origin": foreign})
        problem(answer, 403, "forged_request")


@pytest.mark.parametrize("settings", [{"HOST": "0.0.0.0"}, {"CLIENT_IP_HEADER": "x-ip"}])  # noqa: S104
def test_serve_needs_a_name_where_operators_sign_in(stack: Stack, settings: dict[str, str]) -> None:
    done = stack.run("serve", **settings)
    assert done.returncode == 2
    assert "PUBLIC_URL is missing: OPERATORS needs it" in done.stderr


def test_without_a_name_pages_show_none(stack: Stack) -> None:
    service = stack.serve(CLIENT_IP_HEADER="x-ip", OPERATORS="", PUBLIC_URL="")
    page = ask(service, "GET", "/pay")
    assert page.status_code == 200
    assert EVIL not in page.text
    assert "The address of this page" not in page.text
