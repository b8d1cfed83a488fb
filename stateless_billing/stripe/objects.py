"""Stripe's objects, parsed once into plain values. Pure; the only module that knows Stripe's sign.

Stripe counts a credit as negative (docs.stripe.com/billing/customer/balance); here credits are positive.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stateless_billing.domain.ledger import CURRENCY, Entry

WALLET = "wallet_address"
PAYMENTS_KEY = "gateway_payments"


@dataclass(frozen=True, slots=True)
class Customer:
    """What we use of a Stripe customer. A deleted one has nothing but its id.

    `usd_cents` is the dollar balance, credit counted as positive, where it was asked for. `test_clock`: its entries are
    created by a clock that is not Stripe's.
    """

    id: str
    deleted: bool
    created: int = 0
    email: str | None = None
    currency: str | None = None
    balance_cents: int = 0
    metadata: Mapping[str, str] | None = None
    usd_cents: int | None = None
    test_clock: bool = False

    def value(self, name: str) -> str | None:
        """One metadata value."""
        return (self.metadata or {}).get(name)

    @property
    def is_not_payable(self) -> bool:
        """Whether it is marked as one that gets no quote, no grant and no credit by itself."""
        return (self.value(PAYMENTS_KEY) or "").strip().lower() == "off"


@dataclass(frozen=True, slots=True)
class Page:
    """The newest entries of a listing; `complete` where there are no older ones in it."""

    entries: list[Entry]
    complete: bool


def escape_query_text(text: str) -> str:
    """Text within the quotes of a search query."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def parse_amount(cents: int) -> int:
    """Credited cents as Stripe's amount."""
    return -cents


def parse_customer(raw: Mapping[str, Any]) -> Customer:
    """A customer as Stripe answers it. Raises ValueError where a field has not its documented form."""
    if raw.get("deleted") is True:
        return Customer(_parse_text(raw, "id"), deleted=True)
    return Customer(
        id=_parse_text(raw, "id"),
        deleted=False,
        created=_parse_integer(raw, "created"),
        email=_parse_optional(raw, "email"),
        currency=_parse_optional(raw, "currency"),
        balance_cents=-_parse_integer(raw, "balance"),
        metadata=_parse_metadata(raw),
        usd_cents=_parse_usd(raw),
        test_clock=raw.get("test_clock") is not None,
    )


def _parse_usd(raw: Mapping[str, Any]) -> int | None:
    """The dollar balance, None where it was not expanded. Stripe counts credit as positive here, not in `balance`."""
    if "invoice_credit_balance" not in raw:
        return None
    balances = raw["invoice_credit_balance"] or {}
    if not isinstance(balances, dict):
        raise ValueError("balances that are no object")  # noqa: TRY004 - every odd answer is a ValueError here
    return _parse_integer(balances, CURRENCY) if CURRENCY in balances else 0


def parse_entry(raw: Mapping[str, Any], customer_id: str) -> Entry:
    """A balance transaction of this customer. Raises ValueError where it is another's or not well formed."""
    if _parse_text(raw, "customer") != customer_id:
        raise ValueError("an entry of another customer")
    return Entry(
        id=_parse_text(raw, "id"),
        cents=-_parse_integer(raw, "amount"),
        created=_parse_integer(raw, "created"),
        currency=_parse_text(raw, "currency"),
        customer=customer_id,
        type=_parse_text(raw, "type"),
        description=_parse_optional(raw, "description") or "",
        ending_cents=-_parse_integer(raw, "ending_balance"),
        metadata=_parse_metadata(raw),
    )


def parse_page(raw: Mapping[str, Any], customer_id: str) -> Page:
    """A list of balance transactions. Raises ValueError where it claims to go on but holds nothing to go on from."""
    entries = [parse_entry(one, customer_id) for one in _parse_list(raw)]
    more = raw.get("has_more")
    if not isinstance(more, bool) or (more and not entries):
        raise ValueError("a list that does not say where it ends")
    return Page(entries, complete=not more)


def parse_expanded_page(raw: Mapping[str, Any], customer_id: str) -> tuple[Page, Customer | None]:
    """A list of balance transactions that carry their customer, and that customer. Raises ValueError."""
    expanded = [one["customer"] for one in _parse_list(raw) if isinstance(one.get("customer"), dict)]
    plain = [
        {**one, "customer": _parse_text(owner, "id")} for one, owner in zip(_parse_list(raw), expanded, strict=True)
    ]
    found = parse_page({**raw, "data": plain}, customer_id)
    return found, parse_customer(expanded[0]) if expanded else None


def parse_customers(raw: Mapping[str, Any]) -> list[Customer]:
    """A page of customers or of search results."""
    return [parse_customer(one) for one in _parse_list(raw)]


def _parse_list(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = raw.get("data")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError("no list of objects")
    return found


def _parse_text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"no {name}")
    return value


def _parse_optional(raw: Mapping[str, Any], name: str) -> str | None:
    return None if raw.get(name) is None else _parse_text(raw, name) if raw[name] != "" else ""


def _parse_integer(raw: Mapping[str, Any], name: str) -> int:
    value = raw.get(name)
    if type(value) is not int:
        raise ValueError(f"no whole number in {name}")
    return value


def _parse_metadata(raw: Mapping[str, Any]) -> Mapping[str, str]:
    found = raw.get("metadata") or {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError("metadata that is no text")
    return found
