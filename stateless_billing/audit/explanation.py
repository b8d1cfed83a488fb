"""Explains one payment, credit or wallet in plain words."""

import re
from collections.abc import AsyncIterator, Iterable

from chain.gateway import find_payments_in_tx
from stateless_billing.audit.auditor import Auditor, InvalidOptions
from stateless_billing.audit.report.report import Options, Report
from stateless_billing.audit.rules.rows import Row
from stateless_billing.domain import money

_TX = re.compile(r"0x[0-9a-f]{64}")
_WALLET = re.compile(r"0x[0-9a-f]{40}")
_CREDIT = re.compile(r"cbtxn_[0-9A-Za-z_]{1,60}")
_FINGERPRINT = re.compile(r"(?:R[0-9]{2}-)?([0-9a-f]{12,24})")


class NothingFound(Exception):
    """Neither the chain nor Stripe has the subject; the message says what that means."""


async def explain(auditor: Auditor, subject: str) -> tuple[list[Row], Report]:
    """Return the rows about a transaction, credit, wallet or fingerprint, with their report.

    Raises: InvalidOptions for any other subject; NothingFound, StripeReadError, ChainError.
    """
    subject = subject.strip()
    lower = subject.lower()
    if _TX.fullmatch(lower):
        return await _explain_customers(auditor, await _find_paid_customers(auditor, lower), lower)
    if _WALLET.fullmatch(lower):
        return await _explain_customers(auditor, await _find_registered_customers(auditor, lower), lower)
    if _CREDIT.fullmatch(subject) or _FINGERPRINT.fullmatch(subject):
        async for report in _read_reports(auditor):
            if rows := [row for row in report.spool if _is_about(row, subject)]:
                return rows, report
        raise NothingFound(f"No payment, credit or grant matches {subject}.")
    raise InvalidOptions("explain takes an EVM transaction hash, a cbtxn_… ID, a wallet or a fingerprint")


async def _read_reports(auditor: Auditor) -> AsyncIterator[Report]:
    """Run the cheap audit first, and the deep one only if the caller asks for another report."""
    yield await auditor.run(Options())
    yield await auditor.run(Options(deep=True))


async def _find_paid_customers(auditor: Auditor, tx_hash: str) -> set[str]:
    transaction = await find_payments_in_tx(auditor.nodes, auditor.gateways, tx_hash)
    if transaction is None:
        raise NothingFound(
            "The nodes do not have this EVM transaction yet. If it was just sent, try again in a minute."
        )
    if transaction.failed:
        raise NothingFound("This EVM transaction reverted: no token moved, and nothing is owed.")
    if transaction.treasury_transfer:
        raise NothingFound(
            "This EVM transaction moved tokens to the treasury, but not through one of the gateways, so this service"
            " never credits it."
        )
    if not transaction.payments:
        raise NothingFound("This EVM transaction was mined, and it holds no payment to one of the gateways.")
    return {payment.customer_id or "" for payment in transaction.payments}


async def _find_registered_customers(auditor: Auditor, wallet: str) -> set[str]:
    customers = {await gateway.customer_of(wallet) for gateway in auditor.gateways} - {None}
    if not customers:
        raise NothingFound("No gateway has a customer for this wallet. Payments for it revert until it is registered.")
    return {customer for customer in customers if customer}


async def _explain_customers(auditor: Auditor, customers: Iterable[str], about: str) -> tuple[list[Row], Report]:
    rows: list[Row] = []
    report = None
    for customer in sorted(customers):
        report = await auditor.run(Options(customer=customer) if customer else Options())
        rows += [row for row in report.spool if about in (row.tx_hash, row.wallet)]
    assert report is not None
    if not rows and report.coverage.is_complete:
        raise NothingFound("Nothing has been paid by it yet.")
    return rows, report


def _is_about(row: Row, subject: str) -> bool:
    match = _FINGERPRINT.fullmatch(subject)
    return subject in (row.stripe_txn, row.row_id) or bool(match and row.fingerprint.startswith(match[1]))


def describe_row(row: Row) -> str:
    """Describe one row in plain words: what happened, what is missing and what to do next."""
    sentences = [
        *_chain_lines(row),
        *_price_lines(row),
        *_stripe_lines(row),
        *_decision_lines(row),
        f"Verdict: {row.status}. {_sentence(row.reason)}",
    ]
    if row.delta_cents:
        word = "more than" if row.delta_cents > 0 else "less than"
        sentences.append(f"Stripe shows {money.format_dollars(abs(row.delta_cents))} {word} is due.")
    sentences.append(f"Next: {row.next_action}." if row.next_action != "nothing" else "Nothing is left to be done.")
    return "\n".join(sentences) + f"\n(fingerprint {row.fingerprint})\n"


def _chain_lines(row: Row) -> list[str]:
    if row.kind != "payment" or row.block_number is None:
        return []
    tokens = (row.amount_tokens or "0").rstrip("0").rstrip(".")
    where = f" ({row.explorer_url})" if row.explorer_url else ""
    when = f"On {row.block_time_utc}, in block {row.block_number}"
    paid = f"{when}, {row.payer} paid {tokens} tokens for wallet {row.wallet}."
    return [paid, f"EVM transaction {row.tx_hash}{where}."]


def _price_lines(row: Row) -> list[str]:
    if row.expected_cents is None or row.rate_usd is None:
        return []
    if row.rate_source == "quote":
        return [
            f"Our signed quote promised {money.format_dollars(row.expected_cents)} for it ({row.rate_usd} a token)."
        ]
    discount = f", with a discount of {row.discount_bps} basis points" if row.discount_bps else ""
    rate = f"{row.rate_usd} dollars a token by {row.rate_source} of {row.rate_time_utc}"
    return [f"Priced at {rate}{discount}: {money.format_dollars(row.expected_cents)}."]


def _stripe_lines(row: Row) -> list[str]:
    if row.stripe_txn is None:
        return [f"Stripe holds no credit for it on {row.stripe_customer}."] if row.kind == "payment" else []
    late = f", {row.credit_latency_s} s after the block" if row.credit_latency_s is not None else ""
    by = f" by {row.granted_by} ({row.reason_code})" if row.granted_by else ""
    written = f"Stripe: {row.stripe_txn} on {row.stripe_customer}, written {row.stripe_created_utc}{late}{by}."
    credited = f"It comes to {money.format_dollars(row.credited_cents or 0)} with its reversals"
    return [written, f"{credited}; the balance after it was {money.format_dollars(row.ending_balance_cents or 0)}."]


def _decision_lines(row: Row) -> list[str]:
    if row.decided_by is None:
        return []
    confirmed = f", confirmed by {row.confirmed_by}" if row.confirmed_by else ""
    return [f"Decided by {row.decided_by}{confirmed}: {row.decision_reason or 'no reason given'}."]


def _sentence(text: str) -> str:
    """Turn a reason into a sentence. A leading identifier keeps its case."""
    return (text if "_" in text.partition(" ")[0] else text[:1].upper() + text[1:]) + "."
