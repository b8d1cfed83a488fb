"""Sign-ins, refusals and acts of operators leave a line with who, from where and in which request, and no secret."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import httpx
import pytest
from eth_account.messages import encode_defunct

from stateless_billing.domain.form_ids import FORM_SECONDS
from stateless_billing.operators.mailer import Mail, Mailer
from stateless_billing.operators.roster import OVERRIDE, Operator
from stateless_billing.runtime import logs
from stateless_billing.runtime.security_log import EVENTS
from stateless_billing.sandbox.localchain import dev_account
from stateless_billing.services.container import Services
from stateless_billing.web.operators.sessions import SESSION_COOKIE, SIGN_IN_COOKIE
from stateless_billing.web.routes import create_app
from tests.attack.attack_request_cpu import SETTINGS
from tests.chain.fake_node import history
from tests.fakes.in_process_service import Town

ADMIN, MODERATOR, STRANGER = "admin@example.org", "moderator@example.org", "jane.doe@example.org"
WALLET = dev_account(4)
OPERATORS = f"{ADMIN}=admin,{MODERATOR}=moderator,{WALLET.address}=admin"
ADDRESS = "192.0.2.77"
PAYMENTS = history(1)
CUSTOMER = str(PAYMENTS[0].customer_id)


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Log as the service does."""
    caplog.set_level(logging.INFO)
    caplog.handler.addFilter(logs._add_fields)
    yield
    caplog.handler.removeFilter(logs._add_fields)


class Postbox:
    """Accepts every mail."""

    async def send(self, mail: Mail) -> bool:
        """Accept a mail."""
        return True


def events(caplog: pytest.LogCaptureFixture, *names: str) -> list[tuple[Any, ...]]:
    """Return the event and the named fields of each line; no line names an address or a stranger."""
    format_line = logs._JsonLineFormatter(()).format
    lines = [json.loads(format_line(record)) for record in caplog.records if hasattr(record, "event")]
    for line in lines:
        assert line["event"] in EVENTS
        assert line["network"] == "192.0.2.0/24"
        assert len(line["request_id"]) == 16
        assert ADDRESS not in str(line)
        assert STRANGER not in str(line)
    return [(line["event"], *(line.get(name) for name in names)) for line in lines]


class Browser:
    """A browser at one address."""

    def __init__(self, services: Services, name: str = "") -> None:
        app = create_app(services)
        headers = {"x-client": ADDRESS, "host": "pay.example.org"}
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="https://pay.example.org", headers=headers
        )
        self.services = services
        self.name = name
        self.role = services.settings.operators.get(name, "")
        if name:
            cookie = services.sign_ins.create_session(Operator(name, self.role))
            self._client.cookies.set(SESSION_COOKIE, cookie)

    async def post(self, path: str, status: int, body: object = None, **rest: Any) -> httpx.Response:
        """Send JSON, or a form in `data`."""
        sent: dict[str, Any] = {"json": body} if body is not None else {}
        answer = await self._client.post(path, **sent, **rest)
        assert answer.status_code == status, answer.text
        return answer

    async def decide(self, path: str, body: dict[str, Any]) -> None:
        """Take both steps of a decision."""
        shown = await self.post(path, 200, body)
        await self.post(path, 200, body | {"shown": shown.json()["shown"]})

    async def ask(self, path: str) -> int:
        """Send an empty form and return the status."""
        return (await self._client.post(path)).status_code

    async def open(self, path: str) -> int:
        """Load a page and return the status."""
        return (await self._client.get(path)).status_code

    def take_session(self, cookie: str) -> None:
        """Use another browser's session."""
        self._client.cookies.set(SESSION_COOKIE, cookie)

    def cookie(self, name: str) -> str:
        """Return a cookie."""
        return self._client.cookies[name]

    def form(self, kind: str, operator: str | None = None, **fields: str) -> str:
        """Return a signed form."""
        values = {"operator": operator or self.name, "form": "f1", **fields}
        return self.services.sign_ins.tokens.seal(kind, values)


