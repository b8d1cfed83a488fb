"""The route table answers what it knows by method, and everything else with 404."""

import httpx
import pytest

from stateless_billing.services.container import Services
from stateless_billing.settings import SERVE, load
from stateless_billing.web.routes import create_app
from tests.fakes.in_process_service import LoopClock
from tests.web.test_openapi import ENVIRONMENT

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/problems/busy", 200),
        ("POST", "/problems/busy", 405),
        ("GET", "/api/quotes", 405),
        ("TRACE", "/openapi.json", 405),
        ("GET", "/openapi.json", 200),
        ("GET", "/pays", 404),
        ("GET", "/api/admin/unknown", 404),
        ("GET", "/other", 404),
        ("HEAD", "/healthz", 200),
    ],
)
async def test_routes_respond_by_method(method: str, path: str, status: int) -> None:
    services = Services(load(SERVE, ENVIRONMENT), LoopClock())
    services.startup.has_passed = True
    transport = httpx.ASGITransport(app=create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        assert (await client.request(method, path)).status_code == status
