"""Operators of the service: the requests of a signed-in browser, without a browser."""

import json
import re
import secrets
import time
from typing import Any
from urllib.parse import urlencode

import httpx

from stateless_billing.operators.signed_tokens import Tokens
from stateless_billing.runtime.bounded_http import create_ssl_context
from stateless_billing.runtime.clock import SystemClock
from stateless_billing.sandbox.stack import SESSION_SECRET, Service, Stack
from tests.integration.shop import wait_until

MODERATOR, ADMIN, AUDITOR = "moderator@example.org", "admin@example.org", "auditor@example.org"
TOKENS = Tokens((SESSION_SECRET,), SystemClock())
WHY = "They waited for an hour, ticket 123"


def session_of(name: str, age: int = 0) -> str:
    """Return the cookie of a session, in use now, that began `age` seconds ago."""
    now = int(time.time())
    return TOKENS.seal("session", {"who": name, "id": secrets.token_hex(16), "since": now - age}, now)


def _request(method: str, url: str, **rest: Any) -> httpx.Response:
    """Send a request over a new connection; thread-safe."""
    return httpx.request(method, url, verify=create_ssl_context(), trust_env=False, timeout=120, **rest)


class Operator:
    """A signed-in operator, on any process."""

    def __init__(self, name: str = MODERATOR, age: int = 0, cookie: str | None = None) -> None:
        self.name = name
        self.cookies = {"__Host-session": cookie or session_of(name, age)}

    def _headers(self, **more: str) -> dict[str, str]:
        return {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items() if value), **more}

    def get(self, service: Service, path: str) -> httpx.Response:
        """Load a page."""
        return _request("GET", f"{service.url}{path}", headers=self._headers())

    def search(self, service: Service, query: str) -> dict[str, Any]:
        """Search for customers."""
        answer = self.get(service, f"/api/admin/find?{urlencode({'q': query})}")
        assert answer.is_success, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def post(self, service: Service, path: str, body: object, **headers: str) -> httpx.Response:
        """Post JSON, as a button of a page does."""
        return self.post_bytes(service, path, json.dumps(body).encode(), **headers)

    def decide(self, service: Service, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        """Take both steps of a decision; a refusal of the first is the answer."""
        shown = self.post(service, path, body, **headers)
        if not shown.is_success:
            return shown
        return self.post(service, path, body | {"shown": shown.json()["shown"]}, **headers)

    def post_bytes(self, service: Service, path: str, body: bytes, **headers: str) -> httpx.Response:
        """Send an arbitrary body."""
        usual = {"origin": service.url, "sec-fetch-site": "same-origin", "content-type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return _request(
            "POST",
            f"{service.url}{path}",
            content=body,
            headers=self._headers(**{name: value for name, value in usual.items() if value}),
        )

    def send(self, service: Service, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
        """Send an HTML form and store the cookies of the answer."""
        usual = {"origin": "null", "sec-fetch-site": "same-origin"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        answer = _request("POST", f"{service.url}{path}", data=form, headers=self._headers(**usual))
        self.store_cookies(answer)
        return answer

    def store_cookies(self, answer: httpx.Response) -> None:
        """Store cookies as a browser does."""
        for header in answer.headers.get_list("set-cookie"):
            name, _, rest = header.partition("=")
            self.cookies[name] = rest.partition(";")[0].strip('"')

    def form(self, service: Service, customer: str) -> str:
        """Return the grant form of a customer's page."""
        page = self.get(service, f"/admin/customers/{customer}")
        assert page.is_success, page.text
        match = re.search(r'data-form="([^"]+)"', page.text)
        assert match, "the page offers no grant"
        return match[1]

    def grant_form(self, service: Service, customer: str, amount: str = "7.50", **changes: Any) -> dict[str, Any]:
        """Return a completed grant form."""
        form = {"form": self.form(service, customer), "amount": amount, "reason": "goodwill", "note": WHY}
        return form | changes

    def give(self, service: Service, customer: str, amount: str = "7.50", **changes: Any) -> dict[str, Any]:
        """Give a grant, which must succeed."""
        answer = self.post(service, "/api/admin/grants", self.grant_form(service, customer, amount, **changes))
        assert answer.is_success, answer.text
        body: dict[str, Any] = answer.json()
        return body


def mails_to(stack: Stack, address: str) -> list[dict[str, Any]]:
    """Return the mails to an address, oldest first."""
    return [mail for mail in stack.control("GET", "mails") if address in mail["to"]]


def mail_to(stack: Stack, address: str, number: int = 1) -> dict[str, Any]:
    """Wait for `number` mails to an address and return the latest."""
    wait_until(lambda: len(mails_to(stack, address)) >= number)
    return mails_to(stack, address)[-1]


def token_in(mail: dict[str, Any]) -> str:
    """Return the token of a mail's link."""
    match = re.search(r"token=([\w.=-]+)", mail["text"])
    assert match
    return match[1]


def code_in(mail: dict[str, Any]) -> str:
    """Return a mail's code."""
    match = re.search(r"code: ([A-Z2-7]{4}-[A-Z2-7]{4})", mail["text"])
    assert match
    return match[1]
