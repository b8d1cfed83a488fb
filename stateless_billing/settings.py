"""Settings from the environment. Reports all faults at once, by name and without values."""

import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from chain.errors import keys_in_url
from stateless_billing import setting_rules, setting_urls
from stateless_billing.domain.finality import ConfirmationTier, parse_tiers
from stateless_billing.domain.ledger import OTHER_CREDITS, OtherCredits
from stateless_billing.operators.roster import NOBODY, Roster, parse_roster

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1
MAX_QUOTE_SECONDS = 600
_MIN_SECRET_LENGTH = 24
_MIN_HOOK_SECRET_LENGTH = 12
_MIN_REDACTED_LENGTH = 6  # a shorter text is no key, and ordinary lines contain it
_MAX_NAME_LENGTH = 100
_KEY = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")


class BadSettings(Exception):
    """Settings that are missing or invalid. `faults` has one sentence each, without values."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def _parse_api_key(value: str) -> str:
    if not re.fullmatch(r"[!-~]+", value):
        raise ValueError("must be a key of visible ASCII characters, which a header can carry")
    return value


def _parse_coin(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
        raise ValueError("must be the ID of a coin at CoinGecko, such as lit-protocol")
    return value


def _parse_sender(value: str) -> str:
    if not re.fullmatch(r"[^\s<>@]+@[^\s<>@]+|[^<>\r\n]*<[^\s<>@]+@[^\s<>@]+>", value):
        raise ValueError("must be an address, or a name with one: Billing <billing@example.org>")
    return value


def _parse_name(value: str) -> str:
    if len(value) > _MAX_NAME_LENGTH or not value.isprintable():
        raise ValueError(f"must be a name of at most {_MAX_NAME_LENGTH} characters on one line")
    return value


def _parse_header(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", value):
        raise ValueError("must be the name of a header")
    return value.lower()


def _parse_address_header(value: str) -> str:
    if (name := _parse_header(value)) == "forwarded":
        raise ValueError("must be a header that holds an address alone, such as X-Real-IP")
    return name


def _parse_integer(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", value) or not lowest <= int(value) <= highest:
            raise ValueError(f"must be a whole number from {lowest} to {highest}")
        return int(value)

    return parse


def _parse_addresses(value: str) -> tuple[str, ...]:
    addresses = setting_urls.split(value.lower())
    if not addresses or not all(map(_ADDRESS.fullmatch, addresses)) or len(set(addresses)) != len(addresses):
        raise ValueError("must be different addresses (0x and 40 hex digits) with commas between them")
    if len({address[:10] for address in addresses}) != len(addresses):
        raise ValueError("must differ in their first eight hex digits, by which Stripe's records name them")
    return addresses


def _parse_known_sources(value: str) -> tuple[tuple[str, str], ...]:
    sources: dict[str, str] = {}
    for part in setting_urls.split(value):
        address, _, label = (text.strip() for text in part.partition("="))
        if not _ADDRESS.fullmatch(address) or not re.fullmatch(r"[\w .:()/-]{1,60}", label):
            raise ValueError("must be addresses with labels, 0x…=label, with commas between them")
        if address.lower() in sources:
            raise ValueError("must name each address once")
        sources[address.lower()] = label
    return tuple(sources.items())


def _parse_key(value: str) -> str:
    if not _KEY.fullmatch(value) or not 0 < int(value.removeprefix("0x"), 16) < _CURVE_ORDER:
        raise ValueError("must be a private key of 64 hex digits")
    return value


def _parse_customer_id(value: str) -> str:
    if not re.fullmatch(r"cus_[0-9A-Za-z]{1,28}", value):
        raise ValueError("must be a Stripe customer ID (doctor --init prints it)")
    return value


def _parse_switch(value: str) -> bool:
    if value not in ("on", "off"):
        raise ValueError("must be on or off")
    return value == "on"


def _parse_secrets(value: str) -> tuple[str, ...]:
    texts = setting_urls.split(value)
    if not texts or any(len(text) < _MIN_SECRET_LENGTH for text in texts):
        raise ValueError(
            f"must be secrets of at least {_MIN_SECRET_LENGTH} characters, newest first, with commas between"
        )
    return texts


def _parse_hook_secret(value: str) -> str:
    if len(value) < _MIN_HOOK_SECRET_LENGTH:
        raise ValueError(f"must have at least {_MIN_HOOK_SECRET_LENGTH} characters")
    return value


def _setting(parse: Callable[[str], Any], default: str = "", *, secret: bool = False, absent: object = None) -> Any:
    return field(repr=not secret, metadata={"parse": parse, "default": default, "secret": secret, "absent": absent})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, named as in the environment but in lower case.

    Settings that a command does not use may be missing.
    """

    stripe_api_key: str = _setting(_parse_api_key, secret=True)
    stripe_api_base: str | None = _setting(setting_urls.parse_base)
    stripe_rate: int = _setting(_parse_integer(1, 1000))
    stripe_total_rate: int = _setting(_parse_integer(1, 10_000))
    processes: int = _setting(_parse_integer(1, 1000), "1")
    visitor_reads_per_day: int = _setting(_parse_integer(1, 10**9), "1000")
    rpc_urls: tuple[str, ...] = _setting(setting_urls.parse_urls, secret=True, absent=())
    chain_id: int = _setting(_parse_integer(1, 10**15), "8453")
    gateway_addresses: tuple[str, ...] = _setting(_parse_addresses, absent=())
    confirmations: tuple[ConfirmationTier, ...] = _setting(parse_tiers, "10000:15s,100000:safe,finalized")
    max_unfinalized_cents: int = _setting(_parse_integer(0, 10**12), "200000")
    signer_key: str = _setting(_parse_key, secret=True)
    quote_seconds: int = _setting(_parse_integer(30, MAX_QUOTE_SECONDS), "300")
    registration_seconds: int = _setting(_parse_integer(60, 10**8), "86400")
    host: str = _setting(setting_urls.parse_host, "127.0.0.1")
    port: int = _setting(_parse_integer(0, 65535), "8000")
    metrics_port: int = _setting(_parse_integer(0, 65535), "9090")
    public_url: str | None = _setting(setting_urls.parse_base)
    seller_name: str | None = _setting(_parse_name)
    support_url: str | None = _setting(setting_urls.parse_support_url)
    plain_http: bool = _setting(_parse_switch, "off")
    client_ip_header: str | None = _setting(_parse_address_header)
    cors_origins: tuple[str, ...] = _setting(setting_urls.parse_cors_origins, absent=())
    return_urls: tuple[str, ...] = _setting(setting_urls.parse_origins, absent=())
    credit_hook_url: str | None = _setting(setting_urls.parse_url, secret=True)
    credit_hook_secret: str | None = _setting(_parse_hook_secret, secret=True)
    credit_hook_header: str | None = _setting(_parse_header)
    session_secrets: tuple[str, ...] = _setting(_parse_secrets, secret=True, absent=())
    operators: Roster = _setting(parse_roster, absent=NOBODY)
    resend_api_key: str | None = _setting(_parse_api_key, secret=True)
    resend_api_base: str = _setting(setting_urls.parse_base, "https://api.resend.com")
    mail_from: str | None = _setting(_parse_sender)
    max_grant_cents: int = _setting(_parse_integer(1, 10**9), "2000")
    max_grants_per_day_cents: int = _setting(_parse_integer(1, 10**9), "10000")
    max_grants_all_cents: int = _setting(_parse_integer(1, 10**9), "50000")
    max_order_cents: int = _setting(_parse_integer(1, 10**9), "100000")
    price_api_base: str = _setting(setting_urls.parse_base, "https://api.coingecko.com")
    coingecko_id: str = _setting(_parse_coin, "lit-protocol")
    coingecko_api_key: str | None = _setting(_parse_api_key, secret=True)
    discount_bps: int = _setting(_parse_integer(0, 9_999), "0")
    min_payment_cents: int = _setting(_parse_integer(1, 10**9), "500")
    max_payment_cents: int = _setting(_parse_integer(1, 10**9), "500000")
    sweep: bool = _setting(_parse_switch, "on")
    sweep_seconds: int = _setting(_parse_integer(1, 3600), "3")
    other_credits: OtherCredits = _setting(OtherCredits.parse, OTHER_CREDITS)
    known_sources: tuple[tuple[str, str], ...] = _setting(_parse_known_sources, absent=())
    service_customer_id: str = _setting(_parse_customer_id)

    @property
    def is_live(self) -> bool:
        """Whether the Stripe key moves real money: `sk_live_…`, `rk_live_…`."""
        return setting_rules.is_live_key(self.stripe_api_key)

    @property
    def site_url(self) -> str | None:
        """The URL of this site; None if only a visitor's Host header could tell."""
        if self.public_url or self.host not in setting_rules.LOOPBACK_HOSTS or self.client_ip_header:
            return self.public_url
        return f"http://localhost:{self.port}"


