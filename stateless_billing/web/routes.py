"""Route table and middleware of the web application."""

from functools import cache

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from chain.contracts import ABI_FOLDER, GATEWAY_ABI
from stateless_billing.services.container import Services
from stateless_billing.web.api.cors import CorsMiddleware, PreflightMiddleware
from stateless_billing.web.api.handlers import Api
from stateless_billing.web.api.openapi import create_document
from stateless_billing.web.http import health
from stateless_billing.web.http.problems import HANDLERS, RENDERER
from stateless_billing.web.operators.audit_runs import AuditRuns
from stateless_billing.web.operators.sessions import Sessions
from stateless_billing.web.page_routes import page_routes
from stateless_billing.web.pages.pages import site_templates
from stateless_billing.web.pages.problem_page import ProblemPage
from stateless_billing.web.server.body_limits import BodyLimitMiddleware
from stateless_billing.web.server.compression import CompressionMiddleware
from stateless_billing.web.server.middleware import RequestContextMiddleware
from stateless_billing.web.server.rate_limits import RateLimitMiddleware
from stateless_billing.web.server.startup_gate import StartupGateMiddleware
from stateless_billing.web.server.trailing_slash import redirect_trailing_slashes


async def openapi(request: Request) -> Response:
    """`GET /openapi.json`."""
    return Response(_document(), media_type="application/json")


async def abi(request: Request) -> Response:
    """`GET /abi.json`: the gateway's ABI."""
    return Response(_gateway_abi(), media_type="application/json")


@cache
def _gateway_abi() -> bytes:
    return (ABI_FOLDER / f"{GATEWAY_ABI}.json").read_bytes()


@cache
def _document() -> bytes:
    return msgspec.json.encode(create_document())


async def redirect_to_pay(request: Request) -> Response:
    """Redirect a former address of the pay page, keeping the query."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/pay{query}", 307)


def create_app(services: Services) -> Starlette:
    """Create the web application. Its requests wait for the checks of the start."""
    api, audits, sessions = Api(services), AuditRuns(services), Sessions(services)
    routes = [
        Route("/api/payments/{tx_hash}",   api.get_payment),  # first: what open pages poll
        Route("/",                         redirect_to_pay),
        Route("/payWithLitkey",            redirect_to_pay),
        Route("/api/accounts/{wallet}",    api.get_account),
        Route("/api/accounts/{wallet}/events", api.stream_account),
        Route("/api/quotes",               api.create_quote,  methods=["POST"]),
        Route("/api/quotes/status",        api.get_quote_status, methods=["POST"]),
        Route("/api/payments",             api.claim_payment, methods=["POST"]),
        Route(health.PATH,                 health.healthz),
        Route("/readyz",                   api.readyz),
        Route("/openapi.json",             openapi),
        Route("/abi.json",                 abi),
        *page_routes(services, api, audits),
    ]  # fmt: skip
    cors_origins = services.settings.cors_origins
    middleware = [
        Middleware(CorsMiddleware, origins=cors_origins),
        Middleware(RequestContextMiddleware),
        Middleware(
            RateLimitMiddleware,
            header=services.settings.client_ip_header,
            clock=services.clock,
            security_log=services.security_log,
        ),
        Middleware(PreflightMiddleware, origins=cors_origins),
        Middleware(StartupGateMiddleware, startup=services.startup),
        Middleware(BodyLimitMiddleware, is_signed_in=lambda request: sessions.current(request) is not None),
        Middleware(CompressionMiddleware),
    ]
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=HANDLERS)
    setattr(app.state, RENDERER, ProblemPage(services.settings, site_templates()).render)
    redirect_trailing_slashes(app.router)
    app.state.streams = api.streams

    def end_streams() -> None:
        api.streams.close()
        audits.close()

    app.state.end_streams = end_streams
    return app
