"""The pages' addresses and what they are made of, one line each."""

from starlette.routing import BaseRoute, Route

from stateless_billing.services.container import Services
from stateless_billing.web.api.handlers import Api
from stateless_billing.web.operators_routes import operators_routes
from stateless_billing.web.pages.assets import Assets
from stateless_billing.web.pages.pages import Pages, load_templates


def page_routes(services: Services, api: Api) -> list[BaseRoute]:
    """The payers' pages and the operators', with their own API."""
    assets = Assets()
    pages = Pages(services, api, assets)
    return [
        Route("/pay",                         pages.pay),
        Route("/receipt/{tx_hash}/{ordinal}", pages.receipt),
        Route("/problems/{code}",             pages.problem),
        Route("/static/{digest}/{name}",      assets.serve),
        *operators_routes(services, load_templates(assets)),
    ]  # fmt: skip
