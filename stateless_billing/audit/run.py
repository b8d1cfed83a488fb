"""Runs one audit from start to report.

A failed source makes the report incomplete but never prevents it.
"""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from chain.errors import ChainError
from chain.payment import Payment
from stateless_billing.audit.collector import Collector, IndependentPrices
from stateless_billing.audit.cross_customer_pass import CrossCustomerPass
from stateless_billing.audit.readers import customers as customer_reader
from stateless_billing.audit.readers.chain import NO_CUSTOMER, ChainFacts, ChainReader, ProgressCallback
from stateless_billing.audit.readers.customers import AuditedCustomers
from stateless_billing.audit.readers.ledgers import ExpectedEntries, LedgerReader
from stateless_billing.audit.readers.stripe import MAX_CONCURRENT, StripeObjectNotFound, StripeReader, StripeReadError
from stateless_billing.audit.readers.treasury import TreasuryReader
from stateless_billing.audit.report import limits
from stateless_billing.audit.report.report import Coverage, Options, Report, describe_sources
from stateless_billing.audit.report.row_spool import Spool
from stateless_billing.audit.rules.cross_customer import Acceptance
from stateless_billing.audit.rules.facts import AuditedCustomer, CustomerLedger, OrderIndex, RecordName, Scope
from stateless_billing.audit.rules.grants import ReservedGrant, collect_reservations, judge_grants
from stateless_billing.audit.rules.listing_plan import find_break
from stateless_billing.audit.rules.statuses import Status
from stateless_billing.domain import order_rules
from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe.client import PAGE_SIZE

MAX_READ_FAILURES = 25  # customers that may fail before the remaining ones are skipped


@dataclass(frozen=True, slots=True)
class Sources:
    """What an audit reads from. `on_message` receives the cost of a stage before it starts.

    `stripe` counts the reads behind the report. `uncounted_stripe` reads what happened after the report's time.
    """

    chain: ChainReader
    stripe: StripeReader
    uncounted_stripe: StripeReader
    prices: IndependentPrices
    stripe_rate: int
    service_customer_id: str
    live: bool
    on_progress: ProgressCallback
    on_message: Callable[[str], None]


