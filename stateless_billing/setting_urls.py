"""Parses settings that are addresses: URLs, bases, origins and hosts. Pure.

What is accepted can be asked: the HTTP client refuses other URLs with exceptions that nobody expects of a request.
"""

import ipaddress
import re
from urllib.parse import urlsplit

_VISIBLE = re.compile(r"[!-~]+")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_MAX_URL_LENGTH = 1000
_MAIL_LINK = re.compile(r"mailto:[A-Za-z0-9.!#$'*+/=^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_DEFAULT_PORT = re.compile(r"^(http:.*):80$|^(https:.*):443$")
_ORIGIN = re.compile(r"https?://(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")


def parse_base(value: str) -> str:
    """Parse `http(s)://host`. Raises: ValueError."""
    if not re.fullmatch(r"https?://[^/?#@]+/?", value) or not is_url(value):
        raise ValueError("must be http(s)://host, without a user and without a path")
    return value.rstrip("/")


def parse_url(value: str) -> str:
    """Parse one URL. Raises: ValueError."""
    if not is_url(value):
        raise ValueError("must be an http(s) URL")
    return value


def parse_urls(value: str) -> tuple[str, ...]:
    """Parse different URLs. Raises: ValueError."""
    urls = split(value)
    if not urls or not all(is_url(url) for url in urls):
        raise ValueError("must be http(s) URLs with commas between them")
    if len({_canonical(url) for url in urls}) != len(urls):
        raise ValueError("must name each node once: what two nodes confirm, two must have said")
    return urls


def parse_host(value: str) -> str:
    """Parse the name or IP address to listen on. Raises: ValueError."""
    if not _is_host(value):
        raise ValueError("must be a host name or an IP address")
    return value


def parse_support_url(value: str) -> str:
    """Parse a page or an address for mail. Raises: ValueError."""
    is_page = value.startswith("https://") and is_url(value) and not re.search(r"[\\\"<>]", value)
    if len(value) > _MAX_URL_LENGTH or not (is_page or _MAIL_LINK.fullmatch(value)):
        raise ValueError("must be https://… or mailto:name@host")
    return value


def parse_origins(value: str) -> tuple[str, ...]:
    """Parse origins in the form of browsers, which leave out the default port. Raises: ValueError."""
    origins = tuple(browser_origin(origin.removesuffix("/")) for origin in split(value))
    if not origins or not all(_ORIGIN.fullmatch(origin) and is_url(origin) for origin in origins):
        raise ValueError("must be origins, such as https://shop.example.org, with commas between them")
    return origins


def parse_cors_origins(value: str) -> tuple[str, ...]:
    """Parse origins, or `*` alone. Raises: ValueError."""
    return ("*",) if value == "*" else parse_origins(value)


def browser_origin(origin: str) -> str:
    """Return an origin as browsers write it: in lower case, without the default port."""
    return _DEFAULT_PORT.sub(r"\1\2", origin.lower())


def split(value: str) -> tuple[str, ...]:
    """Split a list at its commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def is_url(value: str) -> bool:
    """Whether a text is an http(s) URL that can be asked."""
    if not _VISIBLE.fullmatch(value):
        return False
    try:
        parts = urlsplit(value)
        is_port_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and is_port_valid and _is_host(parts.hostname or "")


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(_HOST.fullmatch(host)) and not host.rstrip(".").rpartition(".")[2].isdigit()
    return True


def _canonical(url: str) -> tuple[str, str, str]:
    """Return what makes a node another one than that of a second URL."""
    parts = urlsplit(url)
    return browser_origin(f"{parts.scheme}://{parts.netloc}"), parts.path.rstrip("/"), parts.query
