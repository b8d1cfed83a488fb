"""Where a page leads: back to the site that sent the visitor, and into wallets' own browsers. Pure."""

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import segno

from stateless_billing.setting_urls import browser_origin

MAX_URL_LENGTH = 1000
MAX_REFERENCE_LENGTH = 500
MAX_QR_LENGTH = 400  # drawn in 7 ms; a longer code is also hard to scan
_MASK = 3  # readers accept any; choosing the best of the eight takes three times as long
_CACHED_CODES = 256


def return_link(return_url: str | None, reference: str | None, allowed: Collection[str]) -> dict[str, Any] | None:
    """The link back, where the address belongs to an allowed origin: `href`, `host`. None for any other."""
    if not return_url or len(return_url) > MAX_URL_LENGTH or not return_url.isascii() or not return_url.isprintable():
        return None
    try:
        parts = urlsplit(return_url)
        origin = browser_origin(f"{parts.scheme}://{parts.netloc}")
    except ValueError:
        return None
    if origin not in allowed or "\\" in return_url:  # browsers read a backslash as a slash
        return None
    more = urlencode({"ref": bounded_reference(reference)}) if bounded_reference(reference) else ""
    query = "&".join(part for part in (parts.query, more) if part)
    return {"href": parts._replace(query=query).geturl(), "host": parts.netloc}


def support_link(support_url: str | None, reference: str) -> str | None:
    """Return the link to support that says what it is about: in the mail's subject, or as `reference`."""
    if support_url is None:
        return None
    if support_url.startswith("mailto:"):
        return f"{support_url}?subject={quote(f'Payment {reference}', safe='')}"
    parts = urlsplit(support_url)
    query = "&".join(part for part in (parts.query, urlencode({"reference": reference})) if part)
    return parts._replace(query=query).geturl()


def bounded_reference(reference: str | None) -> str | None:
    """Return the reference unchanged, or None if it is too long: half a reference is a wrong one."""
    return reference if reference and len(reference) <= MAX_REFERENCE_LENGTH else None


def with_query(address: str, values: Mapping[str, str]) -> str:
    """Add values to an address as its query."""
    return f"{address}?{urlencode(values)}" if values else address


def wallet_links(url: str) -> list[dict[str, str]]:
    """Links that open `url` in the browser of a wallet's app on a phone."""
    bare, whole = url.split("://", 1)[1], quote(url, safe="")
    return [
        {"name": "MetaMask", "href": f"https://metamask.app.link/dapp/{bare}"},
        {"name": "Coinbase Wallet", "href": f"https://go.cb-w.com/dapp?cb_url={whole}"},
        {"name": "Trust Wallet", "href": f"https://link.trustwallet.com/open_url?coin_id=60&url={whole}"},
    ]


@lru_cache(maxsize=_CACHED_CODES)
def qr_svg(text: str) -> str:
    """Draw a text as an SVG element, black on white; nothing for a text above MAX_QR_LENGTH."""
    if len(text) > MAX_QR_LENGTH:
        return ""
    code = segno.make(text, error="m", micro=False, mask=_MASK)
    return str(code.svg_inline(scale=4, border=4, light="#fff", lineclass=None, svgclass="qr", omitsize=True))