async def started(town: Town) -> Services:
    services = await town.started(**SETTINGS | {"OPERATORS": OPERATORS, "PROCESSES": "1"})
    services.sign_ins.mailer = cast(Mailer, Postbox())
    return services


def run(scenario: Callable[[Services], Awaitable[None]]) -> None:
    """Run a scenario against one process."""
    town = Town(PAYMENTS)

    async def whole() -> None:
        services = await started(town)
        await scenario(services)
        await services.__aexit__(None, None, None)

    town.run(whole())


def test_sign_in_by_mail(caplog: pytest.LogCaptureFixture) -> None:
    typed: list[str] = []

    async def scenario(services: Services) -> None:
        browser = Browser(services)
        await browser.post("/login", 200, data={"email": STRANGER})
        await browser.post("/login", 200, data={"email": ADMIN.title()})
        await browser.post("/login/code", 401, data={"code": "AAAA-AAAA"})
        await browser.post("/login/link", 401, data={"token": "forged"})
        assert await browser.open("/login/link?token=forged") == 401
        code = services.sign_ins.tokens.code("code", f"{ADMIN} {int(services.clock.wall()) // 60}")
        typed.extend([code, browser.cookie(SIGN_IN_COOKIE)])
        await browser.post("/login/code", 303, data={"code": code})
        typed.append(browser.cookie(SESSION_COOKIE))
        await browser.post("/logout", 303, data={})

    run(scenario)
    assert events(caplog, "method", "operator", "subject", "cause", "scope") == [
        ("sign_in_requested", "mail", None, "j…@example.org", None, None),
        ("sign_in_requested", "mail", ADMIN, None, None, None),
        ("sign_in_failed", "code", ADMIN, None, "sign_in_failed", None),
        ("sign_in_failed", "link", ADMIN, None, "sign_in_failed", None),
        ("sign_in_failed", "link", None, None, "sign_in_failed", None),
        ("sign_in_succeeded", "code", ADMIN, None, None, None),
        ("session_ended", None, ADMIN, None, None, "session"),
    ]
    assert not [secret for secret in typed if secret in caplog.text]


def test_sign_in_by_wallet(caplog: pytest.LogCaptureFixture) -> None:

    async def scenario(services: Services) -> None:
        browser = Browser(services)
        for signer in (WALLET, dev_account(5)):
            answer = await browser.post("/login/wallet/message", 200, {"address": signer.address, "next": ""})
            signed = WALLET.sign_message(encode_defunct(text=answer.json()["message"]))
            is_operator = signer is WALLET
            await browser.post(
                "/login/wallet", 200 if is_operator else 401, {"signature": "0x" + signed.signature.hex()}
            )

    run(scenario)
    operator, stranger = WALLET.address.lower(), dev_account(5).address.lower()
    masked = f"{stranger[:6]}…{stranger[-4:]}"
    assert events(caplog, "method", "operator", "subject", "cause") == [
        ("sign_in_requested", "wallet", operator, None, None),
        ("sign_in_succeeded", "wallet", operator, None, None),
        ("sign_in_requested", "wallet", None, masked, None),
        ("sign_in_failed", "wallet", None, masked, "sign_in_failed"),
    ]
    assert stranger not in caplog.text


