"""The audit from its beginning to its end. It ends in a report always: what could not be read is said in it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from chain.errors import ChainError
from chain.payment import Payment
from stateless_billing.audit.collector import Collector, IndependentPrices
from stateless_billing.audit.cross_customer_pass import CrossCustomerPass
from stateless_billing.audit.readers import customers as customers
from stateless_billing.audit.readers.chain import ZERO_ADDRESS, ChainFacts, ChainReader, Told
from stateless_billing.audit.readers.customers import AuditedCustomers
from stateless_billing.audit.readers.ledgers import ExpectedEntries, LedgerReader
from stateless_billing.audit.readers.stripe import MAX_CONCURRENT, Missing, StripeReader, StripeReadError
from stateless_billing.audit.report.report import Coverage, Options, Report, describe_scope
from stateless_billing.audit.report.row_spool import Spool
from stateless_billing.audit.rules.cross_customer import Acceptance
from stateless_billing.audit.rules.facts import AuditedCustomer, CustomerLedger, OrderIndex, Scope
from stateless_billing.audit.rules.grants import ReservedGrant, collect_reservations, judge_grants
from stateless_billing.audit.rules.listing_plan import find_break
from stateless_billing.domain import order_rules
from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe.client import PAGE_SIZE

MAX_FAULTS = 25  # after so many customers that could not be read, the rest is not tried


@dataclass(frozen=True, slots=True)
class Sources:
    """What an audit reads from. `announce` is told the cost before the reading starts, `told` how far it is.

    `stripe` counts the reads that the report is made of, `afterwards` is for what happened since its time.
    """

    chain: ChainReader
    stripe: StripeReader
    afterwards: StripeReader
    prices: IndependentPrices
    rate: int
    service_id: str
    live: bool
    on_progress: Told
    on_message: Callable[[str], None]


class Audit:
    """One audit."""

    def __init__(self, sources: Sources, options: Options, scope: Scope, accepted: Mapping[str, Acceptance]) -> None:
        self._sources, self._options, self.scope = sources, options, scope
        self._coverage = Coverage()
        self.collector = Collector(scope, self._coverage, sources.prices, accepted, Spool())
        self._chain = ChainFacts()

    async def run(self) -> Report:
        """Read, judge, and report."""
        try:
            self._chain = await self._read_chain()
            accounts = await self._read_accounts()
            await self._read_customers(accounts)
        except (ChainError, StripeReadError) as error:
            self._coverage.missing.append(str(error))
        return self._create_report()

    async def _read_chain(self) -> ChainFacts:
        self._sources.on_message("reading the chain: it costs Stripe nothing")
        if self._options.customer:
            return await self._sources.chain.read_customer(self._options.customer, self.scope.horizon)
        return await self._sources.chain.read_everything(self.scope.first_block, self.scope.horizon, self.scope.token)

    async def _read_accounts(self) -> AuditedCustomers:
        stripe = self._sources.stripe
        if self._options.customer:
            return await customers.read_customer(stripe, self._options.customer, self._sources.service_id)
        paid = [one for one in self._chain.payments if one != ZERO_ADDRESS]
        pages = max(1, -(-len(paid) // PAGE_SIZE))
        self._sources.on_message(f"listing the customers: {pages} Stripe reads or more, for {PAGE_SIZE} customers each")
        found, fault = await customers.read_customers(stripe, self.scope.time, self._sources.on_progress, lambda: paid)
        self._coverage.count("customers_listed", len(found.ids))
        if fault:
            raise StripeReadError(fault)
        return found

    async def _read_customers(self, accounts: AuditedCustomers) -> None:
        """Every customer that has something to be compared, then what needs all of them."""
        reserved, self.collector.orders = await self._read_bookkeeping(accounts)
        wanted = self._expected_entries(accounts, reserved.values())
        self._announce(len(wanted))
        await self._read_ledgers(accounts, wanted)
        for payment in self._chain.payments.get(ZERO_ADDRESS, ()):
            await self.collector.add_open_payment(payment, CustomerLedger(AuditedCustomer(ZERO_ADDRESS)))
        closing = CrossCustomerPass(self._sources.chain, self._sources.afterwards, self.scope, self.collector)
        await closing.judge_unmatched_credits(self._chain)
        for row in judge_grants(reserved, self.collector.grants):
            self.collector.add(row)
        await closing.judge_cursors(self._chain, accounts)
        await closing.judge_identities(self._chain, accounts)

    async def _read_ledgers(self, accounts: AuditedCustomers, wanted: Mapping[str, ExpectedEntries]) -> None:
        """Customers side by side; one that cannot be read is named, and the others go on."""
        reader = LedgerReader(self._sources.stripe, self.scope, self.collector.orders, self._coverage)
        queue, done = iter(sorted(wanted)), 0
        self._sources.on_progress("ledgers", done, len(wanted))

        async def read_next() -> None:
            nonlocal done
            for customer_id in queue:
                if len(self._coverage.missing) >= MAX_FAULTS:
                    return
                account = accounts.known.get(customer_id) or AuditedCustomer(customer_id)
                try:
                    book, judged = await reader.read(account, wanted[customer_id])
                    await self.collector.add_customer(book, judged, whole=self._options.customer in (None, customer_id))
                except StripeReadError as error:
                    self._coverage.missing.append(str(error))
                done += 1
                self._sources.on_progress("ledgers", done, len(wanted))

        await asyncio.gather(*(read_next() for _ in range(MAX_CONCURRENT)))
        if done < len(wanted):
            self._coverage.missing.append(f"{len(wanted) - done} more customers were not tried")

    def _is_known(self, payment: Payment) -> bool:
        """Whether entries that were read may be its credit: payments after the end asked for have theirs too."""
        return self.scope.is_shown(payment) or payment.time <= self.scope.time

    async def _read_bookkeeping(self, accounts: AuditedCustomers) -> tuple[dict[str, ReservedGrant], OrderIndex]:
        """The grants record, and what the service record says of payments."""
        record = await self._read_record(accounts.grants_id)
        orders = await self._read_record(accounts.service.id if accounts.service else None)
        causes = {}
        gateways = {one.address: one for one in self._sources.chain.gateways}
        for (address, index), cause in accounts.recorded_causes(gateways.values()).items():
            if self._options.customer or index < self._chain.counted.get(address, 0):
                causes[(await gateways[address].payment_at(index)).identity] = cause
        kept = {
            name: one for name, one in collect_reservations(record).items() if one.entry.created >= self.scope.start
        }
        return kept, index_orders(orders, causes)

    async def _read_record(self, customer_id: str | None) -> list[Entry]:
        if customer_id is None:
            return []
        try:
            found = await self._sources.stripe.list_entries(customer_id, 0, self.scope.time)
        except Missing as error:
            raise StripeReadError(f"the bookkeeping record {customer_id} is not there") from error
        if fault := find_break(found, opening=True):
            raise StripeReadError(f"the bookkeeping record {customer_id} does not add up: {fault}")
        return found

    def _expected_entries(
        self, accounts: AuditedCustomers, reserved: Iterable[ReservedGrant]
    ) -> dict[str, ExpectedEntries]:
        """The customers to be read, with what is to be found there beside their own payments' credits."""
        only = self._options.customer
        wanted: dict[str, ExpectedEntries] = defaultdict(ExpectedEntries)
        for customer, payments in self._chain.payments.items():
            if customer != ZERO_ADDRESS:
                wanted[customer].payments += [one for one in self._chain.payments_of(customer) if self._is_known(one)]
            for one in payments:
                for place in self.collector.orders.named.get(one.identity, ()):
                    if place != customer:
                        wanted[place].redirected.append(one)
        if self.scope.deep or only:
            wanted |= {one: ExpectedEntries() for one in accounts.ids if one not in wanted}
        for reservation in reserved:
            target = reservation.reservation.customer
            if not only or target == only:
                wanted[target].grants.append(reservation.entry)
        return wanted

    def _announce(self, ledgers: int) -> None:
        which = "every entry of every customer" if self.scope.deep else "the credits of every payment"
        self._sources.on_message(
            f"reading {which}: {ledgers} Stripe reads or more, one for each ledger or {PAGE_SIZE} entries of it;"
            f" at {self._sources.rate} a second that takes {-(-ledgers // self._sources.rate)} s or more"
        )

    def _create_report(self) -> Report:
        chain = self._chain
        if chain.received != chain.paid + chain.straight and not self._options.customer:
            self._coverage.missing.append("the treasury's transfers do not add up to the payments")
        hosts = [one.name for one in self._sources.chain.nodes.each]
        self._coverage.facts = describe_scope(self.scope, hosts, self._sources.chain.codes, live=self._sources.live)
        self._coverage.count("stripe_reads", self._sources.stripe.reads)
        totals = {
            "payments_read": chain.total,
            "payments_counted": dict(chain.counted),
            "paid_raw": str(chain.paid),
            "treasury_received_raw": None if self._options.customer else str(chain.received),
            "sent_straight_raw": None if self._options.customer else str(chain.straight),
        }
        return Report(self._options, self._coverage, self.collector.spool, self.scope, totals)


def index_orders(record: Sequence[Entry], causes: Mapping[str, str]) -> OrderIndex:
    """What the service record says of payments: orders that stand, and all customers that any order ever named."""
    rows = order_rules.parse_all(record)
    payments = {one.payment for one in rows}
    standing = {one: order_rules.effective_order(one, rows) for one in payments}
    return OrderIndex(
        redirects={one: order.target for one, order in standing.items() if order and order.target},
        causes=causes,
        named={one: order_rules.find_named_customers(one, record) for one in payments},
        rows=tuple(rows),
    )
