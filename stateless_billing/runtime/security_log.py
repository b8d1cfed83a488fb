"""Security events: a log line and a count for each sign-in, refusal and use of a right.

A line has the field `event`, a name of `EVENTS`, and its named fields; docs/runbook.md lists both. It has no token, no
code, no stranger's whole email address, and no whole IP address.
"""

import ipaddress
import logging

from cachetools import TTLCache

from stateless_billing.runtime.clock import Clock
from stateless_billing.runtime.metrics import SECURITY_EVENTS
from stateless_billing.runtime.token_bucket import RateLimit

DONE = (
    *("sign_in_succeeded", "session_ended", "grant_given", "grant_undone", "order_written"),
    *("rate_set", "rate_proposed", "rate_ended", "decision_shown"),
)
REFUSED = (
    "sign_in_requested",
    "sign_in_failed",
    "ended_session_used",
    "right_refused",
    "request_forged",
    "form_refused",
    "grant_refused",
    "order_refused",
    "rate_refused",
    "limit_reached",
    "connection_rejected",
)
EVENTS = (*DONE, *REFUSED)
_USUAL = ("sign_in_requested", "connection_rejected")  # not by themselves a reason to look
for _event in EVENTS:
    SECURITY_EVENTS.labels(_event)  # exported as 0 before the first, so that the first is an increase

_LINES = RateLimit(rate=1 / 6, burst=10)  # per event, network and operator: a flood must not fill the log
_CACHE_SIZE = 20_000
_CACHE_SECONDS = 3600
_IPV4_BITS, _IPV6_BITS = 24, 48
_MAX_CHARACTERS = 200

log = logging.getLogger(__name__)


class SecurityLog:
    """Writes security events. Every event is counted; what strangers can repeat is logged a few times a minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next_free_at: TTLCache[tuple[str, str, str], float] = TTLCache(_CACHE_SIZE, _CACHE_SECONDS, clock.boot)
        self._suppressed: TTLCache[tuple[str, str, str], int] = TTLCache(_CACHE_SIZE, _CACHE_SECONDS, clock.boot)

    def record(self, event: str, origin: str, operator: str = "", **fields: str | int) -> None:
        """Record an event of a client at `origin`, an IP address or network, and of an operator if that is known.

        The line says how many like it were suppressed before.
        """
        SECURITY_EVENTS.labels(event).inc()
        key = event, mask_origin(origin), operator
        if event in REFUSED:
            next_free_at, wait = _LINES.take(self._next_free_at.get(key, 0.0), self._clock.boot())
            self._next_free_at[key] = next_free_at
            if wait:
                self._suppressed[key] = self._suppressed.get(key, 0) + 1
                return
        values: dict[str, str | int] = {"operator": operator, "network": key[1], **fields}
        values["suppressed"] = self._suppressed.pop(key, 0)
        named = {name: _clip(value) for name, value in values.items() if value not in ("", 0)}
        level = logging.INFO if event in DONE or event in _USUAL else logging.WARNING
        sentence = " ".join([event, *(f"{name}={value}" for name, value in named.items())])
        log.log(level, "%s", sentence, extra={"event": event, **named})


def mask_origin(origin: str) -> str:
    """Return the /24 of an IPv4 address or the /48 of an IPv6 network; `unknown` for anything else."""
    try:
        network = ipaddress.ip_interface(origin).network
    except ValueError:
        return "unknown"
    bits = _IPV4_BITS if network.version == 4 else _IPV6_BITS
    return str(network.supernet(new_prefix=bits) if network.prefixlen > bits else network)


def mask_name(name: str) -> str:
    """Return a stranger's email address or wallet so that its owner recognizes it and nobody else learns it."""
    local, at, domain = name.strip().lower().rpartition("@")
    if at:
        return f"{local[:1]}…@{domain}"
    return f"{name[:6]}…{name[-4:]}" if len(name) > 12 else "…"


def _clip(value: str | int) -> str | int:
    """Return a value without characters that could forge a line of the plain format."""
    if isinstance(value, int):
        return value
    return "".join(character if character.isprintable() else " " for character in value[:_MAX_CHARACTERS])
