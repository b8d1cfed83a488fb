"""Verdicts that span customers: misplaced credits, cursors and identities. Pure."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from chain.payment import Payment
from stateless_billing.audit.rules.facts import AuditedCustomer, OrderIndex, Scope
from stateless_billing.audit.rules.payments import Credit, judge_payment, other_credit_ids
from stateless_billing.audit.rules.rows import Row, cells_of_decision, cells_of_lone_entry, create_row, fingerprint
from stateless_billing.audit.rules.statuses import Status
from stateless_billing.domain import ledger, money
from stateless_billing.domain.epochs import EPOCH_SECONDS

CREDITED = frozenset({Status.MATCHED, Status.PENDING, Status.WRONG_CUSTOMER})


@dataclass(slots=True)
class OpenPayment:
    """A payment with the credits matched so far on any customer, and the resulting row."""

    payment: Payment
    row: Row
    credits: list[Credit]


def claimed_identity(credit: Credit) -> str:
    """Return the payment identity in the metadata of a credit."""
    return credit.entry.metadata.get("payment", "").strip().lower()


def attach_credits(
    open_payments: Mapping[str, OpenPayment], credits_: Iterable[Credit], orders: OrderIndex, scope: Scope
) -> list[Credit]:
    """Attach credits on other customers to the open payments they name.

    Return those that match none. A credit that was reversed on the wrong customer leaves its payment uncredited.
    """
    unmatched = []
    for credit in credits_:
        open_payment = open_payments.get(claimed_identity(credit))
        if open_payment is None:
            unmatched.append(credit)
            continue
        payment = open_payment.payment
        target = orders.target_of(payment, [each.entry for each in (*open_payment.credits, credit)])
        if credit.net == 0 and (credit.entry.customer != target or is_void(payment, credit)):
            unmatched.append(credit)
            continue
        open_payment.credits.append(replace(credit, rule="identity"))
        open_payment.row = judge_payment(payment, open_payment.credits, target, scope, orders)
    return unmatched


def mark_deleted(open_payment: OpenPayment, deleted: Container[str], orders: OrderIndex) -> Row:
    """Return a payment's row, as an exception if a deleted customer may have a credit too.

    In the payment's first epoch the shared idempotency key prevents a second credit. Orders of older versions used
    other keys.
    """
    effective = [credit for credit in open_payment.credits if credit.net]
    if open_payment.row.status != Status.MATCHED or len(effective) != 1:
        return open_payment.row
    payment, credit = open_payment.payment, effective[0].entry
    candidates = [payment.customer_id or "", *orders.named_customers.get(payment.identity, ())]
    lost = [customer for customer in candidates if customer in deleted and customer != credit.customer]
    order = orders.followed_order(payment, credit)
    same_key = order is not None and order.value is not None and credit.created < payment.time + EPOCH_SECONDS
    if not lost or same_key:
        return open_payment.row
    reason = (
        f"{credit.id} on {credit.customer} credits it; {', '.join(lost)} was deleted and may have been credited too"
    )
    return create_row(open_payment.row.as_dict(), Status.CUSTOMER_GONE, reason, open_payment.row.rule)


def is_void(payment: Payment, credit: Credit) -> bool:
    """Return whether a fully reversed credit had other cents than the final event."""
    return payment.quoted and credit.net == 0 and credit.entry.cents != payment.cents


def judge_second_credit(row: Row, credit: Credit) -> Row:
    """Create the row of a credited payment that another customer holds a credit for too.

    What the row says of other such credits stays in it.
    """
    total = (row.credited_cents or 0) + credit.net
    known = row.reason if row.status == Status.DUPLICATE_CREDIT else f"{row.stripe_txn} credits it"
    reason = f"{known}, and so does {credit.entry.id} on {credit.entry.customer}"
    delta = None if row.expected_cents is None else total - row.expected_cents
    noted = row.note if row.status != Status.ACCEPTED else None  # which is what somebody wrote
    note = " ".join(filter(None, (noted, other_credit_ids(credit))))
    cells = row.as_dict() | {"credited_cents": total, "delta_cents": delta, "note": note}
    return create_row(cells, Status.DUPLICATE_CREDIT, reason, "identity")


def judge_without_payment(credit: Credit, reason: str) -> Row:
    """Create the row of a credit whose payment is not on the chain."""
    parts = [*claimed_identity(credit).split(":"), "", "", ""]
    row = cells_of_lone_entry(credit.entry, "payment") | {
        "chain_id": int(parts[0]) if parts[0].isascii() and parts[0].isdigit() else None,
        "tx_hash": parts[2] or None,
        "wallet": credit.entry.metadata.get("wallet"),
        "expected_cents": 0,
        "credited_cents": credit.net,
        "delta_cents": credit.net,
    }
    row |= cells_of_decision(None, None, credit.reversals)
    if credit.net == 0:
        return create_row(row, Status.REVERSED, f"{reason}; reversed in full", "no payment", exception=False)
    return create_row(row, Status.MISSING_PAYMENT, reason, "no payment")


def reason_without_payment(credit: Credit, scope: Scope) -> str:
    """Explain why a credit's payment cannot be on the chain. Empty if only a node can tell."""
    if not ledger.is_identity(claimed_identity(credit)):
        return "it names no payment at all"
    chain_id, gateway, _, _ = claimed_identity(credit).split(":")
    if chain_id != str(scope.chain_id) or gateway not in scope.gateways:
        return f"it names gateway {gateway} of chain {chain_id}, which is not audited: add it to GATEWAY_ADDRESSES"
    return ""


