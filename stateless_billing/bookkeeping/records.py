"""The two bookkeeping customers in Stripe: the service record and the grants record.

They prove that the API key belongs to the right account. The service record also stores the sweep's progress.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from chain.gateway import Gateway
from chain.signatures import keccak_of_text
from stateless_billing.stripe.client import StripeApi, StripeSession
from stateless_billing.stripe.errors import KeyReusedDifferently, RequestRejected, StripeUnavailable
from stateless_billing.stripe.lookups import search_metadata
from stateless_billing.stripe.objects import WALLET, Customer

RECORD_MARKER = "stateless_billing"
_GRANTS_DESCRIPTION = "Grants ledger of the billing service"
_SERVICE_DESCRIPTION = "Service record of the billing service"
_MAX_DELETED = 20
MAX_OPEN = 15
"""Keys of open payments, of all gateways together: Stripe allows 50 keys on a customer."""

_OPEN_CUSTOMER = re.compile(r"(cus_[0-9A-Za-z]{1,28}):([0-9]{1,18}):(\w+)")


@dataclass(frozen=True, slots=True)
class OpenCustomer:
    """All final payments of a customer from `sequence` on are open; `cause` is that of the first."""

    sequence: int
    cause: str


@dataclass(slots=True)
class OpenPayments:
    """A gateway's final payments before `swept` that are not credited yet.

    `causes` maps an index to its cause: of payments without a customer, and of records of an earlier version.
    """

    customers: dict[str, OpenCustomer] = field(default_factory=dict)
    causes: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.customers) + len(self.causes)

    def is_key_taken(self, customer_id: str) -> bool:
        """Whether another customer has this customer's key: only 8 digits of the hash are in it."""
        digits = _open_customer_digits(customer_id)
        return any(_open_customer_digits(other) == digits for other in self.customers if other != customer_id)

    def copy(self) -> "OpenPayments":
        """Return an independent copy."""
        return OpenPayments(dict(self.customers), dict(self.causes))


async def find_wallet_holders(session: StripeSession, wallet: str) -> list[Customer]:
    """Search for the customers that have a lower-case wallet. The bookkeeping customers never count.

    Raises: StripeFailure.
    """
    holders = await search_metadata(session, WALLET, wallet)
    return [customer for customer in holders if customer.value(RECORD_MARKER) is None]


async def get_paying_customer(stripe: StripeApi, customer_id: str) -> Customer | None:
    """Get a customer; None if it does not exist, was deleted or is a bookkeeping record.

    Raises: StripeFailure.
    """
    async with stripe.session() as session:
        try:
            customer = await session.get_customer(customer_id)
        except RequestRejected as error:
            if error.code != "resource_missing":
                raise
            return None
    return None if customer.deleted or customer.value(RECORD_MARKER) else customer


class NotOurAccount(Exception):
    """The Stripe account lacks our bookkeeping customers, or the key may not read them."""


class ServiceRecords:
    """The service record and the grants record."""

    def __init__(self, stripe: StripeApi, service_id: str) -> None:
        self._stripe = stripe
        self.service_id = service_id
        self.grants_id = ""

    async def load(self) -> Customer:
        """Read both records and return the service record.

        Raises: NotOurAccount; StripeFailure if Stripe could not be read.
        """
        async with self._stripe.session() as session:
            try:
                service = await session.get_customer(self.service_id)
                if service.value(RECORD_MARKER) != "service":
                    raise NotOurAccount(f"SERVICE_CUSTOMER_ID {self.service_id} is not a service record")
                grants_id = service.value("grants") or ""
                grants = await session.get_customer(grants_id)
            except RequestRejected as error:
                raise NotOurAccount(f"a bookkeeping customer is not in this Stripe account: {error}") from error
        if grants.value(RECORD_MARKER) != "grants":
            raise NotOurAccount(f"the service record names {grants_id}, which is not the grants record")
        self.grants_id = grants_id
        return service

    async def update(self, values: dict[str, str]) -> None:
        """Merge values into the service record; an empty value removes its key.

        Raises: StripeFailure.
        """
        async with self._stripe.session() as session:
            await session.set_metadata(self.service_id, values)


async def create_records(stripe: StripeApi) -> str:
    """Create the bookkeeping customers unless they exist; return the service record's ID.

    What is missing or deleted is made anew. A service record whose grants record is gone gets a new one.

    Raises: StripeFailure.
    """
    async with stripe.session() as session:
        existing = await search_metadata(session, RECORD_MARKER, "service")
        for record in sorted(existing, key=lambda record: (record.created, record.id)):
            service = await session.get_customer(record.id)  # search shows deleted ones for a while
            if service.deleted:
                continue
            if not await _is_living(session, service.value("grants")):
                grants = await _create_living(session, _GRANTS_DESCRIPTION, {RECORD_MARKER: "grants"}, "init:grants")
                # Guarded: it leaves over the connection that read, or not at all.
                await session.set_metadata(service.id, {"grants": grants}, lambda _: True)
            return service.id
        grants = await _create_living(session, _GRANTS_DESCRIPTION, {RECORD_MARKER: "grants"}, "init:grants")
        metadata = {RECORD_MARKER: "service", "grants": grants}
        return await _create_living(session, _SERVICE_DESCRIPTION, metadata, "init:service")


