"""Reads the customers with their wallets and cursors, and the two bookkeeping records."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from chain.gateway import Gateway
from stateless_billing.audit.readers.chain import ProgressCallback, in_turns
from stateless_billing.audit.readers.stripe import StripeReader, StripeReadError
from stateless_billing.audit.report.disk_table import DiskTable
from stateless_billing.audit.rules.facts import CURSOR, WALLET_KEY, AuditedCustomer
from stateless_billing.bookkeeping import records
from stateless_billing.bookkeeping.records import OpenPayments
from stateless_billing.domain.ledger import CURRENCY
from stateless_billing.stripe.eligibility import find_obstacle
from stateless_billing.stripe.objects import Customer

MAX_SINGLE_READS = 200  # unlisted customers that are read one by one


class CustomersOnDisk(Mapping[str, AuditedCustomer]):
    """Customers by ID, in the order in which they came, on disk: none of them is kept in memory."""

    def __init__(self) -> None:
        self._table = DiskTable()

    def put(self, customer: AuditedCustomer) -> None:
        """Add a customer, or replace the one with its ID."""
        self._table.put(customer.id, b"", msgspec.json.encode(customer))

    def __getitem__(self, customer_id: str) -> AuditedCustomer:
        value = self._table.get(customer_id)
        if value is None:
            raise KeyError(customer_id)
        return msgspec.json.decode(value, type=AuditedCustomer)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.names())

    def __len__(self) -> int:
        return len(self._table)


@dataclass(slots=True)
class AuditedCustomers:
    """The customers by ID, the IDs that the list showed, and the bookkeeping records.

    `marked` are the customers that say that they are a record: whoever can write to Stripe can make them say so.
    """

    by_id: CustomersOnDisk = field(default_factory=CustomersOnDisk)
    ids: list[str] = field(default_factory=list)
    marked: list[Customer] = field(default_factory=list)
    service: Customer | None = None

    @property
    def grants_id(self) -> str | None:
        """The grants record, as the service record names it."""
        return self.service.value("grants") if self.service else None

    def add(self, customer: Customer) -> None:
        """Add a listed customer, or note it as one that may be a bookkeeping record."""
        if customer.value(records.RECORD_MARKER) in ("service", "grants"):
            self.marked.append(customer)
            return
        self.ids.append(customer.id)
        self.by_id.put(audited_customer(customer))

    def settle_records(self, service_id: str) -> None:
        """Find the two records among the marked customers, and add all others as what they are.

        The service record is the one of the settings, if they name a marked one, else the oldest.
        """
        services = [customer for customer in self.marked if customer.value(records.RECORD_MARKER) == "service"]
        services.sort(key=lambda customer: (customer.id != service_id, customer.created, customer.id))
        self.service = next(iter(services), None)
        record_ids = {self.service.id if self.service else "", self.grants_id}
        for customer in self.marked:
            if customer.id not in record_ids:
                self.ids.append(customer.id)
                self.by_id.put(audited_customer(customer))

    async def customers_by_wallet(self) -> dict[str, tuple[str, ...]]:
        """Return the IDs of the customers that claim each wallet."""
        claims: dict[str, tuple[str, ...]] = {}
        async for customer in in_turns(self.by_id.values()):
            if customer.wallet:
                claims[customer.wallet] = (*claims.get(customer.wallet, ()), customer.id)
        return claims

    def open_payments(self, gateways: Iterable[Gateway]) -> dict[str, OpenPayments]:
        """Return what the sweep left open, by gateway."""
        if self.service is None:
            return {}
        return {gateway.address: records.parse_open_payments(self.service, gateway) for gateway in gateways}


def audited_customer(customer: Customer) -> AuditedCustomer:
    """Reduce a Stripe customer to what the audit needs."""
    if customer.deleted:
        return AuditedCustomer(customer.id, state="customer_deleted")
    metadata = customer.metadata or {}
    cursors = {name: value for name, value in metadata.items() if CURSOR.fullmatch(name)}
    wallet = (customer.value(WALLET_KEY) or "").strip().lower() or None
    cents = customer.balance_cents if customer.currency == CURRENCY and not customer.test_clock else None
    obstacle = find_obstacle(customer)
    return AuditedCustomer(customer.id, wallet, customer.currency, cursors, obstacle=obstacle, listed_cents=cents)


async def read_customers(
    stripe: StripeReader,
    until: int | None,
    on_progress: ProgressCallback,
    expected_ids: Callable[[], Iterable[str]],
    service_id: str,
) -> tuple[AuditedCustomers, str]:
    """List all customers and read the expected but unlisted ones singly.

    `service_id` is the service record, if the settings name it. Also return what is wrong with the list: an expected
    customer that exists but was not listed proves that the list is incomplete.
    """
    customers = AuditedCustomers()
    fault = ""
    async for page in stripe.list_customers(until):
        for customer in page:
            customers.add(customer)
        on_progress("customers", len(customers.ids), 0)
    customers.settle_records(service_id)
    record_ids = {customers.service.id if customers.service else "", customers.grants_id or ""}
    for customer_id in sorted(set(expected_ids()).difference(customers.by_id, record_ids))[:MAX_SINGLE_READS]:
        single = await stripe.get_customer(customer_id)
        unknown = AuditedCustomer(customer_id, state="customer_invalid")
        customers.by_id.put(unknown if single is None else audited_customer(single))
        # Stripe's lists omit the customers of test clocks.
        is_listable = single is not None and not single.deleted and not single.test_clock
        if single is not None and is_listable and (until is None or single.created <= until):
            fault = f"the list of customers omits {customer_id}, which exists"
    return customers, fault


async def read_customer(stripe: StripeReader, customer_id: str, service_id: str) -> AuditedCustomers:
    """Read one customer, and the service record if the settings name it.

    Raises: StripeReadError.
    """
    customers = AuditedCustomers()
    for requested_id in (customer_id, service_id):
        if requested_id and (customer := await stripe.get_customer(requested_id)):
            customers.add(customer)
    customers.settle_records(service_id)
    if customer_id not in customers.by_id:
        raise StripeReadError(f"Stripe has no customer {customer_id}")
    return customers
