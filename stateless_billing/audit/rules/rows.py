"""Report rows with a fixed order of columns. Pure."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from chain.payment import Payment
from stateless_billing.audit.rules.statuses import OPEN, RULES, Status
from stateless_billing.domain import ledger, money
from stateless_billing.domain.epochs import epoch_position
from stateless_billing.domain.ledger import Entry
from stateless_billing.domain.order_rules import Order

SCHEMA_VERSION = 1
DECIMALS = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row. The fields are the columns in order, and None is an empty cell."""

    schema_version: int = SCHEMA_VERSION
    row_id: str = ""
    status: str = ""
    exception: bool = False
    reason: str = ""
    delta_cents: int | None = None
    chain_id: int | None = None
    block_number: int | None = None
    block_hash: str | None = None
    block_time_utc: str | None = None
    tx_hash: str | None = None
    log_index: int | None = None
    explorer_url: str | None = None
    payer: str | None = None
    wallet: str | None = None
    token: str | None = None
    token_decimals: int | None = None
    amount_raw: str | None = None
    amount_tokens: str | None = None
    rate_usd: str | None = None
    rate_source: str | None = None
    rate_time_utc: str | None = None
    discount_bps: int | None = None
    expected_cents: int | None = None
    credited_cents: int | None = None
    currency: str | None = None
    stripe_customer: str | None = None
    stripe_txn: str | None = None
    stripe_created_utc: str | None = None
    ending_balance_cents: int | None = None
    credit_latency_s: int | None = None
    kind: str | None = None
    granted_by: str | None = None
    reason_code: str | None = None
    note: str | None = None
    idempotency_key: str | None = None
    rule: str = ""
    fingerprint: str = ""
    next_action: str = ""
    decided_by: str | None = None
    confirmed_by: str | None = None
    decision_reason: str | None = None

    @property
    def tone(self) -> str:
        """`good`, `open` or `bad`, as pages and charts color the row."""
        if self.exception:
            return "bad"
        return "open" if self.status in OPEN else "good"

    def as_dict(self) -> dict[str, Any]:
        """Return the row as a JSON object."""
        return {name: getattr(self, name) for name in COLUMNS}

    @property
    def sort_key(self) -> tuple[int, int, str, str]:
        """Position in the report: by block, then by subject."""
        return (self.block_number or 0, self.log_index or 0, self.stripe_created_utc or "", self.row_id)


COLUMNS = tuple(field.name for field in fields(Row))


def format_utc(time: int) -> str:
    """Format Unix seconds as ISO 8601 in UTC."""
    return datetime.fromtimestamp(time, UTC).replace(tzinfo=None).isoformat() + "Z"


def format_count(number: int, what: str) -> str:
    """Format a count with its noun."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def fingerprint(*identity: object) -> str:
    """Return a stable ID of a row's subject, independent of report and status."""
    return hashlib.sha256("|".join(str(part) for part in identity).encode()).hexdigest()[:24]


Cells = dict[str, Any]
"""A row's cells by column."""


def create_row(cells: Cells, status: Status, reason: str, rule: str, *, exception: bool | None = None) -> Row:
    """Create a row with its verdict.

    `exception` overrides the status if a reversal settled the matter.
    """
    status_rule = RULES[status]
    is_exception = status_rule.exception if exception is None else exception
    verdict = {
        "row_id": f"{status_rule.code}-{cells['fingerprint'][:12]}",
        "status": str(status),
        "exception": is_exception,
        "reason": reason,
        "rule": rule,
        "next_action": status_rule.next_action if is_exception or not status_rule.exception else "nothing",
    }
    return Row(**{**cells, **verdict})


def cells_of_payment(payment: Payment, token: str, explorer: str | None) -> Cells:
    """Return the chain's cells of a payment."""
    return {
        "chain_id": payment.chain_id,
        "block_number": payment.block,
        "block_hash": payment.block_hash,
        "block_time_utc": format_utc(payment.time),
        "tx_hash": payment.tx_hash,
        "log_index": payment.log_index,
        "explorer_url": f"{explorer}/tx/{payment.tx_hash}" if explorer else None,
        "payer": payment.payer,
        "wallet": payment.wallet,
        "token": token,
        "token_decimals": DECIMALS,
        "amount_raw": str(payment.amount),
        "amount_tokens": money.format_decimal(payment.amount, DECIMALS),
        "stripe_customer": payment.customer_id,
        "kind": "payment",
        "fingerprint": fingerprint(payment.identity),
    }


def cells_of_entry(entry: Entry) -> Cells:
    """Return Stripe's cells of an entry."""
    return {
        "currency": entry.currency,
        "stripe_customer": entry.customer,
        "stripe_txn": entry.id,
        "stripe_created_utc": format_utc(entry.created),
        "ending_balance_cents": entry.ending_cents,
    }


def cells_of_credit(payment: Payment, entry: Entry) -> Cells:
    """Return Stripe's cells of a payment's credit."""
    epoch = epoch_position(entry.created, payment.time).epoch
    return cells_of_entry(entry) | {
        "credit_latency_s": entry.created - payment.time,
        "idempotency_key": ledger.credit_key(payment, epoch),
    }


def cells_of_rate(payment: Payment, credit: Entry) -> Cells:
    """Return the cells of the rate behind a credit."""
    if payment.quoted:
        return {
            "rate_usd": money.format_decimal(money.rate_down(payment.cents, payment.amount)),
            "rate_source": "quote",
        }
    rate, time = recorded_rate(credit), credit.metadata.get("rate_at", "")
    discount = credit.metadata.get("discount_bps", "")
    return {
        "rate_usd": None if rate is None else money.format_decimal(rate),
        "rate_source": credit.metadata.get("rate_source"),
        "rate_time_utc": format_utc(int(time)) if time.isascii() and time.isdigit() and len(time) < 12 else None,
        "discount_bps": int(discount) if discount.isascii() and discount.isdigit() and len(discount) < 6 else None,
    }


def recorded_rate(credit: Entry) -> int | None:
    """Return the rate in a credit's metadata, in 10^-18 dollars; None if it is malformed."""
    try:
        rate = Decimal(credit.metadata.get("rate", ""))
        scaled = rate.scaleb(18)
        exact = scaled == scaled.to_integral_value()
    except (InvalidOperation, ValueError):
        return None
    return int(scaled) if exact and 0 < rate < 10**9 else None


def cells_of_decision(order: Order | None, confirmation: Order | None, reversals: Sequence[Entry] = ()) -> Cells:
    """Return the cells of who decided: those who took a credit back, or the admins of the order it follows."""
    if reversals:
        return {
            "decided_by": _join(entry.metadata.get("operator", "") for entry in reversals),
            "decision_reason": _join(entry.metadata.get("reason", "") for entry in reversals),
        }
    if order is None:
        return {}
    return {
        "decided_by": order.operator,
        "confirmed_by": confirmation.operator if confirmation else None,
        "decision_reason": order.reason,
    }


def _join(texts: Iterable[str]) -> str | None:
    return ", ".join(dict.fromkeys(text for text in texts if text)) or None


def cells_of_lone_entry(entry: Entry, kind: str) -> Cells:
    """Return the cells of an entry that belongs to no payment."""
    return cells_of_entry(entry) | {
        "kind": kind,
        "fingerprint": fingerprint(entry.id),
        "credited_cents": entry.cents,
        "granted_by": entry.metadata.get("operator"),
        "reason_code": entry.metadata.get("reason"),
        "note": entry.metadata.get("note"),
    }
