"""What can only be judged when all customers were read: credits elsewhere, cursors, identities. Pure."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from chain.payment import Payment
from stateless_billing.audit.rules.facts import AuditedCustomer, OrderIndex, Scope
from stateless_billing.audit.rules.payments import Credit, judge_payment, other_credit_ids
from stateless_billing.audit.rules.rows import Row, cells_of_lone_entry, create_row, fingerprint
from stateless_billing.audit.rules.statuses import Status
from stateless_billing.domain import ledger, money
from stateless_billing.domain.epochs import EPOCH

CREDITED = frozenset({Status.MATCHED, Status.PENDING, Status.WRONG_CUSTOMER})


@dataclass(slots=True)
class OpenPayment:
    """A payment whose row waits for the other customers: the credits found so far, and the row without any more."""

    payment: Payment
    row: Row
    credits: list[Credit]


def claimed_identity(credit: Credit) -> str:
    """The payment that a credit says it is of."""
    return credit.entry.metadata.get("payment", "").strip().lower()


def attach_credits(
    waiting: Mapping[str, OpenPayment], strays: Iterable[Credit], orders: OrderIndex, scope: Scope
) -> list[Credit]:
    """Give the payments that wait the credits that sit on other customers; the credits that none waits for.

    One that was reversed where it did not belong leaves its payment uncredited, as if it had never been.
    """
    left = []
    for stray in strays:
        place = waiting.get(claimed_identity(stray))
        if place is None:
            left.append(stray)
            continue
        target = orders.target_of(place.payment, [one.entry for one in (*place.credits, stray)])
        if stray.net == 0 and (stray.entry.customer != target or is_void(place.payment, stray)):
            left.append(stray)
            continue
        place.credits.append(replace(stray, rule="identity"))
        place.row = judge_payment(place.payment, place.credits, target, scope)
    return left


def mark_deleted(place: OpenPayment, gone: Container[str], orders: OrderIndex) -> Row:
    """The row of a payment, as an exception where it may have been credited to a customer that was deleted since.

    In the payment's first epoch its one key keeps a second credit away; orders of older versions had other keys.
    """
    living = [one for one in place.credits if one.net]
    if place.row.status != Status.MATCHED or len(living) != 1:
        return place.row
    payment, credit = place.payment, living[0].entry
    places = [payment.customer_id or "", *orders.named.get(payment.identity, ())]
    lost = [one for one in places if one in gone and one != credit.customer]
    order = orders.is_followed(payment, credit)
    one_key = order is not None and order.value is not None and credit.created < payment.time + EPOCH
    if not lost or one_key:
        return place.row
    reason = (
        f"{credit.id} on {credit.customer} credits it; {', '.join(lost)} was deleted and may have been credited too"
    )
    return create_row(place.row.as_dict(), Status.CUSTOMER_GONE, reason, place.row.rule)


def is_void(payment: Payment, credit: Credit) -> bool:
    """Whether a credit was of other cents than the payment's final event promises, and was reversed in full."""
    return payment.quoted and credit.net == 0 and credit.entry.cents != payment.cents


def judge_second_credit(row: Row, stray: Credit) -> Row:
    """A settled payment's row, of which another customer carries a credit too."""
    total = (row.credited_cents or 0) + stray.net
    reason = f"{row.stripe_txn} credits it, and {stray.entry.id} on {stray.entry.customer} does so too"
    delta = None if row.expected_cents is None else total - row.expected_cents
    cells = row.as_dict() | {"credited_cents": total, "delta_cents": delta, "note": other_credit_ids(stray)}
    return create_row(cells, Status.DUPLICATE_CREDIT, reason, "identity")


def judge_without_payment(stray: Credit, reason: str) -> Row:
    """The row of a credit whose payment is not there."""
    parts = [*claimed_identity(stray).split(":"), "", "", ""]
    row = cells_of_lone_entry(stray.entry, "payment") | {
        "chain_id": int(parts[0]) if parts[0].isascii() and parts[0].isdigit() else None,
        "tx_hash": parts[2] or None,
        "wallet": stray.entry.metadata.get("wallet"),
        "expected_cents": 0,
        "credited_cents": stray.net,
        "delta_cents": stray.net,
    }
    if stray.net == 0:
        return create_row(row, Status.REVERSED, f"{reason}; reversed in full", "no payment", exception=False)
    return create_row(row, Status.MISSING_PAYMENT, reason, "no payment")


