"""Collects verdicts as the customers come in; what waits for the other customers waits here."""

from collections.abc import Mapping, Sequence
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
from stateless_billing.audit.rules.facts import CustomerLedger, OrderIndex, Scope
from stateless_billing.audit.rules.payments import Credit, CustomerVerdict, judge_payment, judge_uncredited
from stateless_billing.audit.rules.rows import Row, fingerprint, format_utc
from stateless_billing.audit.rules.statuses import Status
from stateless_billing.domain.money import RATE_SCALE, Rate, cents_down
from stateless_billing.pricing.rates import NoRate

_SAMPLES = 3


class IndependentPrices(Protocol):
    """An independent price."""

    async def rate_at(self, time: int) -> Rate:
        """The market rate at a block's time. Raises NoRate."""
        ...


class Collector:
    """Rows that are settled go into the spool at once."""

    def __init__(
        self,
        scope: Scope,
        coverage: Coverage,
        prices: IndependentPrices,
        accepted: Mapping[str, Acceptance],
        spool: Spool,
    ) -> None:
        self._scope, self._coverage, self._prices, self._accepted = scope, coverage, prices, accepted
        self.spool = spool
        self.orders = OrderIndex()
        self.open_payments: dict[str, OpenPayment] = {}
        self.unmatched_credits: list[Credit] = []
        self.grants: list[Credit] = []
        self.uncredited: dict[tuple[str, str], list[Payment]] = {}
        self.samples: list[CustomerLedger] = []
        self.deleted_customers: set[str] = set()

    def add(self, row: Row) -> None:
        """A row of the report."""
        self.spool.add(apply_acceptance(row, self._accepted, format_utc(self._scope.time)[:10]))

    async def add_customer(self, book: CustomerLedger, judged: CustomerVerdict, *, whole: bool) -> None:
        """One customer that was read; not `whole` where only the credits redirected to it are of interest."""
        if book.account.state:
            self.deleted_customers.add(book.account.id)
        if not whole:
            self.unmatched_credits += [one for one in judged.strays if claimed_identity(one) in self.orders.named]
            return
        self.unmatched_credits += judged.strays
        if len(self.samples) < _SAMPLES and any(row.status == Status.MATCHED and row.stripe_txn for row in judged.rows):
            self.samples.append(book)
        for row in judged.rows:
            if self._scope.deep and row.rate_usd and row.rate_source != "quote":
                row = await self._rated(row)
            if row.kind != "payment" or (row.block_number or 0) <= self._scope.horizon:
                self.add(row)
        for payment in judged.open:
            await self.add_open_payment(payment, book)
        for payment in book.payments:
            found = judged.credited.get(payment.identity)
            if (
                found
                and self.orders.target_of(payment, [one.entry for one in found], complete=False) != book.account.id
            ):
                self._redirected(payment, found)
        self.grants += judged.grants

    async def add_open_payment(self, payment: Payment, book: CustomerLedger) -> None:
        """A payment without a credit on its own customer."""
        if not self._scope.is_shown(payment):
            return
        row = judge_uncredited(payment, book, self.orders, self._scope)
        if row.status == Status.MISSING_CREDIT and not payment.quoted and await self._is_dust(payment):
            self.add(judge_uncredited(payment, book, self.orders, self._scope, dust=True))
            return
        if self._scope.is_final(payment) and not book.account.state:
            customer = payment.customer_id or ""
            self.uncredited.setdefault((customer, payment.gateway), []).append(payment)
        self.open_payments[payment.identity] = OpenPayment(payment, row, [])

    def _redirected(self, payment: Payment, found: Sequence[Credit]) -> None:
        if self._scope.is_shown(payment):
            target = self.orders.target_of(payment, [one.entry for one in found])
            row = judge_payment(payment, found, target, self._scope)
            self.open_payments[payment.identity] = OpenPayment(payment, row, list(found))

    async def _is_dust(self, payment: Payment) -> bool:
        """Whether a plain payment is worth less than a cent, by an independent rate."""
        try:
            rate = await self._prices.rate_at(payment.time)
        except NoRate as error:
            self._coverage.missing.append(f"whether {payment.tx_hash} is worth a cent: {error}")
            return False
        return cents_down(payment.amount, rate.market, 0) == 0

    async def _rated(self, row: Row) -> Row:
        """The row, compared with an independent rate."""
        try:
            independent = await self._prices.rate_at(_seconds_of(row))
        except NoRate:
            self._coverage.count("rates_not_checked")
            return row
        self._coverage.count("rates_checked")
        return out_of_band(row, int(Decimal(row.rate_usd or 0) * RATE_SCALE), independent.market)

    def is_known(self, payment: Payment) -> Row | None:
        """The row of a payment, where there is one."""
        name = fingerprint(payment.identity)
        return self.spool.get(name) if name in self.spool else None


def _seconds_of(row: Row) -> int:
    return int(datetime.fromisoformat(row.block_time_utc or "").timestamp())
