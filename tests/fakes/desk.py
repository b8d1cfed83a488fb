"""Operators' requests against whole processes in virtual time, without sockets."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from chain.payment import Payment
from stateless_billing.operators.roster import Operator
from stateless_billing.services.container import Services
from stateless_billing.web.operators.sessions import SESSION_COOKIE
from stateless_billing.web.routes import create_app
from tests.fakes.in_process_service import Town

ANN, BETH, MODERATOR = "ann@example.org", "beth@example.org", "mod@example.org"
WHY = "the payer asked by phone"
SETTINGS = {
    "SIGNER_KEY": "0x" + "01" * 32,
    "OPERATORS": f"{ANN}=admin,{BETH}|0x{'77' * 20}=admin,{MODERATOR}=moderator",
    "SESSION_SECRETS": "x" * 32,
    "PUBLIC_URL": "https://pay.example.org",
    "PROCESSES": "1",
    "MAX_ORDER_CENTS": "100000",
}


class Desk:
    """One operator's requests to one process."""

    def __init__(self, services: Services, name: str) -> None:
        self.services = services
        self.name = name
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(services)),
            base_url="https://pay.example.org",
            headers={"host": "pay.example.org"},
        )
        operator = Operator(name, services.settings.operators[name])
        self._client.cookies.set(SESSION_COOKIE, services.sign_ins.create_session(operator))
        self._forms = 0

    def form(self, payment: Payment | str, form: str = "") -> str:
        """Return the signed form of an order, a new one unless `form` names it."""
        self._forms += 1
        minted = form or f"{self.services.grants.create_grant_id()}{self._forms}"
        identity = payment if isinstance(payment, str) else payment.identity
        values = {"form": minted, "operator": self.name, "payment": identity}
        return self.services.sign_ins.tokens.seal("order", values)

    async def post(self, path: str, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
        """Send JSON and require a status."""
        answer = await self._client.post(f"/api/admin/{path}", json=body)
        assert answer.status_code == status, answer.text
        content: dict[str, Any] = answer.json()
        return content

    async def get(self, path: str) -> httpx.Response:
        """Return the answer of a page, whatever its status."""
        return await self._client.get(path)

    async def page(self, path: str) -> str:
        """Return a page."""
        answer = await self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def show(self, path: str, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
        """Take the first step of a decision."""
        return await self.post(path, {"reason": WHY} | body, status)

    async def write(self, path: str, body: dict[str, Any], shown: dict[str, Any], status: int = 200) -> dict[str, Any]:
        """Take the second step."""
        return await self.post(path, {"reason": WHY} | body | {"shown": shown["shown"]}, status)

    async def decide(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Take both steps."""
        return await self.write(path, body, await self.show(path, body))


async def opened(town: Town, **environ: str) -> Services:
    """Start a process with operators."""
    return await town.started(**SETTINGS | environ)


def run_desk(town: Town, scenario: Callable[[Services], Awaitable[None]], **environ: str) -> None:
    """Run a scenario against one process."""

    async def whole() -> None:
        services = await opened(town, **environ)
        await scenario(services)
        await services.__aexit__(None, None, None)

    town.run(whole())