def test_ended_and_forged_sessions(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(services: Services) -> None:
        browser, thief = Browser(services, MODERATOR), Browser(services)
        thief.take_session("forged")
        await thief.post("/api/admin/grants/status", 401, {"form": ""})
        thief.take_session(browser.cookie(SESSION_COOKIE))
        await browser.post("/logout/everywhere", 303, data={})
        await thief.post("/api/admin/grants/status", 401, {"form": ""})

    run(scenario)
    assert events(caplog, "operator", "cause") == [
        ("right_refused", None, "signed_out"),
        ("session_ended", MODERATOR, None),
        ("ended_session_used", MODERATOR, None),
        ("right_refused", None, "signed_out"),
    ]


def test_rights_forms_and_other_sites(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(services: Services) -> None:
        browser = Browser(services, MODERATOR)
        await browser.post("/api/admin/rate", 403, {"rate": "1", "hours": 1, "reason": "x"})
        await browser.post("/api/admin/rate", 403, {}, headers={"origin": "https://evil.example"})
        await browser.post("/api/admin/grants/status", 422, {"form": "forged"})
        await browser.post("/api/admin/grants/status", 422, {"form": browser.form("grant", ADMIN, grant="g")})
        stale = browser.form("grant", grant="g")
        await asyncio.sleep(FORM_SECONDS + 1)
        await Browser(services, MODERATOR).post("/api/admin/grants/status", 409, {"form": stale})

    run(scenario)
    assert events(caplog, "operator", "right", "cause", "site") == [
        ("right_refused", MODERATOR, OVERRIDE, "not_allowed", None),
        ("request_forged", None, None, None, "https://evil.example"),
        ("form_refused", MODERATOR, None, "form_invalid", None),
        ("form_refused", MODERATOR, None, "form_invalid", None),
        ("form_refused", MODERATOR, None, "form_dead", None),
    ]


def test_grants(caplog: pytest.LogCaptureFixture) -> None:

    async def scenario(services: Services) -> None:
        browser = Browser(services, MODERATOR)
        grant = services.grants.create_grant_id()
        form = browser.form("grant", grant=grant, customer=CUSTOMER)
        body = {"form": form, "amount": "7.50", "reason": "goodwill", "note": "They waited, ticket 123"}
        await browser.post("/api/admin/grants", 422, body | {"amount": "much"})
        given = await browser.post("/api/admin/grants", 200, body)
        reservation = given.json()["reservation"]
        await browser.decide("/api/admin/grants/undo", {"reservation": reservation, "reason": "it was a mistake"})

    run(scenario)
    assert events(caplog, "operator", "customer", "cents", "cause", "state") == [
        ("grant_refused", MODERATOR, None, None, "invalid_input", None),
        ("grant_given", MODERATOR, CUSTOMER, 750, None, "given"),
        ("decision_shown", MODERATOR, None, None, None, None),
        ("grant_undone", MODERATOR, CUSTOMER, 750, None, None),
    ]
    assert "ticket 123" not in caplog.text


def test_orders_and_rates(caplog: pytest.LogCaptureFixture) -> None:

    async def scenario(services: Services) -> None:
        browser = Browser(services, ADMIN)
        identity = PAYMENTS[0].identity
        form = browser.form("order", payment=identity)
        order = {"form": form, "order": "nonsense", "confirms": "", "reason": "ticket 123"}
        await browser.post("/api/admin/orders", 422, order)
        await browser.post("/api/admin/rate", 422, {"rate": "much", "hours": 1, "reason": "x"})
        await browser.decide("/api/admin/rate", {"rate": "0.006", "hours": 1, "reason": "ticket 123"})
        await browser.decide("/api/admin/rate/end", {"reason": "ticket 123"})
        await browser.decide("/api/admin/rate", {"rate": "0.009", "hours": 1, "reason": "ticket 123"})

    run(scenario)
    assert events(caplog, "operator", "payment", "text", "rate", "cause") == [
        ("order_refused", ADMIN, PAYMENTS[0].identity, "nonsense", None, "invalid_input"),
        ("rate_refused", ADMIN, None, None, None, "invalid_input"),
        ("decision_shown", ADMIN, None, None, f"{0.006:.18f}", None),
        ("rate_set", ADMIN, None, None, f"{0.006:.18f}", None),
        ("decision_shown", ADMIN, None, None, None, None),
        ("rate_ended", ADMIN, None, None, None, None),
        ("decision_shown", ADMIN, None, None, "0.009" + "0" * 15, None),
        ("rate_proposed", ADMIN, None, None, "0.009" + "0" * 15, None),
    ]


def test_limits(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(services: Services) -> None:
        browser = Browser(services)
        for _ in range(25):
            await browser.ask("/login/wallet/message")

    run(scenario)
    assert set(events(caplog, "limit")) == {("limit_reached", "attempts to sign in")}
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 5