def cursor_row(customer: AuditedCustomer, name: str, reason: str, scope: Scope) -> Row:
    """Create the row of a faulty cursor."""
    row = {
        "chain_id": scope.chain_id,
        "stripe_customer": customer.id,
        "wallet": customer.wallet,
        "kind": "cursor",
        "note": f"{name}={customer.cursors[name]}"[:200],
        "fingerprint": fingerprint("cursor", customer.id, name),
    }
    return create_row(row, Status.CURSOR_AHEAD, reason, "cursor")


def find_cursor_fault(text: str, count: int, hash_of: Callable[[int], str | None], uncredited: Sequence[int]) -> str:
    """Describe the fault of a cursor, or return "".

    `hash_of(n)` is the tx hash of payment n, None if not read.
    """
    cursor = ledger.parse_cursor(text)
    if cursor is None:
        return "it is not a valid cursor and counts as absent"
    if cursor.next > count:
        return f"it covers {cursor.next} payments, but the gateway counts {count}"
    if hash_of(cursor.next - 1) not in (None, cursor.before):
        return f"it names another EVM transaction than that of payment {cursor.next - 1}"
    passed = [sequence for sequence in uncredited if sequence < cursor.next]
    return f"it is past payment {passed[0]}, which is not credited" if passed else ""


def drift_row(wallet: str, gateway: str, registered: str, claimed: str | None, scope: Scope) -> Row:
    """Create the row of a wallet that has different customers at a gateway and in Stripe."""
    row = {
        "chain_id": scope.chain_id,
        "wallet": wallet,
        "stripe_customer": claimed,
        "kind": "identity",
        "note": f"{gateway} has {registered}",
        "fingerprint": fingerprint("identity", scope.chain_id, gateway, wallet, claimed or ""),
    }
    mismatch = f"{claimed} has this wallet_address" if claimed else f"{registered} has another wallet_address"
    return create_row(row, Status.IDENTITY_DRIFT, f"the gateway credits {registered}, but {mismatch}", "identity")


def find_drifts(
    claims: Mapping[str, Sequence[str]], registered: Mapping[str, str | None], customers: Mapping[str, AuditedCustomer]
) -> list[tuple[str, str, str | None]]:
    """Return `(wallet, registered customer, customer in Stripe or None)` where they differ."""
    drifts: list[tuple[str, str, str | None]] = []
    for wallet, customer in sorted(registered.items()):
        if customer is None:
            continue
        others = [claimant for claimant in claims.get(wallet, ()) if claimant != customer]
        drifts += [(wallet, customer, other) for other in sorted(others)]
        in_stripe = customers.get(customer)
        if not others and in_stripe and not in_stripe.state and in_stripe.wallet != wallet:
            drifts.append((wallet, customer, None))
    return drifts


def out_of_band(row: Row, recorded: int, independent: int, percent: int = 10) -> Row:
    """Turn the row into a warning if its rate is more than `percent` off an independent one."""
    if row.status != Status.MATCHED or abs(recorded - independent) * 100 <= independent * percent:
        return row
    reason = (
        f"priced at {money.format_decimal(recorded)}, an independent source says {money.format_decimal(independent)}"
    )
    return create_row(row.as_dict(), Status.RATE_OUT_OF_BAND, reason, row.rule)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One line of the file of accepted exceptions. `until` is the last day that it applies."""

    fingerprint: str
    note: str
    status: str = ""
    until: str = ""


def apply_acceptance(row: Row, accepted: Mapping[str, Acceptance], today: str) -> Row:
    """Mark the row as accepted if the exceptions file covers its fingerprint, status and day."""
    acceptance = accepted.get(row.fingerprint)
    if not acceptance or not row.exception or acceptance.status not in ("", row.status):
        return row
    if acceptance.until and acceptance.until < today:
        return row
    reason = f"{row.status}, accepted: {row.reason}"
    return create_row(row.as_dict() | {"note": acceptance.note}, Status.ACCEPTED, reason, row.rule)
