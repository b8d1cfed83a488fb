"""Finds the surplus entry to reverse so that a payment is credited exactly once. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from chain.payment import Payment
from stateless_billing.audit.rules.facts import AuditedCustomer, CustomerLedger, OrderIndex, Scope
from stateless_billing.audit.rules.payments import Credit, expected_cents, judge_customer
from stateless_billing.domain.ledger import CURRENCY, Entry


def find_surplus(payment: Payment, entries: Sequence[Entry], scope: Scope) -> Entry | None:
    """Return the newest entry that makes a payment's net too high or too low, or None.

    `entries` are the customer's complete ledger since an hour before the payment's block.
    """
    credits_, delta = _net_cents(payment, entries, scope)
    if not delta:
        return None
    if delta < 0 and all(credit.net in (0, credit.entry.cents) for credit in credits_):
        return None  # reversed once and in full: a deliberate reversal
    family = [*(credit.entry for credit in credits_), *_find_reversals(credits_, entries)]
    candidates = [
        entry
        for entry in family
        if entry.cents * delta > 0 and abs(entry.cents) <= abs(delta) and not _is_reversed(entry, family)
    ]
    return max(candidates, key=_age_order, default=None)


def find_surplus_over(
    payment: Payment, ledgers: Mapping[str, Sequence[Entry]], target: str | None, scope: Scope
) -> Entry | None:
    """Return the entry to reverse, by the ledgers of all customers that may hold a credit.

    If the target holds the full credit, the newest credit on another customer is reversed first.
    """
    own = ledgers.get(target or "", ())
    misplaced = []
    for customer_id, entries in ledgers.items():
        if customer_id != target:
            credits_, _ = _net_cents(payment, entries, scope)
            misplaced += [credit.entry for credit in credits_ if credit.net]
    if misplaced and is_credited(payment, own, scope):
        return max(misplaced, key=_age_order)
    return find_surplus(payment, own, scope)


def _age_order(entry: Entry) -> tuple[int, str]:
    """Sort key: oldest first."""
    return entry.created, entry.id


def find_credits(payment: Payment, ledgers: Mapping[str, Sequence[Entry]], scope: Scope) -> list[Entry]:
    """Return all credits of a payment on all customers."""
    return [credit.entry for entries in ledgers.values() for credit in _net_cents(payment, entries, scope)[0]]


def is_credited(payment: Payment, entries: Sequence[Entry], scope: Scope) -> bool:
    """Return whether these entries alone credit a payment in full."""
    credits_, delta = _net_cents(payment, entries, scope)
    return bool(credits_) and delta == 0


def _net_cents(payment: Payment, entries: Sequence[Entry], scope: Scope) -> tuple[list[Credit], int | None]:
    """Return a payment's credits and the cents by which they exceed what is due, if known."""
    customer = AuditedCustomer(entries[0].customer if entries else "")
    verdict = judge_customer(CustomerLedger(customer, [payment], list(entries)), OrderIndex(), scope)
    credits_ = verdict.credited.get(payment.identity, [])
    if customer.id != payment.customer_id:  # another customer's own payment may look alike
        credits_ = [credit for credit in credits_ if credit.rule == "identity"]
    expected = expected_cents(payment, credits_[0].entry) if credits_ else None
    if expected is None or any(credit.entry.currency != CURRENCY for credit in credits_):
        return credits_, None
    return credits_, sum(credit.net for credit in credits_) - expected


def _find_reversals(credits_: Iterable[Credit], entries: Sequence[Entry]) -> list[Entry]:
    """Return all direct and indirect reversals of the credits."""
    reached = {credit.entry.id for credit in credits_}
    reversals: list[Entry] = []
    while more := [
        entry
        for entry in entries
        if entry.kind == "reversal" and entry.metadata.get("reverses") in reached and entry.id not in reached
    ]:
        reversals += more
        reached |= {entry.id for entry in more}
    return reversals


def _is_reversed(entry: Entry, family: Iterable[Entry]) -> bool:
    return any(other.metadata.get("reverses") == entry.id for other in family)
