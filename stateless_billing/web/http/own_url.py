"""The name of this site. It comes from PUBLIC_URL, never from a visitor's Host header."""

from urllib.parse import urlsplit

from starlette.requests import Request

from stateless_billing.setting_rules import LOOPBACK_HOSTS
from stateless_billing.settings import Settings

_DEFAULT_PORTS = {"http": 80, "https": 443}
Origin = tuple[str, str, int | None]
"""Scheme, host and port."""


def own_url(settings: Settings, request: Request) -> str | None:
    """Return the URL of this site without a path; None if the settings name none.

    Without PUBLIC_URL, on loopback, the loopback name in the visitor's Host header stands for `localhost`.
    """
    if settings.public_url or not settings.site_url:
        return settings.public_url
    visited = f"http://{request.headers.get('host', '')}"
    is_ours = is_same_site(settings, visited) and visited == visited.lower()
    return visited if is_ours else settings.site_url


def is_same_site(settings: Settings, origin: str) -> bool:
    """Whether an origin is this site. Without PUBLIC_URL, loopback names stand for one another."""
    theirs, ours = _parse_origin(origin), _parse_origin(settings.site_url or "")
    if theirs is None or ours is None:
        return False
    if settings.public_url:
        return theirs == ours
    return theirs[1] in LOOPBACK_HOSTS and (theirs[0], theirs[2]) == (ours[0], ours[2])


def _parse_origin(origin: str) -> Origin | None:
    """Split an origin; None if it is malformed or has more parts than an origin."""
    try:
        parts = urlsplit(origin)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if not parts.hostname or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port