async def _create_living(session: StripeSession, description: str, metadata: dict[str, str], key: str) -> str:
    """Create a bookkeeping customer, or return the one that a run of the last day created.

    Under its key Stripe repeats its first answer for a day, also after the customer was deleted, and refuses another
    grants record under it. The next key names what was deleted, or that grants record, so that concurrent runs agree.
    """
    try:
        customer_id = await session.create_customer(description, metadata, key)
    except KeyReusedDifferently:
        key = f"{key}:{metadata['grants']}"
        customer_id = await session.create_customer(description, metadata, key)
    for _ in range(_MAX_DELETED):
        if await _is_living(session, customer_id):
            return customer_id
        customer_id = await session.create_customer(description, metadata, f"{key}:{customer_id}")
    raise StripeUnavailable(f"{_MAX_DELETED} bookkeeping customers in a row were deleted within a day")


async def _is_living(session: StripeSession, customer_id: str | None) -> bool:
    if not customer_id:
        return False
    try:
        return not (await session.get_customer(customer_id)).deleted
    except RequestRejected as error:
        if error.code != "resource_missing":
            raise
        return False


def swept_key(gateway: Gateway) -> str:
    """Return the key of a gateway's `swept` index, before which all payments are done."""
    return f"swept:{gateway.chain_id}:{gateway.address_prefix}"


def open_customer_key(gateway: Gateway, customer_id: str) -> str:
    """Return the key of a customer's open payments."""
    return f"{_open_prefix(gateway)}{_open_customer_digits(customer_id)}"


@lru_cache(1_000)
def _open_customer_digits(customer_id: str) -> str:
    return keccak_of_text(customer_id).hex()[:8]


def open_index_key(gateway: Gateway, index: int) -> str:
    """Return the key of one open payment without a customer."""
    return f"{_open_prefix(gateway)}{index}"


def _open_prefix(gateway: Gateway) -> str:
    return f"open:{gateway.chain_id}:{gateway.address_prefix}:"


def position_values(gateway: Gateway, swept: int, opened: OpenPayments) -> dict[str, str]:
    """Return the values that record a gateway's position."""
    values = {swept_key(gateway): str(swept)}
    for customer_id, entry in opened.customers.items():
        values[open_customer_key(gateway, customer_id)] = f"{customer_id}:{entry.sequence}:{entry.cause}"
    for index, cause in opened.causes.items():
        values[open_index_key(gateway, index)] = cause
    return values


def stored_values(service: Customer, gateway: Gateway) -> dict[str, str]:
    """Return the stored values of a gateway's position, as they are."""
    prefix = _open_prefix(gateway)
    return {
        name: value
        for name, value in (service.metadata or {}).items()
        if name == swept_key(gateway) or name.startswith(prefix)
    }


def parse_swept(service: Customer, gateway: Gateway) -> int:
    """Return a gateway's `swept` index; 0 if the record has none, or an `open` key of it cannot be read.

    Such a key may have named any payment before `swept`: all of them are looked at again.
    """
    text = service.value(swept_key(gateway)) or ""
    swept = int(text) if text.isascii() and text.isdigit() else 0
    is_readable = all(
        _OPEN_CUSTOMER.fullmatch(value) or (_is_index(suffix) and int(suffix) < swept)
        for suffix, value in _open_values(service, gateway)
    )
    return swept if is_readable else 0


def parse_open_payments(service: Customer, gateway: Gateway) -> OpenPayments:
    """Return a gateway's open payments."""
    opened = OpenPayments()
    for suffix, value in _open_values(service, gateway):
        if match := _OPEN_CUSTOMER.fullmatch(value):
            entry = OpenCustomer(int(match[2]), match[3])
            known = opened.customers.get(match[1], entry)  # a person may have copied the value to another key
            opened.customers[match[1]] = min(known, entry, key=lambda entry: entry.sequence)
        elif _is_index(suffix):
            opened.causes[int(suffix)] = value
    return opened


def _open_values(service: Customer, gateway: Gateway) -> Iterator[tuple[str, str]]:
    """Yield the ends of the names of a gateway's `open` keys, with their values."""
    prefix = _open_prefix(gateway)
    for name, value in (service.metadata or {}).items():
        if name.startswith(prefix):
            yield name.removeprefix(prefix), value


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit()