def reason_without_payment(stray: Credit, scope: Scope) -> str:
    """Why a credit's payment cannot be on the chain, before any node is asked; empty where one must be."""
    if not ledger.is_identity(claimed_identity(stray)):
        return "it names no payment at all"
    chain_id, gateway, _, _ = claimed_identity(stray).split(":")
    if chain_id != str(scope.chain_id) or gateway not in scope.gateways:
        return f"it names gateway {gateway} of chain {chain_id}, which is not audited: add it to GATEWAY_ADDRESSES"
    return ""


def cursor_row(account: AuditedCustomer, name: str, reason: str, scope: Scope) -> Row:
    """A row about one cursor."""
    row = {
        "chain_id": scope.chain_id,
        "stripe_customer": account.id,
        "wallet": account.wallet,
        "kind": "cursor",
        "note": f"{name}={account.cursors[name]}"[:200],
        "fingerprint": fingerprint("cursor", account.id, name),
    }
    return create_row(row, Status.CURSOR_AHEAD, reason, "cursor")


def find_cursor_fault(text: str, count: int, hash_of: Callable[[int], str | None], uncredited: Sequence[int]) -> str:
    """What is wrong with a cursor; empty where nothing is. `hash_of(n)` is payment n's tx hash, None if unread."""
    cursor = ledger.parse_cursor(text)
    if cursor is None:
        return "it is no cursor and counts as absent"
    if cursor.next > count:
        return f"it says {cursor.next} payments, the gateway counts {count}"
    if hash_of(cursor.next - 1) not in (None, cursor.before):
        return f"it names another EVM transaction than that of payment {cursor.next - 1}"
    behind = [sequence for sequence in uncredited if sequence < cursor.next]
    return f"it stands behind payment {behind[0]}, which is not credited" if behind else ""


def drift_row(wallet: str, gateway: str, registered: str, claimed: str | None, scope: Scope) -> Row:
    """A row about a wallet whose customer the chain and Stripe name differently."""
    row = {
        "chain_id": scope.chain_id,
        "wallet": wallet,
        "stripe_customer": claimed,
        "kind": "identity",
        "note": f"{gateway} has {registered}",
        "fingerprint": fingerprint("identity", scope.chain_id, gateway, wallet, claimed or ""),
    }
    told = f"{claimed} has this wallet_address" if claimed else f"{registered} has another wallet_address"
    return create_row(row, Status.IDENTITY_DRIFT, f"the gateway credits {registered}, but {told}", "identity")


def find_drifts(
    claims: Mapping[str, Sequence[str]], registered: Mapping[str, str | None], accounts: Mapping[str, AuditedCustomer]
) -> list[tuple[str, str, str | None]]:
    """`(wallet, registered customer, customer that has it in Stripe or None)` wherever these differ."""
    found: list[tuple[str, str, str | None]] = []
    for wallet, customer in sorted(registered.items()):
        if customer is None:
            continue
        others = [one for one in claims.get(wallet, ()) if one != customer]
        found += [(wallet, customer, other) for other in sorted(others)]
        account = accounts.get(customer)
        if not others and account and not account.state and account.wallet != wallet:
            found.append((wallet, customer, None))
    return found


def out_of_band(row: Row, recorded: int, independent: int, percent: int = 10) -> Row:
    """The row as a warning where its recorded rate is more than `percent` from an independent one."""
    if row.status != Status.MATCHED or abs(recorded - independent) * 100 <= independent * percent:
        return row
    reason = (
        f"priced at {money.format_decimal(recorded)}, an independent source says {money.format_decimal(independent)}"
    )
    return create_row(row.as_dict(), Status.RATE_OUT_OF_BAND, reason, row.rule)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One line of the file of accepted exceptions."""

    fingerprint: str
    note: str
    status: str = ""
    until: str = ""


def apply_acceptance(row: Row, accepted: Mapping[str, Acceptance], today: str) -> Row:
    """The row as accepted where the file says so: for this status if it names one, until its day if it has one."""
    found = accepted.get(row.fingerprint)
    if not found or not row.exception or found.status not in ("", row.status) or (found.until and found.until < today):
        return row
    reason = f"{row.status}, accepted: {row.reason}"
    return create_row(row.as_dict() | {"note": found.note}, Status.ACCEPTED, reason, row.rule)
