"""Collects verdicts per customer and holds back those that depend on other customers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from chain.payment import Payment
from stateless_billing.audit.report.report import Coverage
from stateless_billing.audit.report.row_spool import Spool
from stateless_billing.audit.rules.cross_customer import (
    Acceptance,
    OpenPayment,
    apply_acceptance,
    claimed_identity,
    out_of_band,
)
from stateless_billing.audit.rules.facts import (
    CustomerLedger,
    OrderIndex,
    RecordName,
    Scope,
    credit_of_other_system,
    is_foreign_on_record,
)
from stateless_billing.audit.rules.payments import (
    Credit,
    CustomerVerdict,
    judge_payment,
    judge_uncredited,
    judge_unexplained_credit,
)
from stateless_billing.audit.rules.rows import Row, fingerprint, format_utc
from stateless_billing.audit.rules.statuses import Status
from stateless_billing.domain.ledger import CURRENCY, Entry, net_cents
from stateless_billing.domain.money import RATE_SCALE, Rate, cents_down
from stateless_billing.pricing.rates import NoRate

_SAMPLES = 3


@dataclass(slots=True)
class CreditSum:
    """How many credits another system wrote, and their sum."""

    entries: int = 0
    cents: int = 0

    def add(self, entry: Entry) -> None:
        """Add a credit."""
        self.entries += 1
        self.cents += entry.cents


class IndependentPrices(Protocol):
    """A source of market rates that is independent of the recorded ones."""

    async def rate_at(self, time: int) -> Rate:
        """Return the market rate at a block's time. Raises: NoRate."""
        ...


