"""What a payment's credits say of it, and what the other entries are. Pure; shares the crediting's own matcher."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from chain.payment import Payment
from stateless_billing.audit.rules.facts import CustomerLedger, OrderIndex, Scope, is_relevant
from stateless_billing.audit.rules.rows import (
    Cells,
    Row,
    cells_of_credit,
    cells_of_lone_entry,
    cells_of_payment,
    create_row,
    format_utc,
)
from stateless_billing.audit.rules.statuses import SLA_SECONDS, Status
from stateless_billing.domain import ledger, money
from stateless_billing.domain.ledger import CURRENCY, Entry, MatchOutcome, Price, net_cents

_NOT_OURS = ("reservation", "order")  # they stand on the bookkeeping customers only


@dataclass(frozen=True, slots=True)
class Credit:
    """One credit of a payment, and the net of it and its reversals."""

    entry: Entry
    net: int
    rule: str


@dataclass(slots=True)
class CustomerVerdict:
    """Rows that are settled; payments without a credit here; credits without a payment here."""

    rows: list[Row] = field(default_factory=list)
    open: list[Payment] = field(default_factory=list)
    credited: dict[str, list[Credit]] = field(default_factory=dict)
    strays: list[Credit] = field(default_factory=list)
    grants: list[Credit] = field(default_factory=list)


def judge_customer(book: CustomerLedger, orders: OrderIndex, scope: Scope) -> CustomerVerdict:
    """One customer's payments against the entries that were read of it."""
    done = CustomerVerdict()
    left = [entry for entry in book.entries if is_relevant(entry)]
    kept = {entry.id: entry for entry in left}
    for payment in book.payments:
        found = _take_credits(payment, None, left, kept, scope)
        if found:
            done.credited[payment.identity] = found
        else:
            done.open.append(payment)
    for payment in list(done.open):  # what lost its metadata is looked for last, so that no better match is taken
        cents = payment.cents or None
        if cents is not None and (stripped := _take_credits(payment, cents, left, kept, scope)):
            done.credited[payment.identity] = stripped
            done.open.remove(payment)
    for payment in book.payments:
        if payment.identity in done.credited:
            target = orders.target_of(payment, [one.entry for one in done.credited[payment.identity]], complete=False)
            if target == book.account.id:
                done.rows.append(judge_payment(payment, done.credited[payment.identity], target, scope))
    _judge_other_entries(left, kept, done, scope, whole=book.complete)
    return done


def _take_credits(
    payment: Payment, cents: int | None, left: list[Entry], kept: dict[str, Entry], scope: Scope
) -> list[Credit]:
    """Every credit of a payment, oldest first, taken out of `left`."""
    found: list[Credit] = []
    while True:
        match = ledger.match(payment, cents, left, scope.other_credits)
        wanted = MatchOutcome.CREDITED if cents is None else MatchOutcome.ALTERED
        if match.finding is not wanted or match.entry is None or (found and cents is not None):
            return found
        entry = match.entry
        left.remove(entry)
        named = entry.metadata.get("payment", "").strip().lower() == payment.identity
        rule = "identity" if named else "sequence, wallet and amount" if cents is None else "cents and time"
        found.append(Credit(entry, net_cents(entry, kept.values()), rule))


def _judge_other_entries(
    left: list[Entry], kept: dict[str, Entry], done: CustomerVerdict, scope: Scope, *, whole: bool
) -> None:
    """Sort what belongs to no payment of this customer."""
    for entry in left:
        credit = Credit(entry, net_cents(entry, kept.values()), "")
        if entry.kind == "payment":
            done.strays.append(credit)
        elif entry.kind == "grant":
            done.grants.append(credit)
        elif entry.kind == "reversal":
            if whole and entry.metadata.get("reverses", "") not in kept and entry.created >= scope.start:
                done.rows.append(
                    judge_unexplained_credit(
                        credit, f"it reverses {_quote_text(entry, 'reverses')}, which is not there"
                    )
                )
        elif _judge_unexplained(entry, scope):
            done.rows.append(judge_unexplained_credit(credit, _describe_entry(entry)))


def _judge_unexplained(entry: Entry, scope: Scope) -> bool:
    """Stripe's own types and other systems' known credits explain themselves."""
    ours = entry.kind in _NOT_OURS
    known = entry.kind is None and scope.other_credits.search(entry.description)
    return (entry.type == "adjustment" and entry.cents > 0 and not known) or ours


