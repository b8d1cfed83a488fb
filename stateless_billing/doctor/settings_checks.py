"""Checks the settings as a whole, the Stripe records, clock, price, mail and operators."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import Field, fields
from itertools import pairwise
from typing import Any

import httpx

from stateless_billing.bookkeeping.records import NotOurAccount
from stateless_billing.crediting.webhook import LIMITS as HOOK_LIMITS
from stateless_billing.doctor.checks import CheckFailed, CheckNoted, CheckSkipped
from stateless_billing.domain.money import format_dollars
from stateless_billing.operators.mailer import LIMITS
from stateless_billing.operators.roster import is_email
from stateless_billing.pricing import rates
from stateless_billing.pricing.price_feed import PAST_SPAN_SECONDS, RECENT_SPAN_SECONDS
from stateless_billing.pricing.rates import HOUR, NoRate, Sample
from stateless_billing.services import health
from stateless_billing.services.container import Services
from stateless_billing.setting_rules import LOOPBACK_HOSTS, OUTSIDE, has_plain_http
from stateless_billing.settings import Settings

_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
_PAST_PROBE_SECONDS = 72 * HOUR
_SET_CLOCK = "Synchronize the host's clock (NTP)."


async def check_settings(services: Services) -> str:
    """List the settings that differ from their defaults, and note valid ones that are rarely intended."""
    settings = services.settings
    changed = [field.name.upper() for field in fields(Settings) if _is_changed(settings, field)]
    detail = f"set: {', '.join(changed)}; the others by default"
    if settings.operators and not settings.site_url:
        raise CheckFailed(
            "operators sign in, and nothing names this site",
            "Set PUBLIC_URL to the URL that visitors use: `serve` does not start without it.",
        )
    if settings.plain_http:
        names = ", ".join(name.upper() for name in OUTSIDE if has_plain_http(getattr(settings, name)))
        raise CheckNoted(
            f"{detail}; PLAIN_HTTP is on, used by: {names or 'nothing'}",
            "Use https:// URLs and remove PLAIN_HTTP: whoever is on the way reads the keys and alters the answers.",
        )
    if settings.host not in LOOPBACK_HOSTS and not settings.client_ip_header:
        raise CheckNoted(detail, "Behind a proxy, set CLIENT_IP_HEADER; otherwise all visitors share one rate limit.")
    if not settings.site_url:
        raise CheckNoted(detail, "Set PUBLIC_URL to the URL that visitors use; without it no page shows its own.")
    return detail


def _is_changed(settings: Settings, field: Field[Any]) -> bool:
    default = field.metadata["default"]
    expected = field.metadata["parse"](default) if default else field.metadata["absent"]
    return bool(getattr(settings, field.name) != expected)


async def check_records(services: Services) -> str:
    """Check that the two bookkeeping customers belong to this account."""
    try:
        await services.records.load()
    except NotOurAccount as error:
        raise CheckFailed(
            str(error),
            "Use the key of the right account, or create the records: doctor --init prints SERVICE_CUSTOMER_ID.",
        ) from error
    return f"service record {services.records.service_id}, grants record {services.records.grants_id}"


async def check_clock(services: Services) -> str:
    """Compare this machine's clock with Stripe's."""
    skew = services.stripe_time.skew
    if skew is None:
        raise CheckSkipped("Stripe was not reached, so the clocks could not be compared", "Fix that first.")
    if fault := health.clock_fault(skew):
        raise CheckFailed(fault, _SET_CLOCK)
    if warning := health.clock_warning(skew):
        raise CheckNoted(warning, _SET_CLOCK)
    return f"{skew:+.1f} s from Stripe's"


async def check_price(services: Services) -> str:
    """Ask for the samples of now and of the past as the service does, and describe them."""
    feed, now = services.price_feed, int(services.clock.wall())
    forms = []
    try:
        recent = await feed.probe_recent()
        forms.append(f"the last {RECENT_SPAN_SECONDS // HOUR} hours: {_describe_samples(recent, now)}")
        rates.rate_near(recent, now)
        past = await feed.probe_past(now - _PAST_PROBE_SECONDS)
        forms.append(f"{PAST_SPAN_SECONDS // HOUR} hours of the past: {_describe_samples(past, now)}")
        rates.rate_between_hours(past, now - _PAST_PROBE_SECONDS)
    except NoRate as error:
        raise CheckFailed(
            "; ".join([*forms, str(error)]),
            "Check PRICE_API_BASE, COINGECKO_ID and COINGECKO_API_KEY; an admin can set a rate in the meantime.",
        ) from error
    return "; ".join([feed.source, *forms])


def _describe_samples(samples: Sequence[Sample], now: int) -> str:
    """Say how many samples there are, how far apart, and how old the newest is."""
    if len(samples) < 2:
        return f"{len(samples)} samples"
    gaps = sorted(later.time - earlier.time for earlier, later in pairwise(samples))
    minutes = (gaps[len(gaps) // 2] + 30) // 60
    return f"{len(samples)} samples, {minutes} min apart, newest {now - samples[-1].time} s old"


async def check_mail(services: Services) -> str:
    """Check that Resend accepts the key, with an empty email that cannot be sent."""
    settings = services.settings
    if not settings.resend_api_key:
        raise CheckNoted("no mail: operators sign in with wallets only", "For mail, set RESEND_API_KEY and MAIL_FROM.")
    status = await _request_resend(services, "POST", "/emails")
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise CheckFailed("Resend does not accept the key", "Set RESEND_API_KEY to a key with sending access.")
    if status not in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY):
        raise CheckSkipped(f"Resend answered HTTP {status}", "Try again.")
    if (await _request_resend(services, "GET", "/domains")) == httpx.codes.OK:
        raise CheckNoted(
            "the key has full access", "A key with sending access for one domain is enough: resend.com/api-keys."
        )
    return f"Resend accepts mail from {settings.mail_from}; only a sent mail shows whether its domain is verified"


async def _request_resend(services: Services, method: str, path: str) -> int:
    settings = services.settings
    headers = {"authorization": f"Bearer {settings.resend_api_key}"}
    body: dict[str, str] | None = {} if method == "POST" else None
    try:
        answer = await services.http.request(
            method, f"{settings.resend_api_base}{path}", headers=headers, json=body, timeout=_TIMEOUT, extensions=LIMITS
        )
    except httpx.HTTPError as error:
        raise CheckSkipped(
            f"Resend was not reached: {type(error).__name__}", "Check RESEND_API_BASE, or wait."
        ) from error
    return answer.status_code


async def check_operators(services: Services) -> str:
    """Count the operators by role and check that they can sign in."""
    roster = services.settings.operators
    if not roster:
        raise CheckNoted("nobody can sign in", "Set OPERATORS and SESSION_SECRETS.")
    detail = ", ".join(f"{count} {role}" for role, count in sorted(Counter(roster.values()).items()))
    if "admin" not in roster.values():
        raise CheckNoted(detail, "Without an admin, nobody can release held payments.")
    if not services.settings.resend_api_key and any(is_email(name) for name in roster.names):
        raise CheckFailed(
            f"{detail}, some by mail, which is not set up", "Set RESEND_API_KEY and MAIL_FROM, or use wallets."
        )
    if list(roster.values()).count("admin") == 1:
        limit = format_dollars(services.settings.max_order_cents)
        raise CheckNoted(
            detail, f"Add a second admin: nobody else can confirm an order above {limit} (MAX_ORDER_CENTS)."
        )
    return detail


async def check_credit_hook(services: Services) -> str:
    """Check that the webhook's receiver answers. It is asked without the secret, and told of no credit."""
    settings = services.settings
    if not settings.credit_hook_url:
        return "none: no other system is told of credits"
    try:
        answer = await services.http.get(settings.credit_hook_url, timeout=_TIMEOUT, extensions=HOOK_LIMITS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CheckNoted(
            f"the receiver was not reached: {type(error).__name__}",
            "Check CREDIT_HOOK_URL, and that this host may connect to it; until then no credit is announced.",
        ) from error
    how = f"with the secret itself in {settings.credit_hook_header}" if settings.credit_hook_header else "signed"
    return f"the receiver answers (HTTP {answer.status_code} to a GET without the secret); credits are sent {how}"
