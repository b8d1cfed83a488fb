"""Which one entry has to be taken back so that a payment comes nearer to being credited once. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from chain.payment import Payment
from stateless_billing.audit.rules.facts import AuditedCustomer, CustomerLedger, OrderIndex, Scope
from stateless_billing.audit.rules.payments import Credit, expected_cents, judge_customer
from stateless_billing.domain.ledger import CURRENCY, Entry


def find_surplus(payment: Payment, entries: Sequence[Entry], scope: Scope) -> Entry | None:
    """The youngest entry that makes the net of a payment's credits more, or less, than is due; None where none does.

    `entries` are the whole ledger of its customer since an hour before its block.
    """
    found, delta = _net_cents(payment, entries, scope)
    if not delta:
        return None
    family = [*(one.entry for one in found), *_find_reversals(found, entries)]
    fitting = [
        one for one in family if one.cents * delta > 0 and abs(one.cents) <= abs(delta) and _is_standing(one, family)
    ]
    if delta < 0 and all(one.net in (0, one.entry.cents) for one in found):
        return None  # reversed once, as a whole: somebody meant it
    return max(fitting, key=lambda one: (one.created, one.id), default=None)


def find_surplus_over(
    payment: Payment, ledgers: Mapping[str, Sequence[Entry]], target: str | None, scope: Scope
) -> Entry | None:
    """The one entry to take back, by the ledgers of every customer that may carry a credit of the payment.

    While its target carries a living credit in full, what another customer carries goes first, the youngest of it.
    """
    own = ledgers.get(target or "", ())
    astray = [
        one.entry
        for place, entries in ledgers.items()
        if place != target
        for one in _find_credits_on(place, payment, entries, scope)
        if one.net
    ]
    if astray and is_credited(payment, own, scope):
        return max(astray, key=lambda one: (one.created, one.id))
    return find_surplus(payment, own, scope)


def find_credits(payment: Payment, ledgers: Mapping[str, Sequence[Entry]], scope: Scope) -> list[Entry]:
    """All credits of a payment, wherever they sit."""
    return [one.entry for place, entries in ledgers.items() for one in _find_credits_on(place, payment, entries, scope)]


def _find_credits_on(place: str, payment: Payment, entries: Sequence[Entry], scope: Scope) -> list[Credit]:
    """A payment's credits on one customer."""
    return _net_cents(payment, entries, scope)[0]


def is_credited(payment: Payment, entries: Sequence[Entry], scope: Scope) -> bool:
    """Whether these entries alone credit a payment in full, so that any credit elsewhere is one too many."""
    found, delta = _net_cents(payment, entries, scope)
    return bool(found) and delta == 0


def _net_cents(payment: Payment, entries: Sequence[Entry], scope: Scope) -> tuple[list[Credit], int | None]:
    """A payment's credits, and the cents by which their net is above what is due; None where that cannot be said."""
    account = AuditedCustomer(entries[0].customer) if entries else AuditedCustomer("")
    found = judge_customer(CustomerLedger(account, [payment], list(entries)), OrderIndex(), scope).credited.get(
        payment.identity, []
    )
    if account.id != payment.customer_id:  # another customer's own payments may look alike
        found = [one for one in found if one.rule == "identity"]
    expected = expected_cents(payment, found[0].entry) if found else None
    if expected is None or any(one.entry.currency != CURRENCY for one in found):
        return found, None
    return found, sum(one.net for one in found) - expected


def _find_reversals(found: Iterable[Credit], entries: Sequence[Entry]) -> list[Entry]:
    """All entries that reach one of the credits through `reverses`."""
    reached = {one.entry.id for one in found}
    family: list[Entry] = []
    while more := [
        one
        for one in entries
        if one.kind == "reversal" and one.metadata.get("reverses") in reached and one.id not in reached
    ]:
        family += more
        reached |= {one.id for one in more}
    return family


def _is_standing(entry: Entry, family: Iterable[Entry]) -> bool:
    """Whether nothing takes it back already."""
    return all(one.metadata.get("reverses") != entry.id for one in family)
