"""Whether the audit can find anything: one fault of each kind planted in a copy of real data, all to be found. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chain.payment import Payment
from stateless_billing.audit.rules.cross_customer import (
    OpenPayment,
    attach_credits,
    cursor_row,
    drift_row,
    find_cursor_fault,
    find_drifts,
    judge_second_credit,
    judge_without_payment,
    out_of_band,
)
from stateless_billing.audit.rules.facts import AuditedCustomer, CustomerLedger, OrderIndex, Scope
from stateless_billing.audit.rules.grants import collect_reservations, judge_grants
from stateless_billing.audit.rules.payments import Credit, CustomerVerdict, judge_customer, judge_uncredited
from stateless_billing.audit.rules.rows import Row
from stateless_billing.audit.rules.statuses import SLA_SECONDS, Status
from stateless_billing.domain import ledger
from stateless_billing.domain.ledger import Entry, Price

_NO_ENTRIES = OrderIndex()
_OTHER_CUSTOMER = "cus_SelfTest"


@dataclass(frozen=True, slots=True)
class Trial:
    """A fault that was planted, what the audit said of it, and whether that is just what it should say."""

    planted: str
    statuses: tuple[str, ...]
    passed: bool


@dataclass(frozen=True, slots=True)
class SelfTestSample:
    """One settled payment with its credit, out of the data."""

    payment: Payment
    credit: Entry
    scope: Scope

    def judge(self, *entries: Entry) -> list[str]:
        """What the audit says of the payment with these entries on its customer."""
        return [
            row.status
            for row in _close_audit(self, judge_customer(_ledger_with(self, entries), _NO_ENTRIES, self.scope))
        ]


def run_trials(samples: Sequence[CustomerLedger], scope: Scope) -> list[Trial]:
    """Every fault in turn, in a copy of a sample; in a made-up payment where nothing was read."""
    sample = _sample(samples, scope)
    found = []
    for planted, expected, plant in _FAULTS:
        statuses = tuple(sorted(plant(sample)))
        found.append(Trial(planted, statuses, statuses == (str(expected),)))
    return found


def _sample(samples: Sequence[CustomerLedger], scope: Scope) -> SelfTestSample:
    for book in samples:
        for payment in book.payments:
            for entry in book.entries:
                if entry.metadata.get("payment") == payment.identity and scope.is_final(payment) and payment.quoted:
                    old = replace(payment, time=min(payment.time, scope.block_time - SLA_SECONDS))
                    return SelfTestSample(old, entry, scope)
    return _create_sample(scope)


def _create_sample(scope: Scope) -> SelfTestSample:
    payment = Payment(
        chain_id=scope.chain_id,
        gateway=scope.gateways[0],
        tx_hash="0x" + "5e" * 32,
        ordinal=0,
        customer_id="cus_SelfTestPayer",
        wallet="0x" + "5e" * 20,
        payer="0x" + "5f" * 20,
        sequence=0,
        amount=10**21,
        cents=600,
        block=scope.block,
        block_hash=scope.block_hash,
        time=scope.block_time - SLA_SECONDS,
        log_index=0,
    )
    metadata = ledger.credit_metadata(payment, Price(payment.cents))
    description = ledger.credit_description(payment)
    credit = Entry(
        "cbtxn_made", 600, payment.time, "usd", "cus_SelfTestPayer", "adjustment", description, 600, metadata
    )
    return SelfTestSample(payment, credit, scope)


def _ledger_with(sample: SelfTestSample, entries: Sequence[Entry]) -> CustomerLedger:
    return CustomerLedger(
        AuditedCustomer(sample.payment.customer_id or "", currency="usd"),
        [sample.payment],
        list(entries),
        complete=True,
    )


def _close_audit(sample: SelfTestSample, judged: CustomerVerdict, strays: Sequence[Credit] = ()) -> list[Row]:
    """The end of an audit, for one customer."""
    book = _ledger_with(sample, ())
    waiting = {
        one.identity: OpenPayment(one, judge_uncredited(one, book, _NO_ENTRIES, sample.scope), [])
        for one in judged.open
    }
    rows = list(judged.rows)
    for stray in attach_credits(waiting, [*judged.strays, *strays], _NO_ENTRIES, sample.scope):
        named = stray.entry.metadata.get("payment") == sample.payment.identity
        rows = (
            [judge_second_credit(rows[0], stray)]
            if named and rows
            else [*rows, judge_without_payment(stray, "planted")]
        )
    return rows + [place.row for place in waiting.values()] + judge_grants({}, judged.grants)


def _second_credit(sample: SelfTestSample) -> Entry:
    return replace(sample.credit, id="cbtxn_again", created=sample.credit.created + 30 * 3600)


def _reversal(of: Entry, name: str) -> Entry:
    return replace(of, id=name, cents=-of.cents, metadata={"kind": "reversal", "reverses": of.id})


def _credit_elsewhere(sample: SelfTestSample) -> list[str]:
    moved = replace(sample.credit, customer=_OTHER_CUSTOMER)
    rows = _close_audit(
        sample, judge_customer(_ledger_with(sample, ()), _NO_ENTRIES, sample.scope), [Credit(moved, moved.cents, "")]
    )
    return [row.status for row in rows]


def _reorganised(sample: SelfTestSample) -> list[str]:
    book = CustomerLedger(AuditedCustomer(_OTHER_CUSTOMER), [], [sample.credit], complete=True)
    return [row.status for row in _close_audit(sample, judge_customer(book, _NO_ENTRIES, sample.scope))]


def _over_cap(sample: SelfTestSample) -> list[str]:
    metadata = {"kind": "reservation", "grant": "g", "operator": "o", "reason": "r", "caps": "1:1:1"} | {
        "customer": sample.credit.customer
    }
    held = replace(sample.credit, id="cbtxn_held", ending_cents=sample.credit.cents, metadata=metadata)
    grant = replace(held, id="cbtxn_grant", metadata=metadata | {"kind": "grant"})
    return [row.status for row in judge_grants(collect_reservations([held]), [Credit(grant, grant.cents, "")])]


def _no_reason(sample: SelfTestSample) -> list[str]:
    metadata = {"kind": "reservation", "grant": "g", "operator": "o", "reason": "r", "caps": f"{10**9}:{10**9}:{10**9}"}
    metadata |= {"customer": sample.credit.customer}
    held = replace(sample.credit, id="cbtxn_held", ending_cents=sample.credit.cents, metadata=metadata)
    grant = replace(held, id="cbtxn_grant", metadata={"kind": "grant", "grant": "g", "operator": "o"})
    return [row.status for row in judge_grants(collect_reservations([held]), [Credit(grant, grant.cents, "")])]


def _cursor(sample: SelfTestSample) -> list[str]:
    account = AuditedCustomer("cus_A", cursors={"key": f"9:{sample.payment.tx_hash}"})
    fault = find_cursor_fault(account.cursors["key"], 1, lambda _: None, [])
    return [cursor_row(account, "key", fault, sample.scope).status] if fault else []


def _drift(sample: SelfTestSample) -> list[str]:
    wallet, customer = sample.payment.wallet, sample.payment.customer_id or ""
    found = find_drifts({wallet: [_OTHER_CUSTOMER]}, {wallet: customer}, {})
    return [drift_row(wallet, sample.payment.gateway, *one[1:], sample.scope).status for one in found]


def _rate(sample: SelfTestSample) -> list[str]:
    [row] = judge_customer(_ledger_with(sample, [sample.credit]), _NO_ENTRIES, sample.scope).rows
    return [out_of_band(row, 200, 100).status]


_FAULTS: tuple[tuple[str, Status, Callable[[SelfTestSample], Sequence[str]]], ...] = (
    ("nothing", Status.MATCHED, lambda one: one.judge(one.credit)),
    ("a missing credit", Status.MISSING_CREDIT, lambda one: one.judge()),
    ("a payment credited twice", Status.DUPLICATE_CREDIT, lambda one: one.judge(one.credit, _second_credit(one))),
    ("right cents on the wrong customer", Status.WRONG_CUSTOMER, _credit_elsewhere),
    (
        "two reversals of one duplicate",
        Status.REVERSED,
        lambda one: one.judge(
            one.credit,
            _second_credit(one),
            _reversal(_second_credit(one), "cbtxn_r1"),
            _reversal(_second_credit(one), "cbtxn_r2"),
        ),
    ),
    ("a credit whose payment is gone", Status.MISSING_PAYMENT, _reorganised),
    (
        "cents that are not the payment's",
        Status.AMOUNT_MISMATCH,
        lambda one: one.judge(replace(one.credit, cents=one.credit.cents + 1)),
    ),
    (
        "altered metadata",
        Status.METADATA_ALTERED,
        lambda one: one.judge(replace(one.credit, metadata={**one.credit.metadata, "wallet": "0x"})),
    ),
    (
        "an entry written by hand",
        Status.UNEXPLAINED_CREDIT,
        lambda one: [row for row in one.judge(one.credit, _by_hand(one)) if row != Status.MATCHED],
    ),
    ("a wrong currency", Status.WRONG_CURRENCY, lambda one: one.judge(replace(one.credit, currency="eur"))),
    ("a grant over the cap", Status.GRANT_OVER_CAP, _over_cap),
    ("a grant without a reason", Status.GRANT_NO_REASON, _no_reason),
    ("a cursor moved by hand", Status.CURSOR_AHEAD, _cursor),
    ("a wallet of another customer", Status.IDENTITY_DRIFT, _drift),
    ("a rate far from the market", Status.RATE_OUT_OF_BAND, _rate),
)


def _by_hand(sample: SelfTestSample) -> Entry:
    return replace(sample.credit, id="cbtxn_hand", cents=sample.credit.cents + 7, metadata={}, description="Sorry")
