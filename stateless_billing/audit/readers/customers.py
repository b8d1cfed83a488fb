"""The customers as the audit needs them: wallets, cursors, and the two bookkeeping records."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from chain.gateway import Gateway
from stateless_billing.audit.readers.chain import Told
from stateless_billing.audit.readers.stripe import StripeReader, StripeReadError
from stateless_billing.audit.rules.facts import CURSOR, WALLET_KEY, AuditedCustomer
from stateless_billing.bookkeeping import records
from stateless_billing.stripe.eligibility import find_obstacle
from stateless_billing.stripe.objects import Customer

READ_SEPARATELY = 200


@dataclass(slots=True)
class AuditedCustomers:
    """All that the list of customers showed: `known` by ID, the IDs of all, the bookkeeping records."""

    known: dict[str, AuditedCustomer] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    service: Customer | None = None
    grants_id: str | None = None

    def add(self, customer: Customer) -> None:
        """Keep what matters of one customer."""
        mark = customer.value(records.RECORD_MARKER)
        if mark in ("service", "grants"):
            if mark == "service" and (self.service is None or customer.created <= self.service.created):
                self.service, self.grants_id = customer, customer.value("grants")
            return
        self.ids.append(customer.id)
        self.known[customer.id] = audited_customer(customer)

    def claims(self) -> dict[str, list[str]]:
        """The customers that name each wallet as theirs."""
        found: dict[str, list[str]] = {}
        for one in self.known.values():
            if one.wallet:
                found.setdefault(one.wallet, []).append(one.id)
        return found

    def recorded_causes(self, gateways: Iterable[Gateway]) -> dict[tuple[str, int], str]:
        """Why the sweep left final payments open, by gateway and place in its index."""
        if self.service is None:
            return {}
        return {
            (gateway.address, index): cause
            for gateway in gateways
            for index, cause in records.parse_open_payments(self.service, gateway).items()
        }


def audited_customer(customer: Customer) -> AuditedCustomer:
    """What is kept of a customer."""
    if customer.deleted:
        return AuditedCustomer(customer.id, state="customer_deleted")
    metadata = customer.metadata or {}
    cursors = {name: value for name, value in metadata.items() if CURSOR.fullmatch(name)}
    wallet = (customer.value(WALLET_KEY) or "").strip().lower() or None
    return AuditedCustomer(customer.id, wallet, customer.currency, cursors, obstacle=find_obstacle(customer))


async def read_customers(
    stripe: StripeReader, until: int | None, on_progress: Told, wanted: Callable[[], Iterable[str]]
) -> tuple[AuditedCustomers, str]:
    """All customers, and those `wanted` that the list does not show, each by itself; why the list is not to be trusted.

    A wanted customer that lives but is not in the list proves that the list left something out.
    """
    found, fault = AuditedCustomers(), ""
    async for page in stripe.list_customers(until):
        for one in page:
            found.add(one)
        on_progress("customers", len(found.ids), 0)
    bookkept = {found.service.id if found.service else "", found.grants_id or ""}
    for customer_id in sorted(set(wanted()) - found.known.keys() - bookkept)[:READ_SEPARATELY]:
        alone = await stripe.get_customer(customer_id)
        gone = AuditedCustomer(customer_id, state="customer_invalid")
        found.known[customer_id] = gone if alone is None else audited_customer(alone)
        # Stripe's lists leave out the customers of test clocks.
        listed = alone is not None and not alone.deleted and not alone.test_clock
        if alone is not None and listed and (until is None or alone.created <= until):
            fault = f"the list of customers does not show {customer_id}, which is there"
    return found, fault


async def read_customer(stripe: StripeReader, customer_id: str, service_id: str) -> AuditedCustomers:
    """One customer, and the bookkeeping records where the settings name them."""
    found = AuditedCustomers()
    for one in (customer_id, service_id):
        if one and (read_ := await stripe.get_customer(one)):
            found.add(read_)
    if customer_id not in found.known:
        raise StripeReadError(f"Stripe knows no customer {customer_id}")
    return found
