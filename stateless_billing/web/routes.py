"""Every address of the service, one line each."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stateless_billing.services import Services
from stateless_billing.web.api import Api
from stateless_billing.web.assets import Assets
from stateless_billing.web.guards import Guards
from stateless_billing.web.intake import Intake
from stateless_billing.web.openapi import describe
from stateless_billing.web.operators_routes import operators_routes
from stateless_billing.web.pages import Pages, templates
from stateless_billing.web.problems import HANDLERS
from stateless_billing.web.throttle import Throttle

_SMALL = 1400  # bytes; what fits into one packet anyway


async def openapi(request: Request) -> Response:
    """`GET /openapi.json`."""
    return JSONResponse(describe())


def create_app(services: Services) -> Starlette:
    """The web application over services that were started."""
    api, assets = Api(services), Assets()
    pages = Pages(services, api, assets)
    routes = [
        Route("/",                         pages.to_pay),
        Route("/pay",                      pages.pay),
        Route("/payWithLitkey",            pages.to_pay),
        Route("/receipt/{tx_hash}/{ordinal}", pages.receipt),
        Route("/problems/{code}",          pages.problem),
        Route("/api/accounts/{wallet}",    api.account),
        Route("/api/quotes",               api.quote,   methods=["POST"]),
        Route("/api/payments",             api.claim,   methods=["POST"]),
        Route("/api/payments/{tx_hash}",   api.payment),
        *operators_routes(services, templates(assets)),
        Route("/healthz",                  api.healthz),
        Route("/readyz",                   api.readyz),
        Route("/openapi.json",             openapi),
        Route("/static/{digest}/{name}",   assets.serve),
    ]  # fmt: skip
    middleware = [
        Middleware(Guards),
        Middleware(Throttle, header=services.settings.client_ip_header, clock=services.clock),
        Middleware(Intake),
        Middleware(GZipMiddleware, minimum_size=_SMALL),
    ]
    return Starlette(routes=routes, middleware=middleware, exception_handlers=HANDLERS)
