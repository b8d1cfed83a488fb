"""Judges a customer's payments and other entries, with the same matcher as crediting. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from chain.payment import Payment
from stateless_billing.audit.rules.facts import (
    CustomerLedger,
    OrderIndex,
    Scope,
    UnmatchedEntries,
    find_held_cause,
    is_relevant,
    named_payment,
    reversed_id,
)
from stateless_billing.audit.rules.rows import (
    Row,
    cells_of_credit,
    cells_of_decision,
    cells_of_lone_entry,
    cells_of_payment,
    cells_of_rate,
    create_row,
    recorded_rate,
)
from stateless_billing.audit.rules.statuses import SLA_SECONDS, Status
from stateless_billing.domain import ledger, money
from stateless_billing.domain.ledger import CURRENCY, Entry, MatchOutcome, Price, net_cents


@dataclass(frozen=True, slots=True)
class Credit:
    """A credit of a payment, its net after reversals, the rule that matched it, and what reverses it."""

    entry: Entry
    net: int
    rule: str
    reversals: tuple[Entry, ...] = ()


def _create_credit(entry: Entry, unmatched: UnmatchedEntries, rule: str = "") -> Credit:
    reversals = unmatched.reversals_of(entry)
    rows = [row for row in reversals if entry.id in (row.id, reversed_id(row))]
    return Credit(entry, net_cents(entry, reversals), rule, tuple(sorted(rows, key=lambda row: (row.created, row.id))))


@dataclass(slots=True)
class CustomerVerdict:
    """Final rows of a customer, its uncredited payments, and its other credits and grants."""

    rows: list[Row] = field(default_factory=list)
    uncredited: list[Payment] = field(default_factory=list)
    credited: dict[str, list[Credit]] = field(default_factory=dict)
    unmatched_credits: list[Credit] = field(default_factory=list)
    grants: list[Credit] = field(default_factory=list)


def judge_customer(customer_ledger: CustomerLedger, orders: OrderIndex, scope: Scope) -> CustomerVerdict:
    """Match a customer's payments with its entries and judge both."""
    verdict = CustomerVerdict()
    unmatched = UnmatchedEntries(filter(is_relevant, customer_ledger.entries))
    for payment in customer_ledger.payments:
        if credits_ := _take_credits(payment, unmatched, scope):
            verdict.credited[payment.identity] = credits_
    oldest_first = unmatched.by_cents()
    for payment in customer_ledger.payments:  # credits without metadata last, so that they take no better match
        if payment.quoted and payment.identity not in verdict.credited:
            verdict.credited |= _take_stripped_credit(payment, oldest_first[payment.cents], unmatched, scope)
    verdict.uncredited += [each for each in customer_ledger.payments if each.identity not in verdict.credited]
    for payment in customer_ledger.payments:
        if credits_ := verdict.credited.get(payment.identity, []):
            target = orders.target_of(payment, [credit.entry for credit in credits_], complete=False)
            if target == customer_ledger.customer.id:
                verdict.rows.append(judge_payment(payment, credits_, target, scope, orders))
    _judge_other_entries(unmatched, verdict, scope, complete=customer_ledger.complete)
    return verdict


def _take_credits(payment: Payment, unmatched: UnmatchedEntries, scope: Scope) -> list[Credit]:
    """Remove the credits of a payment from `unmatched` and return them, oldest first."""
    credits_: list[Credit] = []
    while True:
        match = ledger.match(payment, None, unmatched.that_may_credit(payment), scope.other_credits)
        if match.outcome is not MatchOutcome.CREDITED or match.entry is None:
            return credits_
        credits_.append(_take(payment, match.entry, unmatched, "sequence, wallet and amount"))


def _take_stripped_credit(
    payment: Payment, oldest_first: deque[Entry], unmatched: UnmatchedEntries, scope: Scope
) -> dict[str, list[Credit]]:
    """Remove the oldest entry of a payment's cents that may be its credit without metadata; return it by the payment.

    What is too old for a payment is so for every later one, and leaves `oldest_first`.
    """
    while oldest_first:
        entry = oldest_first.popleft()
        if ledger.match(payment, payment.cents, [entry], scope.other_credits).outcome is MatchOutcome.ALTERED:
            return {payment.identity: [_take(payment, entry, unmatched, "cents and time")]}
    return {}


def _take(payment: Payment, entry: Entry, unmatched: UnmatchedEntries, by_facts: str) -> Credit:
    unmatched.take(entry)
    return _create_credit(entry, unmatched, "identity" if named_payment(entry) == payment.identity else by_facts)