def _describe_entry(entry: Entry) -> str:
    if entry.kind is None:
        return f"a credit of {money.format_dollars(entry.cents)} that says neither what for nor by whom"
    return f"kind {entry.kind!r} does not belong on a customer"


def _quote_text(entry: Entry, name: str) -> str:
    return repr(entry.metadata.get(name, "")[:40])


def judge_unexplained_credit(credit: Credit, reason: str) -> Row:
    """A row about a credit of no known kind."""
    row = cells_of_lone_entry(credit.entry, "credit") | {"expected_cents": 0, "delta_cents": credit.net}
    if credit.net == 0:
        return create_row(row, Status.REVERSED, f"{reason}; reversed in full", "no payment", exception=False)
    return create_row(row, Status.UNEXPLAINED_CREDIT, reason, "no payment")


def judge_payment(payment: Payment, found: Sequence[Credit], target: str | None, scope: Scope) -> Row:
    """A payment's row, by all the credits that name it, wherever they sit. `target` is who is to be credited."""
    first = next((one for one in found if one.entry.customer == target), found[0])
    expected = expected_cents(payment, first.entry)
    total = sum(one.net for one in found if one.entry.currency == CURRENCY)
    row = cells_of_payment(payment, scope.token, scope.explorer) | cells_of_credit(payment, first.entry)
    row |= _rate_cells(payment, first.entry) | {
        "expected_cents": expected,
        "credited_cents": total,
        "delta_cents": None if expected is None else total - expected,
    }
    status, reason = _decide_status(payment, found, expected, total, target)
    row["note"] = (
        " ".join(other_credit_ids(one) for one in found if one.net and one.entry.customer != first.entry.customer)
        or None
    )
    if not scope.is_final(payment):
        paid = f"credited with {money.format_dollars(total)}, not final at block {scope.block}"
        return create_row(row, Status.PENDING, paid, first.rule)
    return create_row(row, status, reason, first.rule)


def other_credit_ids(credit: Credit) -> str:
    """How a row's note names a credit that another customer carries; `repair` reads it."""
    return f"{credit.entry.id}@{credit.entry.customer}"


def _decide_status(
    payment: Payment, found: Sequence[Credit], expected: int | None, total: int, target: str | None
) -> tuple[Status, str]:
    """The gravest that is true."""
    living = [one for one in found if one.net != 0]
    delta = total - (expected if expected is not None else total)
    if odd := next((one for one in living if one.entry.currency != CURRENCY or one.entry.cents <= 0), None):
        return Status.WRONG_CURRENCY, f"{odd.entry.id} is {odd.entry.cents} cents in {odd.entry.currency}"
    wrong = [one for one in living if one.entry.customer != target]
    if wrong and len(wrong) == len(living):
        there = ", ".join(f"{one.entry.id} on {one.entry.customer}" for one in wrong)
        return Status.WRONG_CUSTOMER, f"it was for {target}, but {there} carries it"
    turned = [one for one in found if one.net not in (0, one.entry.cents)]
    if delta > 0 and (len(living) > 1 or turned):
        ids = ", ".join(one.entry.id for one in living)
        return (
            Status.DUPLICATE_CREDIT,
            f"{ids} credit {money.format_dollars(total)} for {money.format_dollars(expected or 0)}",
        )
    if delta < 0 and (turned or not living):
        return Status.REVERSED, _reversal_reason(found, turned, delta)
    return _compare_texts(payment, living[0] if living else found[0], expected, delta)


def _reversal_reason(found: Sequence[Credit], turned: Sequence[Credit], delta: int) -> str:
    over = ", ".join(one.entry.id for one in turned) or ", ".join(one.entry.id for one in found)
    how = "more than once or in part" if turned else "in full"
    return f"{over} was reversed {how}: the customer lacks {money.format_dollars(-delta)}"


def _compare_texts(payment: Payment, credit: Credit, expected: int | None, delta: int) -> tuple[Status, str]:
    """One living credit: its cents, then its texts."""
    if expected is None:
        return Status.METADATA_ALTERED, f"{credit.entry.id} does not say at which rate it was priced"
    if delta:
        word = "too much" if delta > 0 else "too little"
        return Status.AMOUNT_MISMATCH, f"{credit.entry.id} credits {money.format_dollars(abs(delta))} {word}"
    if wrong := find_altered_texts(payment, credit.entry):
        return Status.METADATA_ALTERED, f"{credit.entry.id} says otherwise than the event: {', '.join(wrong)}"
    return Status.MATCHED, f"credited once, {money.format_dollars(expected)}"


