"""The operators' addresses, one line each."""

from jinja2 import Environment
from starlette.routing import Route

from stateless_billing.domain import money
from stateless_billing.services.container import Services
from stateless_billing.web.operators.admin_api import AdminApi
from stateless_billing.web.operators.admin_pages import AdminPages
from stateless_billing.web.operators.audit_pages import AuditPages
from stateless_billing.web.operators.audit_runs import AuditRuns
from stateless_billing.web.operators.page_frame import PageFrame
from stateless_billing.web.operators.sessions import Sessions
from stateless_billing.web.operators.sign_in_pages import SignInPages
from stateless_billing.web.operators.uncredited_page import UncreditedPage


def operators_routes(services: Services, templates: Environment) -> list[Route]:
    """Signing in, the pages behind it, and what they do."""
    templates.filters["usd"] = _dollars_per_token
    sessions = Sessions(services)
    desk = PageFrame(services, sessions, templates)
    signing_in, pages, api = SignInPages(services, sessions, templates), AdminPages(desk), AdminApi(services, sessions)
    audit = AuditPages(desk, AuditRuns(services), templates)
    return [
        Route("/login",                        signing_in.page),
        Route("/login",                        signing_in.ask,       methods=["POST"]),
        Route("/login/link",                   signing_in.link),
        Route("/login/link",                   signing_in.follow,    methods=["POST"]),
        Route("/login/code",                   signing_in.code,      methods=["POST"]),
        Route("/login/wallet/message",         signing_in.challenge, methods=["POST"]),
        Route("/login/wallet",                 signing_in.wallet,    methods=["POST"]),
        Route("/logout",                       signing_in.leave,     methods=["POST"]),
        Route("/admin",                        pages.find),
        Route("/admin/customers/{customer}",   pages.customer),
        Route("/admin/grants",                 pages.grants),
        Route("/admin/grants.csv",             pages.grants_csv),
        Route("/admin/stuck",                  UncreditedPage(desk).page),
        Route("/admin/rate",                   pages.rate),
        Route("/audit",                        audit.page),
        Route("/audit/report.{form}",          audit.download),
        Route("/api/admin/find",               api.find),
        Route("/api/admin/grants/check",       api.preview,            methods=["POST"]),
        Route("/api/admin/grants",             api.give,             methods=["POST"]),
        Route("/api/admin/grants/status",      api.status,           methods=["POST"]),
        Route("/api/admin/grants/undo",        api.undo,             methods=["POST"]),
        Route("/api/admin/orders",             api.write_order,            methods=["POST"]),
        Route("/api/admin/payments/retry",     api.retry,            methods=["POST"]),
        Route("/api/admin/rate",               api.set_rate,         methods=["POST"]),
        Route("/api/admin/rate/end",           api.end_rate,         methods=["POST"]),
    ]  # fmt: skip


def _dollars_per_token(market: int) -> str:
    """A rate of 10^-18 dollars per token for people: all its digits, two decimals at least."""
    whole, part = money.format_decimal(market).split(".")
    return f"${whole}.{part.rstrip('0').ljust(2, '0')}"
