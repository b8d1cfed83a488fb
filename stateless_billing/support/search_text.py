"""Reads what an operator pasted into the search box. Pure."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from chain.payment import is_customer_id
from stateless_billing.operators.roster import is_wallet

Kind = Literal["transaction", "wallet", "customer", "entry", "email"]

_HASH = re.compile(r"(?:0x)?[0-9a-f]{64}")
_ENTRY = re.compile(r"cbtxn_[0-9A-Za-z]{1,64}")
_EMAIL = re.compile(
    r"""(?P<local>"(?:[^"\\\r\n]|\\[^\r\n])*"|[^\s"(),:;<>@\[\]\\]+)"""
    r"""@(?P<domain>[^\s"(),:;<>@\[\]\\/?#]+|\[[0-9A-Fa-f:.]+\])"""
)
_NAMED_ADDRESS = re.compile(r".*<\s*(?P<address>[^<>]+?)\s*>", re.DOTALL)
_MAX_LOCAL_CHARACTERS, _MAX_DOMAIN_CHARACTERS = 64, 255
_PUNCTUATION = ".,;:!?"  # nothing that is searched for ends with it
_QUOTES = "\"'`()[]{}"
_WALLET_FIELDS = ("a", "wallet", "address")  # of an explorer's page of a token, and of our pay page


@dataclass(frozen=True, slots=True)
class SearchText:
    """What to search for. `customer_id` is known if an entry's link names it."""

    kind: Kind
    value: str
    customer_id: str | None = None


def parse_search(text: str) -> SearchText | None:
    """Parse an address, ID, hash or pasted link; None if the text is none of these."""
    query = _without_invisible(text).strip()
    for candidate in (query.rstrip(_PUNCTUATION), query.strip(_QUOTES + _PUNCTUATION)):
        if parsed := _parse_plain(candidate.strip()):
            return parsed
    if named := _NAMED_ADDRESS.fullmatch(query.rstrip(_PUNCTUATION)):
        return parse_search(named["address"])
    scheme, colon, rest = query.partition(":")
    if colon and scheme.lower() == "mailto":
        return _parse_plain(unquote(rest.partition("?")[0]).strip())
    if colon and scheme.lower() in ("http", "https"):
        return _parse_url(query)
    if colon and scheme.lower() in ("ethereum", "eip155"):
        address = re.search(r"0x[0-9a-fA-F]{40}(?![0-9a-fA-F])", rest)
        return _parse_plain(address[0]) if address else None
    return None


def is_email_address(text: str) -> bool:
    """Whether a text is an email address, with a quoted local part and international names too."""
    match = _EMAIL.fullmatch(text)
    return (
        match is not None
        and len(match["local"]) <= _MAX_LOCAL_CHARACTERS
        and len(match["domain"]) <= _MAX_DOMAIN_CHARACTERS
    )


def is_entry_id(text: str) -> bool:
    """Whether a text has the form of a balance transaction ID."""
    return _ENTRY.fullmatch(text) is not None


def _parse_plain(text: str) -> SearchText | None:
    lower = text.lower()
    if _HASH.fullmatch(lower):
        return SearchText("transaction", lower if lower.startswith("0x") else f"0x{lower}")
    if is_wallet(lower) or is_wallet(f"0x{lower}"):
        return SearchText("wallet", lower if lower.startswith("0x") else f"0x{lower}")
    if is_customer_id(text):
        return SearchText("customer", text)
    if is_entry_id(text):
        return SearchText("entry", text)
    return SearchText("email", text) if is_email_address(text) else None


def _parse_url(url: str) -> SearchText | None:
    """Find what a link to an explorer, to Stripe's Dashboard or to our own pages is about."""
    try:
        parts = urlsplit(url)
        fields = parse_qsl(parts.query)
    except ValueError:
        return None
    named = [value for name, value in fields if name in _WALLET_FIELDS]
    pieces = [piece.rstrip(_PUNCTUATION) for piece in re.split(r"[/#]", unquote(f"{parts.path}#{parts.fragment}"))]
    others = [value for name, value in fields if name not in _WALLET_FIELDS]
    matches = [parsed for piece in (*named, *pieces, *others) if (parsed := _parse_plain(piece.strip()))]
    customer_id = next((parsed.value for parsed in matches if parsed.kind == "customer"), None)
    for kind in ("entry", "transaction", "customer", "wallet", "email"):
        match = next((parsed for parsed in matches if parsed.kind == kind), None)
        if match is not None:
            return SearchText(match.kind, match.value, customer_id)
    return None


def _without_invisible(text: str) -> str:
    """Drop what a copied text carries unseen: zero-width and bidirectional characters."""
    return "".join(character for character in text if unicodedata.category(character) != "Cf")
