"""The settings as a whole, the records in Stripe, the clock, the price, the mail and who may sign in."""

from collections import Counter
from dataclasses import fields

import httpx

from stateless_billing.bookkeeping.records import NotOurAccount
from stateless_billing.doctor.checks import CheckFailed, CheckNoted, CheckSkipped
from stateless_billing.domain.money import format_dollars
from stateless_billing.operators.roster import is_email
from stateless_billing.pricing.rates import NoRate
from stateless_billing.services import health
from stateless_billing.services.container import Services
from stateless_billing.settings import Settings

_LOCAL = ("127.0.0.1", "localhost", "::1")
_TIMEOUT = httpx.Timeout(10.0, connect=3.0)


async def check_settings(services: Services) -> str:
    """Which are set, by name; and what is allowed but seldom meant."""
    known = services.settings
    chosen = [one.name.upper() for one in fields(Settings) if _find_difference(known, one.name)]
    told = f"set: {', '.join(chosen)}; the others by default"
    if known.host not in _LOCAL and not known.client_ip_header:
        raise CheckNoted(told, "Behind a proxy set CLIENT_IP_HEADER, else all visitors share the limits of one.")
    if known.host not in _LOCAL and not known.public_url:
        raise CheckNoted(told, "Set PUBLIC_URL to the address that visitors know.")
    return told


def _find_difference(known: Settings, name: str) -> bool:
    [one] = [one for one in fields(Settings) if one.name == name]
    default = one.metadata["default"]
    return bool(getattr(known, name) != (one.metadata["parse"](default) if default else one.metadata["absent"]))


async def check_records(services: Services) -> str:
    """That the two bookkeeping customers are this account's."""
    try:
        await services.records.load()
    except NotOurAccount as error:
        raise CheckFailed(
            str(error),
            "Use the key of the right account, or make the records: doctor --init prints SERVICE_CUSTOMER_ID.",
        ) from error
    return f"service record {services.records.service_id}, grants record {services.records.grants_id}"


async def check_clock(services: Services) -> str:
    """This machine's against Stripe's."""
    skew = services.stripe.health.skew
    if skew is None:
        raise CheckSkipped("Stripe was not reached, so the clock could not be compared with its", "Mend that first.")
    if fault := health.clock_fault(skew):
        raise CheckFailed(fault, "Have the host keep its time (NTP).")
    return f"{skew:+.1f} s from Stripe's"


async def check_price(services: Services) -> str:
    """That there is one."""
    try:
        rate = await services.price_feed.current_rate()
    except NoRate as error:
        raise CheckFailed(
            str(error),
            "Check PRICE_API_BASE, COINGECKO_ID and COINGECKO_API_KEY; an admin can set a rate for the while.",
        ) from error
    return f"{rate.source}, {int(services.clock.wall()) - rate.at} s old"


async def check_mail(services: Services) -> str:
    """That Resend takes mail under the key, found out by a mail without anything in it, which cannot be sent."""
    known = services.settings
    if not known.resend_api_key:
        raise CheckNoted(
            "no mail: operators sign in with wallets only", "RESEND_API_KEY and MAIL_FROM, if it is wanted."
        )
    told = await _request_resend(services, "POST", "/emails")
    if told in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise CheckFailed("Resend does not accept the key", "Set RESEND_API_KEY to one with sending access.")
    if told not in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY):
        raise CheckSkipped(f"Resend answered HTTP {told}", "Try again.")
    if (await _request_resend(services, "GET", "/domains")) == httpx.codes.OK:
        raise CheckNoted(
            "the key has full access", "A key with sending access, for one domain, is enough: resend.com/api-keys."
        )
    return f"Resend takes mail from {known.mail_from}; whether its domain is verified, only a mail shows"


async def _request_resend(services: Services, method: str, path: str) -> int:
    known = services.settings
    headers = {"authorization": f"Bearer {known.resend_api_key}"}
    body: dict[str, str] | None = {} if method == "POST" else None
    try:
        answer = await services.http.request(
            method, f"{known.resend_api_base}{path}", headers=headers, json=body, timeout=_TIMEOUT
        )
    except httpx.HTTPError as error:
        raise CheckSkipped(
            f"Resend was not reached: {type(error).__name__}", "Check RESEND_API_BASE, or wait."
        ) from error
    return answer.status_code


async def check_operators(services: Services) -> str:
    """Who may sign in, by role."""
    roster = services.settings.operators
    if not roster:
        raise CheckNoted("nobody can sign in", "Set OPERATORS and SESSION_SECRETS.")
    told = ", ".join(f"{count} {role}" for role, count in sorted(Counter(roster.values()).items()))
    if "admin" not in roster.values():
        raise CheckNoted(told, "Without an admin nobody can release what is held.")
    if not services.settings.resend_api_key and any(is_email(name) for name in roster):
        raise CheckFailed(
            f"{told}, some by mail, which is not set up", "Set RESEND_API_KEY and MAIL_FROM, or use wallets."
        )
    if list(roster.values()).count("admin") == 1:
        alone = format_dollars(services.settings.max_order_cents)
        raise CheckNoted(
            told, f"Name a second admin: nobody else can confirm an order above {alone} (MAX_ORDER_CENTS)."
        )
    return told