def secrets(environ: Mapping[str, str] | None = None) -> set[str]:
    """Collect every text to redact: the values of secret settings, and what of their parts may be a key."""
    environ = os.environ if environ is None else environ
    texts: set[str] = set()
    for setting in fields(Settings):
        value = environ.get(setting.name.upper(), "").strip()
        if not setting.metadata["secret"] or not value:
            continue
        texts |= {value, value.removeprefix("0x")}
        for part in setting_urls.split(value):
            texts.add(part)
            if setting_urls.is_url(part):
                texts.update(keys_in_url(part))
    return {text for text in texts if len(text) >= _MIN_REDACTED_LENGTH}


STRIPE = frozenset({"STRIPE_API_KEY"})
AUDIT = STRIPE | {"RPC_URLS", "GATEWAY_ADDRESSES"}
SWEEP = STRIPE | {"RPC_URLS", "GATEWAY_ADDRESSES", "SERVICE_CUSTOMER_ID"}
SERVE = SWEEP | {"SIGNER_KEY"}


def is_any_set(names: Collection[str], environ: Mapping[str, str] | None = None) -> bool:
    """Whether the environment sets any of these."""
    environ = os.environ if environ is None else environ
    return any(environ.get(name, "").strip() for name in names)


def load(needed: Collection[str], environ: Mapping[str, str] | None = None, *, serves_pages: bool = False) -> Settings:
    """Load the settings, of which `needed` are required; with `serves_pages`, those that pages need too.

    Raises: BadSettings with all faults.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    faults = []
    for setting in fields(Settings):
        name = setting.name.upper()
        text = environ.get(name, "").strip() or setting.metadata["default"]
        if not text and name in needed:
            faults.append(f"{name} is missing")
        try:
            values[setting.name] = setting.metadata["parse"](text) if text else setting.metadata["absent"]
        except ValueError as error:
            faults.append(f"{name} {error}")
    faults += setting_rules.find_faults(values, serves_pages=serves_pages)
    if faults:
        raise BadSettings(faults)
    return Settings(**setting_rules.fill_in_rates(values))
