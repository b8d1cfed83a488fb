"""Route table of the operators' pages and API."""

from jinja2 import Environment
from starlette.routing import Route

from stateless_billing.domain import money
from stateless_billing.grants.forms import show_controls
from stateless_billing.services.container import Services
from stateless_billing.web.decisions.decisions_page import DecisionsPage
from stateless_billing.web.decisions.order_api import OrderApi
from stateless_billing.web.decisions.rate_api import RateApi
from stateless_billing.web.decisions.uncredited_page import UncreditedPage
from stateless_billing.web.desk.customer_page import CustomerPage
from stateless_billing.web.desk.help_page import HelpPage
from stateless_billing.web.desk.home_page import HomePage
from stateless_billing.web.desk.roster_page import RosterPage
from stateless_billing.web.operators.admin_api import AdminApi
from stateless_billing.web.operators.admin_pages import AdminPages
from stateless_billing.web.operators.audit_pages import AuditPages
from stateless_billing.web.operators.audit_runs import AuditRuns
from stateless_billing.web.operators.page_frame import PageFrame
from stateless_billing.web.operators.sessions import Sessions
from stateless_billing.web.operators.sign_in_pages import SignInPages
from stateless_billing.web.operators.wallet_orders import WalletOrders


def operators_routes(services: Services, audits: AuditRuns, templates: Environment) -> list[Route]:
    """Create the routes of sign-in, admin pages, audit and admin API."""
    templates.filters |= {"usd": money.format_rate, "visible": show_controls, "money": money.format_money}
    sessions = Sessions(services)
    frame = PageFrame(services, sessions, templates)
    sign_in = SignInPages(services, sessions, templates)
    pages = AdminPages(frame)
    api = AdminApi(services, sessions)
    orders, rate = OrderApi(services, sessions), RateApi(services, sessions)
    wallets = WalletOrders(services, sessions)
    decisions = DecisionsPage(frame)
    audit = AuditPages(frame, audits, templates)
    routes = [
        Route("/login",                      sign_in.show_form),
        Route("/login",                      sign_in.request_link,       methods=["POST"]),
        Route("/login/link",                 sign_in.show_link),
        Route("/login/link",                 sign_in.sign_in_by_link,    methods=["POST"]),
        Route("/login/code",                 sign_in.sign_in_by_code,    methods=["POST"]),
        Route("/login/wallet/message",       sign_in.create_challenge,   methods=["POST"]),
        Route("/login/wallet",               sign_in.sign_in_by_wallet,  methods=["POST"]),
        Route("/logout",                     sign_in.sign_out,           methods=["POST"]),
        Route("/logout/everywhere",          sign_in.sign_out_everywhere, methods=["POST"]),
        Route("/admin",                      HomePage(frame, pages.find).page),
        Route("/admin/customers/{customer}", CustomerPage(frame).page),
        Route("/admin/grants",               pages.grants),
        Route("/admin/grants.csv",           pages.grants_csv),
        Route("/admin/stuck",                UncreditedPage(frame).page),
        Route("/admin/decisions",            decisions.page),
        Route("/admin/decisions.csv",        decisions.csv),
        Route("/admin/rate",                 pages.rate),
        Route("/admin/sessions",             pages.sessions),
        Route("/admin/operators",            RosterPage(frame).page),
        Route("/admin/help",                 HelpPage(frame).page),
        Route("/audit",                      audit.page),
        Route("/audit/report.{form}",        audit.download),
        Route("/api/admin/find",             api.find),
        Route("/api/admin/grants/check",     api.preview,                methods=["POST"]),
        Route("/api/admin/grants",           api.give,                   methods=["POST"]),
        Route("/api/admin/grants/status",    api.status,                 methods=["POST"]),
        Route("/api/admin/grants/undo",      api.undo,                   methods=["POST"]),
        Route("/api/admin/orders",           orders.write_order,         methods=["POST"]),
        Route("/api/admin/orders/wallet",    wallets.write,              methods=["POST"]),
        Route("/api/admin/payments/retry",   orders.retry,               methods=["POST"]),
        Route("/api/admin/rate",             rate.set_rate,              methods=["POST"]),
        Route("/api/admin/rate/confirm",     rate.confirm,               methods=["POST"]),
        Route("/api/admin/rate/withdraw",    rate.withdraw,              methods=["POST"]),
        Route("/api/admin/rate/end",         rate.end_rate,              methods=["POST"]),
    ]  # fmt: skip
    return [Route(route.path, sessions.create_handler(route.endpoint), methods=route.methods) for route in routes]