class Audit:
    """One run of the audit."""

    def __init__(self, sources: Sources, options: Options, scope: Scope, accepted: Mapping[str, Acceptance]) -> None:
        self._sources = sources
        self._options = options
        self.scope = scope
        self._coverage = Coverage()
        self.collector = Collector(scope, self._coverage, sources.prices, accepted, Spool())
        self._chain = ChainFacts()
        self._treasury: dict[str, Any] | None = None

    async def run(self) -> Report:
        """Read the sources, judge them and create the report."""
        try:
            self._chain = await self._read_chain()
            await self._read_treasury()
            customers = await self._list_customers()
            await self._read_customers(customers)
        except (ChainError, StripeReadError) as error:
            self._coverage.missing.append(str(error))
        return self._create_report()

    async def _read_chain(self) -> ChainFacts:
        self._sources.on_message("reading the chain, without any Stripe reads")
        if self._options.customer:
            return await self._sources.chain.read_customer(self._options.customer, self.scope.horizon)
        return await self._sources.chain.read_everything(self.scope.first_block, self.scope.horizon, self.scope.token)

    async def _read_treasury(self) -> None:
        """Account for the treasury's transfers, if the options ask for it. A failure leaves the rest of the report."""
        if not self.scope.treasuries:
            return
        sources = self._sources
        nodes = sources.chain.nodes.without_pauses()  # the reader asks again itself, for fewer blocks
        reader = TreasuryReader(nodes, self.scope, sources.on_progress, sources.on_message)
        payments = self._chain.payments.each()
        try:
            report = await reader.create_report(payments, self._options.treasury_opening)
        except ChainError as error:
            self._coverage.missing.append(f"the transfers of the treasury: {error}")
            return
        self._treasury = report.totals
        for row in report.rows:
            self.collector.add(row)

    async def _list_customers(self) -> AuditedCustomers:
        stripe = self._sources.stripe
        if self._options.customer:
            return await customer_reader.read_customer(
                stripe, self._options.customer, self._sources.service_customer_id
            )
        paid_ids = [customer_id for customer_id in self._chain.payments if customer_id != NO_CUSTOMER]
        pages = max(1, -(-len(paid_ids) // PAGE_SIZE))
        self._sources.on_message(f"listing the customers: {pages} Stripe reads or more, one per {PAGE_SIZE} customers")
        customers, fault = await customer_reader.read_customers(
            stripe, self.scope.time, self._sources.on_progress, lambda: paid_ids, self._sources.service_customer_id
        )
        self._coverage.count("customers_listed", len(customers.ids))
        if fault:
            raise StripeReadError(fault)
        return customers

    async def _read_customers(self, customers: AuditedCustomers) -> None:
        """Judge every customer with something to compare, then what spans several customers."""
        reservations, self.collector.orders = await self._read_bookkeeping(customers)
        await self._read_ledgers(customers, await self._expected_entries(customers, reservations.values()))
        for payment in self._chain.payments.get(NO_CUSTOMER, ()):
            await self.collector.add_uncredited_payment(payment, CustomerLedger(AuditedCustomer(NO_CUSTOMER)))
        cross_customer = CrossCustomerPass(
            self._sources.chain, self._sources.uncounted_stripe, self.scope, self.collector, self._options.customer
        )
        await cross_customer.judge_unmatched_credits(self._chain)
        self._judge_grants(reservations, customers)
        await cross_customer.judge_cursors(self._chain, customers)
        await cross_customer.judge_identities(self._chain, customers)

    async def _read_ledgers(self, customers: AuditedCustomers, expected: Mapping[str, ExpectedEntries]) -> None:
        """Read the customers concurrently.

        A customer that fails is recorded as not read, and the others continue.
        """
        self._report_expected_reads(len(expected))
        stripe, uncounted = self._sources.stripe, self._sources.uncounted_stripe
        reader = LedgerReader(stripe, uncounted, self.scope, self.collector.orders, self._coverage)
        queue = iter(sorted(expected))
        done = 0
        self._sources.on_progress("ledgers", done, len(expected))

        async def read_next() -> None:
            nonlocal done
            for customer_id in queue:
                if len(self._coverage.missing) >= MAX_READ_FAILURES:
                    return
                customer = customers.by_id.get(customer_id) or AuditedCustomer(customer_id)
                try:
                    expected_entries = self._with_payments(customer_id, expected[customer_id])
                    customer_ledger, verdict = await reader.read(customer, expected_entries)
                    await self.collector.add_customer(
                        customer_ledger, verdict, requested=self._options.customer in (None, customer_id)
                    )
                except StripeReadError as error:
                    self._coverage.missing.append(str(error))
                done += 1
                self._sources.on_progress("ledgers", done, len(expected))

        await asyncio.gather(*(read_next() for _ in range(MAX_CONCURRENT)))
        if done < len(expected):
            self._coverage.missing.append(f"{len(expected) - done} more customers were skipped")

    def _may_be_credited(self, payment: Payment) -> bool:
        """Return whether entries up to the report's time may credit a payment."""
        return self.scope.is_shown(payment) or payment.time <= self.scope.time

    async def _read_bookkeeping(self, customers: AuditedCustomers) -> tuple[dict[str, ReservedGrant], OrderIndex]:
        """Read the grants record, and the orders and causes on the service record."""
        record = await self._read_record("grants", customers.grants_id)
        orders = await self._read_record("service", customers.service.id if customers.service else None)
        causes: dict[str, str] = {}
        open_customers: dict[tuple[str, str], tuple[int, str]] = {}
        gateways = {gateway.address: gateway for gateway in self._sources.chain.gateways}
        for address, opened in customers.open_payments(gateways.values()).items():
            for index, cause in opened.causes.items():
                if self._options.customer or index < self._chain.counted.get(address, 0):
                    causes[(await gateways[address].payment_at(index)).identity] = cause
            for customer_id, entry in opened.customers.items():
                open_customers[address, customer_id] = entry.sequence, entry.cause
        return collect_reservations(record), index_orders(orders, causes, open_customers)

    async def _read_record(self, name: RecordName, customer_id: str | None) -> list[Entry]:
        if customer_id is None:
            return []
        try:
            entries = await self._sources.stripe.list_entries(customer_id, 0, self.scope.time)
        except StripeObjectNotFound as error:
            raise StripeReadError(f"the bookkeeping record {customer_id} does not exist") from error
        if flaw := find_break(entries, starts_at_zero=True):
            raise StripeReadError(f"the bookkeeping record {customer_id} does not add up: {flaw}")
        self.collector.add_record(name, entries, requested=self._options.customer is None)
        return entries

    async def _expected_entries(
        self, customers: AuditedCustomers, reservations: Iterable[ReservedGrant]
    ) -> dict[str, ExpectedEntries]:
        """Return the customers to read, each with the entries expected on it but for its own payments' credits."""
        only = self._options.customer
        redirected: dict[str, list[Payment]] = defaultdict(list)
        grants: dict[str, list[Entry]] = defaultdict(list)
        for payment in (await self._chain.find(set(self.collector.orders.named_customers), later=False)).values():
            for named in self.collector.orders.named_customers[payment.identity]:
                if named != (payment.customer_id or NO_CUSTOMER):
                    redirected[named].append(payment)
        for reserved in reservations:
            if self._is_in_report(reserved):
                grants[reserved.reservation.customer].append(reserved.entry)
        every = itertools.chain(self._chain.payments, customers.ids if self.scope.deep or only else ())
        expected = dict.fromkeys(every, ExpectedEntries())
        expected.pop(NO_CUSTOMER, None)
        for customer in redirected.keys() | grants.keys():
            expected[customer] = ExpectedEntries(redirected=redirected[customer], grants=grants[customer])
        return expected

    def _with_payments(self, customer_id: str, expected: ExpectedEntries) -> ExpectedEntries:
        """Add the customer's own payments, if it has any up to the report's last block."""
        own = self._chain.payments.get(customer_id)
        if not own:
            return expected
        every = [*own, *self._chain.later.get(customer_id, ())]
        return replace(expected, payments=[*filter(self._may_be_credited, every)])

    def _is_in_report(self, reserved: ReservedGrant) -> bool:
        """Return whether a reservation lies in the range of the report and is of its customer."""
        only = self._options.customer
        return reserved.entry.created >= self.scope.start and only in (None, reserved.reservation.customer)

    def _judge_grants(self, reservations: Mapping[str, ReservedGrant], customers: AuditedCustomers) -> None:
        """Judge the grants, and the reservations of the customers that were read.

        A report of one customer does not find the records itself, and judges nothing by records that it did not read.
        """
        collector = self.collector
        if self._options.customer and customers.service is None:
            statuses = collector.spool.totals.statuses
            if collector.grants or statuses[Status.MISSING_CREDIT] or statuses[Status.WRONG_CUSTOMER]:
                self._coverage.missing.append(
                    "the service record, which says what was granted, held and redirected: set SERVICE_CUSTOMER_ID"
                )
            return
        awaited = {
            grant
            for grant, reserved in reservations.items()
            if self._is_in_report(reserved) and reserved.reservation.customer in collector.read_customers
        }
        for row in judge_grants(
            reservations,
            collector.grants,
            awaited=awaited,
            deleted=collector.deleted_customers,
            time=self.scope.time,
        ):
            collector.add(row)

    def _report_expected_reads(self, ledgers: int) -> None:
        rate = self._sources.stripe_rate
        self._sources.on_message(limits.describe_cost(ledgers, rate, deep=self.scope.deep))

    def _create_report(self) -> Report:
        chain = self._chain
        if chain.received != chain.paid + chain.sent_straight and not self._options.customer:
            self._coverage.missing.append("the treasury's transfers do not add up to the payments")
        hosts = [node.name for node in self._sources.chain.nodes.providers]
        self._coverage.facts = describe_sources(self.scope, hosts, self._sources.chain.codes, live=self._sources.live)
        self._coverage.count("stripe_reads", self._sources.stripe.reads)
        self._coverage.facts["scope"] = limits.describe_scope(self._options, self._coverage.counts)
        totals = {
            "payments_read": chain.total,
            "payments_counted": dict(chain.counted),
            "paid_raw": str(chain.paid),
            "treasury_received_raw": None if self._options.customer else str(chain.received),
            "sent_straight_raw": None if self._options.customer else str(chain.sent_straight),
            "other_credits": {name: asdict(each) for name, each in self.collector.other_credits.items()},
            "balances": None if self._options.customer else self.collector.sum_balances(),
            "treasury": self._treasury,
        }
        return Report(self._options, self._coverage, self.collector.spool, self.scope, totals)


def index_orders(
    record: Sequence[Entry],
    causes: Mapping[str, str],
    open_customers: Mapping[tuple[str, str], tuple[int, str]] | None = None,
) -> OrderIndex:
    """Index the orders of the service record by payment, with all customers they named."""
    orders = order_rules.parse_all(record)
    payments = {order.payment for order in orders}
    effective = {payment: order_rules.effective_order(payment, orders) for payment in payments}
    return OrderIndex(
        redirects={payment: order.target for payment, order in effective.items() if order and order.target},
        causes=causes,
        open_customers=open_customers or {},
        named_customers={payment: order_rules.find_named_customers(payment, record) for payment in payments},
        orders=tuple(orders),
    )
