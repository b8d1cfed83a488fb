"""Rules about several settings at once. Pure."""

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")

OUTSIDE = ("stripe_api_base", "rpc_urls", "credit_hook_url", "resend_api_base", "price_api_base")
"""The settings that name other parties' hosts."""


_HEADERS_OF_HTTP = frozenset(
    {
        "accept",
        "accept-encoding",
        "billing-signature",  # it has a form of its own
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)


def has_plain_http(value: str | tuple[str, ...] | None) -> bool:
    """Whether any of the URLs is `http://` to a host other than loopback."""
    urls = (value,) if isinstance(value, str) else value or ()
    parts = [urlsplit(url) for url in urls]
    return any(part.scheme == "http" and not _is_loopback(part.hostname or "") for part in parts)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# Of what Stripe allows an account: 25 requests a second per endpoint, 100 in all; a sandbox has 25 in all
# (docs.stripe.com/rate-limits). Other systems use the same account.
_LIVE_RATES = {"stripe_rate": 15, "stripe_total_rate": 60}
_TEST_RATES = {"stripe_rate": 6, "stripe_total_rate": 20}


def is_live_key(key: str | None) -> bool:
    """Whether a Stripe key moves real money: `sk_live_…`, `rk_live_…`."""
    return "_live_" in (key or "")[:9]


def fill_in_rates(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with the default rates of this kind of key where none are set."""
    rates = _LIVE_RATES if is_live_key(values.get("stripe_api_key")) else _TEST_RATES
    return {**values, **{name: values.get(name) or rate for name, rate in rates.items()}}


def find_faults(values: Mapping[str, Any], *, serves_pages: bool) -> list[str]:
    """Return what does not fit together; with `serves_pages`, also what pages need. Invalid settings are absent."""
    faults = _combination_faults(values) + _plain_http_faults(values)
    if serves_pages and values.get("operators") and (fault := _site_url_fault(values)):
        faults.append(fault)
    if serves_pages and values.get("metrics_port") and values["metrics_port"] == values.get("port"):
        faults.append("METRICS_PORT must differ from PORT (0: no metrics are served)")
    return faults


def _plain_http_faults(values: Mapping[str, Any]) -> list[str]:
    names = [] if values.get("plain_http") else [name for name in OUTSIDE if has_plain_http(values.get(name))]
    return [
        f"{name.upper()} must be https:// for a host that is not this machine (or set PLAIN_HTTP=on)" for name in names
    ]


def _combination_faults(values: Mapping[str, Any]) -> list[str]:
    """Return what does not fit together. What is set but invalid is not missing."""
    faults = []
    if values.get("min_payment_cents", 0) > values.get("max_payment_cents", 10**9):
        faults.append("MIN_PAYMENT_CENTS is above MAX_PAYMENT_CENTS")
    if values.get("processes", 1) > values.get("visitor_reads_per_day", 10**9):
        faults.append("VISITOR_READS_PER_DAY is below PROCESSES, which share it")
    if values.get("credit_hook_url") and not values.get("credit_hook_secret", True):
        faults.append("CREDIT_HOOK_SECRET is missing: CREDIT_HOOK_URL needs it")
    faults += _hook_header_faults(values)
    if values.get("operators") and not values.get("session_secrets", True):
        faults.append("OPERATORS needs SESSION_SECRETS, which is missing")
    for name, needed_name in (("resend_api_key", "mail_from"), ("mail_from", "resend_api_key")):
        if values.get(name) and not values.get(needed_name, True):
            faults.append(f"{name.upper()} needs {needed_name.upper()}, which is missing")
    return faults


def _hook_header_faults(values: Mapping[str, Any]) -> list[str]:
    """Return why the webhook's secret cannot be sent in the header that is to carry it."""
    name, secret, faults = values.get("credit_hook_header"), values.get("credit_hook_secret"), []
    if name and not values.get("credit_hook_url"):
        faults.append("CREDIT_HOOK_HEADER needs CREDIT_HOOK_URL, which is missing")
    if name in _HEADERS_OF_HTTP:
        faults.append("CREDIT_HOOK_HEADER must be a header of the receiver's own, such as X-Internal-Secret")
    if name and secret and not (secret.isascii() and secret.isprintable()):
        faults.append("CREDIT_HOOK_SECRET must be printable ASCII, since CREDIT_HOOK_HEADER carries it")
    return faults


def _site_url_fault(values: Mapping[str, Any]) -> str | None:
    """Return why operators could be made to sign in under another site's name."""
    if values.get("public_url"):
        return None
    if values.get("host") not in LOOPBACK_HOSTS:
        return "PUBLIC_URL is missing: OPERATORS needs it unless HOST is 127.0.0.1, localhost or ::1"
    if values.get("client_ip_header"):
        return "PUBLIC_URL is missing: OPERATORS needs it where CLIENT_IP_HEADER is set"
    return None