def _judge_other_entries(
    unmatched: UnmatchedEntries, verdict: CustomerVerdict, scope: Scope, *, complete: bool
) -> None:
    """Judge the entries that match no payment of this customer."""
    for entry in unmatched.entries.values():
        credit = _create_credit(entry, unmatched)
        if entry.kind == "payment":
            verdict.unmatched_credits.append(credit)
        elif entry.kind == "grant":
            verdict.grants.append(credit)
        elif entry.kind == "reversal":
            if complete and reversed_id(entry) not in unmatched.ids and entry.created >= scope.start:
                reason = f"it reverses {reversed_id(entry)[:40]!r}, which does not exist"
                verdict.rows.append(judge_unexplained_credit(credit, reason))
        elif _is_unexplained(entry, scope):
            verdict.rows.append(judge_unexplained_credit(credit, _describe_entry(entry)))


def _is_unexplained(entry: Entry, scope: Scope) -> bool:
    """Return whether an entry is a credit of unknown origin or a misplaced bookkeeping row."""
    is_misplaced = entry.kind in ("reservation", "order")  # belong on the bookkeeping customers only
    is_expected = entry.kind is None and scope.other_credits.search(entry.description)
    return (entry.type == "adjustment" and entry.cents > 0 and not is_expected) or is_misplaced


def _describe_entry(entry: Entry) -> str:
    if entry.kind is None:
        return f"a credit of {money.format_dollars(entry.cents)} that names neither a purpose nor an author"
    return f"kind {entry.kind!r} does not belong on a customer"


def judge_unexplained_credit(credit: Credit, reason: str) -> Row:
    """Create the row of a credit of no known kind."""
    row = cells_of_lone_entry(credit.entry, "credit") | {"expected_cents": 0, "delta_cents": credit.net}
    row |= cells_of_decision(None, None, credit.reversals)
    if credit.net == 0:
        return create_row(row, Status.REVERSED, f"{reason}; reversed in full", "no payment", exception=False)
    return create_row(row, Status.UNEXPLAINED_CREDIT, reason, "no payment")


def judge_payment(
    payment: Payment, credits_: Sequence[Credit], target: str | None, scope: Scope, orders: OrderIndex
) -> Row:
    """Create a payment's row from its credits on all customers.

    `target` is the customer to credit.
    """
    first = next((credit for credit in credits_ if credit.entry.customer == target), credits_[0])
    expected = expected_cents(payment, first.entry)
    total = sum(credit.net for credit in credits_ if credit.entry.currency == CURRENCY)
    row = cells_of_payment(payment, scope.token, scope.explorer) | cells_of_credit(payment, first.entry)
    order, confirmation = orders.decision_about(payment, (credit.entry for credit in credits_))
    row |= cells_of_decision(order, confirmation, [entry for credit in credits_ for entry in credit.reversals])
    row |= cells_of_rate(payment, first.entry) | {
        "expected_cents": expected,
        "credited_cents": total,
        "delta_cents": None if expected is None else total - expected,
    }
    status, reason = _decide_status(payment, credits_, expected, total, target)
    row["note"] = (
        " ".join(
            other_credit_ids(credit)
            for credit in credits_
            if credit.net and credit.entry.customer != first.entry.customer
        )
        or None
    )
    if not scope.is_final(payment):
        paid = f"credited with {money.format_dollars(total)}, not final at block {scope.block}"
        return create_row(row, Status.PENDING, paid, first.rule)
    return create_row(row, status, reason, first.rule)


def other_credit_ids(credit: Credit) -> str:
    """Name a credit on another customer in the format of a row's note, which `repair` parses."""
    return f"{credit.entry.id}@{credit.entry.customer}"


def _decide_status(
    payment: Payment, credits_: Sequence[Credit], expected: int | None, total: int, target: str | None
) -> tuple[Status, str]:
    """Return the most severe status that applies, with its reason."""
    effective = [credit for credit in credits_ if credit.net != 0]
    delta = total - (expected if expected is not None else total)
    for credit in effective:
        entry = credit.entry
        if entry.currency != CURRENCY or entry.cents <= 0:
            return Status.WRONG_CURRENCY, f"{entry.id} is {entry.cents} cents in {entry.currency}"
    misplaced = [credit for credit in effective if credit.entry.customer != target]
    if misplaced and len(misplaced) == len(effective):
        places = ", ".join(f"{credit.entry.id} on {credit.entry.customer}" for credit in misplaced)
        return Status.WRONG_CUSTOMER, f"it was for {target}, but the credit is {places}"
    partial = [credit for credit in credits_ if credit.net not in (0, credit.entry.cents)]
    if delta > 0 and (len(effective) > 1 or partial):
        ids = ", ".join(credit.entry.id for credit in effective)
        return (
            Status.DUPLICATE_CREDIT,
            f"{ids} credit {money.format_dollars(total)} for {money.format_dollars(expected or 0)}",
        )
    if delta < 0 and (partial or not effective):
        return Status.REVERSED, _reversal_reason(credits_, partial, delta)
    return _compare_texts(payment, effective[0] if effective else credits_[0], expected, delta)


