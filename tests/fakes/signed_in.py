"""Operators' browsers of an in-process service."""

import secrets

import httpx
from starlette.applications import Starlette

from stateless_billing.operators.sign_in import IDLE_SECONDS
from stateless_billing.operators.signed_tokens import Tokens
from stateless_billing.services.container import Services
from stateless_billing.web.routes import create_app
from tests.fakes.in_process_service import LoopClock, Town

SECRET = "a" * 64
ADMIN, MODERATOR, AUDITOR = "admin@example.org", "moderator@example.org", "auditor@example.org"
ROSTER = f"{ADMIN}=admin,second@example.org=admin,{MODERATOR}=moderator,{AUDITOR}=auditor"
ORIGIN = "http://desk.test"


async def start_desk(town: Town, **environ: str) -> tuple[Services, Starlette]:
    """Start a process whose operators may sign in."""
    settings = {"SIGNER_KEY": "11" * 32, "OPERATORS": ROSTER, "SESSION_SECRETS": SECRET, "PUBLIC_URL": ORIGIN}
    services = await town.started(**settings | environ)
    services.sign_outs.load((await services.records.load()).metadata or {}, services.clock.boot())
    return services, create_app(services)


def open_browser(app: Starlette, name: str = ADMIN, *, age: int = 0, renewed_ago: int = 0) -> httpx.AsyncClient:
    """Return a browser that signed in `age` seconds ago."""
    assert renewed_ago < IDLE_SECONDS
    now = int(LoopClock().wall())
    values = {"who": name, "id": secrets.token_hex(16), "since": now - age}
    cookie = Tokens((SECRET,), LoopClock()).seal("session", values, now - renewed_ago)
    headers = {"cookie": f"__Host-session={cookie}", "sec-fetch-site": "same-origin", "origin": ORIGIN}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=ORIGIN, headers=headers, follow_redirects=False, timeout=300
    )
