"""Reads the pay page's query. What is malformed is named and kept, so that the visitor can correct it. Pure."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from chain.signatures import to_checksum_address
from stateless_billing.domain.errors import ProblemError
from stateless_billing.web.http import inputs
from stateless_billing.web.pages import links

_MAX_SHOWN = 100
_MAX_USD_SHOWN = 40
_NAME = re.compile(r"[^\s/]+\.[^\s/.]+")

_SPACES = "An address has no spaces. Remove them, then press Continue."
_NO_NAME = "This is a name, and we need the address itself: 0x followed by 40 characters. Your wallet shows it."
_CHECKSUM = "Its capital letters do not fit, so a character was mistyped. Copy the address again."
_MALFORMED = "An address is 0x followed by 40 characters (0-9, a-f). Copy it from your wallet or the dashboard."


class PayQuery(NamedTuple):
    """What a link to the pay page asks for."""

    wallet: str | None
    """The wallet to be credited, with its checksum."""
    wallet_text: str
    """What was given as the wallet."""
    wallet_fault: str
    """What is wrong with it; empty if nothing is, or if none was given."""
    cents: int | None
    usd: str
    """The amount as it was given."""
    usd_fault: str
    tx_hash: str | None
    """The EVM transaction to look up, in lower case."""
    tx_text: str
    """What was given as its hash."""


def read_pay_query(query: Mapping[str, str]) -> PayQuery:
    """Read the query's wallet, amount and transaction. A link writes an amount as 50 or 12.50 and in no other way."""
    wallet_text, usd = query.get("wallet", ""), query.get("usd", "")
    wallet, wallet_fault = _read_wallet(wallet_text)
    cents = inputs.parse_dollars(usd)
    usd_fault = "" if cents is not None or not usd else describe_usd_fault(usd)
    tx_text = query.get("tx_hash", "").strip()
    return PayQuery(
        wallet=wallet,
        wallet_text=wallet_text[:_MAX_SHOWN],
        wallet_fault=wallet_fault,
        cents=cents,
        usd=usd[:_MAX_USD_SHOWN],
        usd_fault=usd_fault,
        tx_hash=_read_tx_hash(tx_text),
        tx_text=tx_text[:_MAX_SHOWN],
    )


def describe_usd_fault(usd: str) -> str:
    """Say that a link's amount cannot be read."""
    return f"The link's amount “{usd[:_MAX_USD_SHOWN]}” is not written as 50 or 12.50. Write the amount here."


def own_query(query: Mapping[str, str], asked: PayQuery, *, has_link_back: bool) -> dict[str, str]:
    """Return what the page's own address carries, each of it short. A faulty amount stays, to be named again."""
    fields = {
        "wallet": query.get("wallet") if asked.wallet else None,
        "usd": asked.usd,
        "return_url": query.get("return_url") if has_link_back else None,
        "ref": links.bounded_reference(query.get("ref")),
    }
    return {name: value for name, value in fields.items() if value}


def _read_wallet(text: str) -> tuple[str | None, str]:
    if not text:
        return None, ""
    try:
        return to_checksum_address(inputs.parse_wallet(text)), ""
    except ProblemError:
        return None, _describe_wallet_fault(text)


def _read_tx_hash(text: str) -> str | None:
    try:
        return inputs.parse_tx_hash(text)
    except ProblemError:
        return None


def _describe_wallet_fault(text: str) -> str:
    if re.search(r"\s", text):
        return _SPACES
    if _NAME.fullmatch(text):
        return _NO_NAME
    return _CHECKSUM if inputs.is_address(text) else _MALFORMED