class Collector:
    """Writes final rows to the spool and keeps the payments and credits still unmatched."""

    def __init__(
        self,
        scope: Scope,
        coverage: Coverage,
        prices: IndependentPrices,
        accepted: Mapping[str, Acceptance],
        spool: Spool,
    ) -> None:
        self._scope = scope
        self._coverage = coverage
        self._prices = prices
        self._accepted = accepted
        self._day = format_utc(scope.time)[:10]
        self.spool = spool
        self.orders = OrderIndex()
        self.open_payments: dict[str, OpenPayment] = {}
        self.unmatched_credits: list[Credit] = []
        self.grants: list[Credit] = []
        self.uncredited: dict[tuple[str, str], list[Payment]] = {}
        self.samples: list[CustomerLedger] = []
        self.deleted_customers: set[str] = set()
        self.read_customers: set[str] = set()
        self.balances: list[int | None] = []
        self.bookkeeping_cents = 0
        self.other_credits = {name: CreditSum() for name in scope.other_credits.names}

    def add(self, row: Row) -> None:
        """Add a row to the report, marked as accepted if the exceptions file says so."""
        self.spool.add(apply_acceptance(row, self._accepted, self._day))

    async def add_customer(self, customer_ledger: CustomerLedger, verdict: CustomerVerdict, *, requested: bool) -> None:
        """Add the verdict on one customer.

        If the customer was not `requested`, keep only its credits of payments that an order redirected.
        """
        if customer_ledger.customer.state:
            self.deleted_customers.add(customer_ledger.customer.id)
        if not requested:
            self.unmatched_credits += [
                credit
                for credit in verdict.unmatched_credits
                if claimed_identity(credit) in self.orders.named_customers
            ]
            return
        self.read_customers.add(customer_ledger.customer.id)
        self._sum_other_credits(customer_ledger.entries)
        if not customer_ledger.customer.state:
            self.balances.append(customer_ledger.balance_cents)
        self.unmatched_credits += verdict.unmatched_credits
        if len(self.samples) < _SAMPLES and any(
            row.status == Status.MATCHED and row.stripe_txn for row in verdict.rows
        ):
            self.samples.append(customer_ledger)
        for row in verdict.rows:
            row = await self._compare_rate(row)
            if row.kind != "payment" or (row.block_number or 0) <= self._scope.horizon:
                self.add(row)
        for payment in verdict.uncredited:
            await self.add_uncredited_payment(payment, customer_ledger)
        for payment in customer_ledger.payments:
            credits_ = verdict.credited.get(payment.identity, [])
            target = self.orders.target_of(payment, [credit.entry for credit in credits_], complete=False)
            if credits_ and target != customer_ledger.customer.id:
                self._add_redirected_payment(payment, credits_)
        self.grants += verdict.grants

    def _sum_other_credits(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if name := credit_of_other_system(entry, self._scope):
                self.other_credits[name].add(entry)

    def add_record(self, record: RecordName, entries: Sequence[Entry], *, requested: bool) -> None:
        """Add the entries of a bookkeeping record, and a row for each credit that does not belong on one."""
        self.bookkeeping_cents += sum(entry.cents for entry in entries if entry.currency == CURRENCY)
        for entry in entries if requested else ():
            if is_foreign_on_record(entry, record, self._scope):
                credit = Credit(entry, net_cents(entry, entries), "")
                self.add(judge_unexplained_credit(credit, f"the {record} record holds no such credits"))

    def sum_balances(self) -> dict[str, int | None]:
        """Sum the customers' balances, without and with the bookkeeping customers, who repeat every grant."""
        balances = [balance for balance in self.balances if balance is not None]
        is_known = len(balances) == len(self.balances)
        return {
            "ledgers": len(self.balances),
            "customers_cents": sum(balances) if is_known else None,
            "bookkeeping_cents": self.bookkeeping_cents,
            "with_bookkeeping_cents": sum(balances) + self.bookkeeping_cents if is_known else None,
        }

    async def add_uncredited_payment(self, payment: Payment, customer_ledger: CustomerLedger) -> None:
        """Add a payment that its own customer holds no credit for."""
        if not self._scope.is_shown(payment):
            return
        row = judge_uncredited(payment, customer_ledger, self.orders, self._scope)
        if row.status == Status.MISSING_CREDIT and not payment.quoted and await self._is_dust(payment):
            self.add(judge_uncredited(payment, customer_ledger, self.orders, self._scope, dust=True))
            return
        if self._scope.is_final(payment) and not customer_ledger.customer.state:
            customer = payment.customer_id or ""
            self.uncredited.setdefault((customer, payment.gateway), []).append(payment)
        self.open_payments[payment.identity] = OpenPayment(payment, row, [])

    def _add_redirected_payment(self, payment: Payment, credits_: Sequence[Credit]) -> None:
        if self._scope.is_shown(payment):
            target = self.orders.target_of(payment, [credit.entry for credit in credits_])
            row = judge_payment(payment, credits_, target, self._scope, self.orders)
            if row.rate_usd and row.rate_source != "quote":
                self._coverage.count("rates_not_checked")
            self.open_payments[payment.identity] = OpenPayment(payment, row, list(credits_))

    async def _is_dust(self, payment: Payment) -> bool:
        """Return whether a plain payment is worth less than a cent at an independent rate."""
        try:
            rate = await self._prices.rate_at(payment.time)
        except NoRate as error:
            self._coverage.missing.append(f"whether {payment.tx_hash} is worth a cent: {error}")
            return False
        return cents_down(payment.amount, rate.market, 0) == 0

    async def _compare_rate(self, row: Row) -> Row:
        """Compare the recorded rate of a row with an independent one, in a deep audit."""
        if not row.rate_usd or row.rate_source == "quote":
            return row
        if not self._scope.deep:
            self._coverage.count("rates_not_checked")
            return row
        try:
            independent = await self._prices.rate_at(_block_time(row))
        except NoRate:
            self._coverage.count("rates_not_checked")
            return row
        self._coverage.count("rates_checked")
        return out_of_band(row, int(Decimal(row.rate_usd or 0) * RATE_SCALE), independent.market)

    def find_row(self, payment: Payment) -> Row | None:
        """Return the row of a payment, or None."""
        key = fingerprint(payment.identity)
        return self.spool.get(key) if key in self.spool else None


def _block_time(row: Row) -> int:
    return int(datetime.fromisoformat(row.block_time_utc or "").timestamp())