def _reversal_reason(credits_: Sequence[Credit], partial: Sequence[Credit], delta: int) -> str:
    ids = ", ".join(credit.entry.id for credit in partial) or ", ".join(credit.entry.id for credit in credits_)
    how = "more than once or in part" if partial else "in full"
    return f"{ids} was reversed {how}: the customer lacks {money.format_dollars(-delta)}"


def _compare_texts(payment: Payment, credit: Credit, expected: int | None, delta: int) -> tuple[Status, str]:
    """Judge the only effective credit by its cents, then by its texts."""
    if expected is None:
        return Status.METADATA_ALTERED, f"{credit.entry.id} does not say at which rate it was priced"
    if delta:
        word = "too much" if delta > 0 else "too little"
        return Status.AMOUNT_MISMATCH, f"{credit.entry.id} credits {money.format_dollars(abs(delta))} {word}"
    if altered := find_altered_texts(payment, credit.entry):
        return Status.METADATA_ALTERED, f"{credit.entry.id} differs from the event in {', '.join(altered)}"
    return Status.MATCHED, f"credited once, {money.format_dollars(expected)}"


def expected_cents(payment: Payment, credit: Entry) -> int | None:
    """Return the promised cents, or the value at the recorded rate; None without a rate."""
    if payment.quoted:
        return payment.cents
    rate = recorded_rate(credit)
    discount = credit.metadata.get("discount_bps", "")
    if rate is None or not (discount.isascii() and discount.isdigit() and int(discount) < 10_000):
        return None
    return money.cents_down(payment.amount, rate, int(discount))


def find_altered_texts(payment: Payment, credit: Entry) -> list[str]:
    """Return the names of a credit's texts that differ from what this service writes, but for hex case."""
    named = named_payment(credit)
    expected = ledger.credit_metadata(payment, Price(payment.cents))
    expected_description = ledger.credit_description(payment)
    if named.count(":") == 3 and named != payment.identity:  # a reorg moved the payment
        changed = ("payment", "block", "payer")
        expected = {name: value for name, value in expected.items() if name not in changed}
        expected_description = f"LITKEY payment {named.split(':')[2]}"
    if not payment.quoted:
        expected.pop("rate_source")
    altered = [name for name, value in expected.items() if credit.metadata.get(name, "").strip().lower() != value]
    if not payment.quoted:
        altered += [name for name in ("rate_source", "rate_at") if not credit.metadata.get(name)]
    return altered + (["description"] if credit.description.strip().lower() != expected_description.lower() else [])


def judge_uncredited(
    payment: Payment, customer_ledger: CustomerLedger, orders: OrderIndex, scope: Scope, *, dust: bool = False
) -> Row:
    """Create the row of an uncredited payment. `dust` says that it is worth less than a cent."""
    row = cells_of_payment(payment, scope.token, scope.explorer) | cells_of_decision(
        *orders.decision_about(payment, ())
    )
    expected = payment.cents if payment.quoted else None
    if dust:
        expected = 0
    row |= {"expected_cents": expected, "credited_cents": 0, "delta_cents": None if expected is None else -expected}
    if dust:
        return create_row(row, Status.MATCHED, "worth less than a cent: nothing is written", "below one cent")
    if not scope.is_final(payment):
        return create_row(row, Status.PENDING, f"not final at block {scope.block}", "no credit")
    if cause := find_held_cause(payment, customer_ledger, orders):
        return create_row(row, Status.HELD, f"held: {cause}", "no credit")
    age = scope.block_time - payment.time
    if age < SLA_SECONDS:
        return create_row(row, Status.PENDING, f"final for {age} s, due within {SLA_SECONDS} s", "no credit")
    details = "" if scope.deep else "; customers without payments are searched by --deep only"
    if recorded := orders.cause_of(payment):
        details += f"; the sweep recorded {recorded[:40]!r}, which holds no payment"
    return create_row(row, Status.MISSING_CREDIT, f"no credit {age} s after its block{details}", "no credit")