def expected_cents(payment: Payment, credit: Entry) -> int | None:
    """The promised cents, or those of the tokens at the recorded rate; None where no rate is recorded."""
    if payment.quoted:
        return payment.cents
    rate = recorded_rate(credit)
    discount = credit.metadata.get("discount_bps", "")
    if rate is None or not (discount.isascii() and discount.isdigit() and int(discount) < 10_000):
        return None
    return money.cents_down(payment.amount, rate, int(discount))


def recorded_rate(credit: Entry) -> int | None:
    """The market rate that a credit says it was priced at, in 10^-18 dollars."""
    try:
        rate = Decimal(credit.metadata.get("rate", ""))
        scaled = rate.scaleb(18)
        exact = scaled == scaled.to_integral_value()
    except (InvalidOperation, ValueError):
        return None
    return int(scaled) if exact and 0 < rate < 10**9 else None


def _rate_cells(payment: Payment, credit: Entry) -> Cells:
    if payment.quoted:
        return {
            "rate_usd": money.format_decimal(money.rate_down(payment.cents, payment.amount)),
            "rate_source": "quote",
        }
    rate, at = recorded_rate(credit), credit.metadata.get("rate_at", "")
    discount = credit.metadata.get("discount_bps", "")
    return {
        "rate_usd": None if rate is None else money.format_decimal(rate),
        "rate_source": credit.metadata.get("rate_source"),
        "rate_time_utc": format_utc(int(at)) if at.isascii() and at.isdigit() and len(at) < 12 else None,
        "discount_bps": int(discount) if discount.isascii() and discount.isdigit() and len(discount) < 6 else None,
    }


def find_altered_texts(payment: Payment, credit: Entry) -> list[str]:
    """The texts of a credit that are not what this service writes for the payment. Hex may be in any case."""
    named = credit.metadata.get("payment", "").strip().lower()
    wanted = ledger.credit_metadata(payment, Price(payment.cents))
    wanted_description = ledger.credit_description(payment)
    if named.count(":") == 3 and named != payment.identity:  # a reorganisation gave it another place
        moved = ("payment", "block", "payer")
        wanted = {name: value for name, value in wanted.items() if name not in moved}
        wanted_description = f"LITKEY payment {named.split(':')[2]}"
    if not payment.quoted:
        wanted.pop("rate_source")
    wrong = [name for name, value in wanted.items() if credit.metadata.get(name, "").strip().lower() != value]
    if not payment.quoted:
        wrong += [name for name in ("rate_source", "rate_at") if not credit.metadata.get(name)]
    return wrong + (["description"] if credit.description.strip().lower() != wanted_description.lower() else [])


def judge_uncredited(
    payment: Payment, book: CustomerLedger, orders: OrderIndex, scope: Scope, *, dust: bool = False
) -> Row:
    """The row of a payment that no entry credits. `dust`: known to be worth less than a cent."""
    row = cells_of_payment(payment, scope.token, scope.explorer)
    expected = 0 if dust else payment.cents if payment.quoted else None
    row |= {"expected_cents": expected, "credited_cents": 0, "delta_cents": None if expected is None else -expected}
    if dust:
        return create_row(row, Status.MATCHED, "worth less than a cent: nothing is written", "below one cent")
    if not scope.is_final(payment):
        return create_row(row, Status.PENDING, f"not final at block {scope.block}", "no credit")
    if cause := find_held_cause(payment, book, orders):
        return create_row(row, Status.HELD, f"held: {cause}", "no credit")
    age = scope.block_time - payment.time
    if age < SLA_SECONDS:
        return create_row(row, Status.PENDING, f"final for {age} s, due within {SLA_SECONDS} s", "no credit")
    where = "" if scope.deep else "; customers without payments are searched by --deep only"
    return create_row(row, Status.MISSING_CREDIT, f"no credit {age} s after its block{where}", "no credit")


def find_held_cause(payment: Payment, book: CustomerLedger, orders: OrderIndex) -> str | None:
    """Why a payment is uncredited on purpose; what Stripe shows itself comes before what the sweep noted."""
    if payment.customer_id is None:
        return "customer_invalid"
    if book.account.state:
        return book.account.state
    if book.account.currency not in (None, CURRENCY):
        return "currency"
    if book.account.obstacle:
        return book.account.obstacle
    return orders.causes.get(payment.identity)
