"""Route table of the pages."""

from starlette.routing import BaseRoute, Route

from stateless_billing.services.container import Services
from stateless_billing.web.api.handlers import Api
from stateless_billing.web.operators.audit_runs import AuditRuns
from stateless_billing.web.operators_routes import operators_routes
from stateless_billing.web.pages.api_page import ApiPage
from stateless_billing.web.pages.assets import site_assets
from stateless_billing.web.pages.pages import Pages, site_templates


def page_routes(services: Services, api: Api, audits: AuditRuns) -> list[BaseRoute]:
    """Create the routes of the payers' pages and of the operators."""
    pages = Pages(services, api, site_templates())
    return [
        Route("/pay",                         pages.pay),
        Route("/receipt/{tx_hash}/{ordinal}", pages.receipt),
        Route("/problems/{code}",             pages.problem),
        Route("/docs/api",                    ApiPage(site_templates()).show),
        Route("/static/{digest}/{name}",      site_assets().serve),
        *operators_routes(services, audits, site_templates()),
    ]  # fmt: skip
