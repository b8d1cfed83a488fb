"""Self-test of the audit: plants faults in a copy of real data. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

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
    """A planted fault, the reported statuses, and whether they are exactly as expected."""

    planted: str
    statuses: tuple[str, ...]
    passed: bool


@dataclass(frozen=True, slots=True)
class SelfTestSample:
    """A final payment with its credit."""

    payment: Payment
    credit: Entry
    scope: Scope

    def judge(self, *entries: Entry) -> list[str]:
        """Return the statuses of an audit of the payment with these entries on its customer."""
        return [
            row.status
            for row in _close_audit(self, judge_customer(_ledger_with(self, entries), _NO_ENTRIES, self.scope))
        ]


def create_scope() -> Scope:
    """Create the scope of a made-up report, for a self-test without a chain."""
    time = 4 * SLA_SECONDS
    return Scope(
        chain_id=1,
        gateways=("0x" + "5e" * 20,),
        token="0x" + "70" * 20,
        block=1,
        block_hash="0x" + "5e" * 32,
        block_time=time,
        time=time,
        horizon=1,
    )


def run_trials(samples: Sequence[CustomerLedger], scope: Scope) -> list[Trial]:
    """Plant every fault in a copy of a sample, or in a made-up payment if there is no sample."""
    sample = _choose_sample(samples, scope)
    trials = []
    for planted, expected, plant in _FAULTS:
        statuses = tuple(sorted(plant(sample)))
        trials.append(Trial(planted, statuses, statuses == (str(expected),)))
    return trials


def _choose_sample(samples: Sequence[CustomerLedger], scope: Scope) -> SelfTestSample:
    for customer_ledger in samples:
        for payment in customer_ledger.payments:
            for entry in customer_ledger.entries:
                if entry.metadata.get("payment") == payment.identity and scope.is_final(payment) and payment.quoted:
                    aged = replace(payment, time=min(payment.time, scope.block_time - SLA_SECONDS))
                    return SelfTestSample(aged, entry, scope)
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


def _close_audit(sample: SelfTestSample, verdict: CustomerVerdict, misplaced: Sequence[Credit] = ()) -> list[Row]:
    """Finish an audit of one customer: attach misplaced credits and judge grants."""
    customer_ledger = _ledger_with(sample, ())
    open_payments = {
        payment.identity: OpenPayment(
            payment, judge_uncredited(payment, customer_ledger, _NO_ENTRIES, sample.scope), []
        )
        for payment in verdict.uncredited
    }
    rows = list(verdict.rows)
    for credit in attach_credits(open_payments, [*verdict.unmatched_credits, *misplaced], _NO_ENTRIES, sample.scope):
        if rows and credit.entry.metadata.get("payment") == sample.payment.identity:
            rows = [judge_second_credit(rows[0], credit)]
        else:
            rows.append(judge_without_payment(credit, "planted"))
    return rows + [open_payment.row for open_payment in open_payments.values()] + judge_grants({}, verdict.grants)


def _second_credit(sample: SelfTestSample) -> Entry:
    return replace(sample.credit, id="cbtxn_again", created=sample.credit.created + 30 * 3600)


def _reversal(entry: Entry, entry_id: str) -> Entry:
    return replace(entry, id=entry_id, cents=-entry.cents, metadata={"kind": "reversal", "reverses": entry.id})


def _credit_elsewhere(sample: SelfTestSample) -> list[str]:
    moved = replace(sample.credit, customer=_OTHER_CUSTOMER)
    rows = _close_audit(
        sample, judge_customer(_ledger_with(sample, ()), _NO_ENTRIES, sample.scope), [Credit(moved, moved.cents, "")]
    )
    return [row.status for row in rows]


def _reorged_credit(sample: SelfTestSample) -> list[str]:
    customer_ledger = CustomerLedger(AuditedCustomer(_OTHER_CUSTOMER), [], [sample.credit], complete=True)
    return [row.status for row in _close_audit(sample, judge_customer(customer_ledger, _NO_ENTRIES, sample.scope))]


def _over_cap(sample: SelfTestSample) -> list[str]:
    metadata = {"kind": "reservation", "grant": "g", "operator": "o", "reason": "r", "caps": "1:1:1"} | {
        "customer": sample.credit.customer
    }
    reservation = replace(sample.credit, id="cbtxn_held", ending_cents=sample.credit.cents, metadata=metadata)
    grant = replace(reservation, id="cbtxn_grant", metadata=metadata | {"kind": "grant"})
    return [row.status for row in judge_grants(collect_reservations([reservation]), [Credit(grant, grant.cents, "")])]


def _no_reason(sample: SelfTestSample) -> list[str]:
    metadata = {"kind": "reservation", "grant": "g", "operator": "o", "reason": "r", "caps": f"{10**9}:{10**9}:{10**9}"}
    metadata |= {"customer": sample.credit.customer}
    reservation = replace(sample.credit, id="cbtxn_held", ending_cents=sample.credit.cents, metadata=metadata)
    grant = replace(reservation, id="cbtxn_grant", metadata={"kind": "grant", "grant": "g", "operator": "o"})
    return [row.status for row in judge_grants(collect_reservations([reservation]), [Credit(grant, grant.cents, "")])]


def _cursor(sample: SelfTestSample) -> list[str]:
    customer = AuditedCustomer("cus_A", cursors={"key": f"9:{sample.payment.tx_hash}"})
    fault = find_cursor_fault(customer.cursors["key"], 1, lambda _: None, [])
    return [cursor_row(customer, "key", fault, sample.scope).status] if fault else []


def _drift(sample: SelfTestSample) -> list[str]:
    wallet, customer = sample.payment.wallet, sample.payment.customer_id or ""
    drifts = find_drifts({wallet: [_OTHER_CUSTOMER]}, {wallet: customer}, {})
    return [drift_row(wallet, sample.payment.gateway, *drift[1:], sample.scope).status for drift in drifts]


def _rate(sample: SelfTestSample) -> list[str]:
    [row] = judge_customer(_ledger_with(sample, [sample.credit]), _NO_ENTRIES, sample.scope).rows
    return [out_of_band(row, 200, 100).status]


_FAULTS: tuple[tuple[str, Status, Callable[[SelfTestSample], Sequence[str]]], ...] = (
    ("nothing", Status.MATCHED, lambda sample: sample.judge(sample.credit)),
    ("a missing credit", Status.MISSING_CREDIT, lambda sample: sample.judge()),
    (
        "a payment credited twice",
        Status.DUPLICATE_CREDIT,
        lambda sample: sample.judge(sample.credit, _second_credit(sample)),
    ),
    ("right cents on the wrong customer", Status.WRONG_CUSTOMER, _credit_elsewhere),
    (
        "two reversals of one duplicate",
        Status.REVERSED,
        lambda sample: sample.judge(
            sample.credit,
            _second_credit(sample),
            _reversal(_second_credit(sample), "cbtxn_r1"),
            _reversal(_second_credit(sample), "cbtxn_r2"),
        ),
    ),
    ("a credit whose payment is not on the chain", Status.MISSING_PAYMENT, _reorged_credit),
    (
        "cents that are not the payment's",
        Status.AMOUNT_MISMATCH,
        lambda sample: sample.judge(replace(sample.credit, cents=sample.credit.cents + 1)),
    ),
    (
        "altered metadata",
        Status.METADATA_ALTERED,
        lambda sample: sample.judge(replace(sample.credit, metadata={**sample.credit.metadata, "wallet": "0x"})),
    ),
    (
        "an entry written by hand",
        Status.UNEXPLAINED_CREDIT,
        lambda sample: [row for row in sample.judge(sample.credit, _by_hand(sample)) if row != Status.MATCHED],
    ),
    ("a wrong currency", Status.WRONG_CURRENCY, lambda sample: sample.judge(replace(sample.credit, currency="eur"))),
    ("a grant over the cap", Status.GRANT_OVER_CAP, _over_cap),
    ("a grant without a reason", Status.GRANT_NO_REASON, _no_reason),
    ("a cursor moved by hand", Status.CURSOR_AHEAD, _cursor),
    ("a wallet of another customer", Status.IDENTITY_DRIFT, _drift),
    ("a rate far from the market", Status.RATE_OUT_OF_BAND, _rate),
)


def _by_hand(sample: SelfTestSample) -> Entry:
    return replace(sample.credit, id="cbtxn_hand", cents=sample.credit.cents + 7, metadata={}, description="Sorry")
