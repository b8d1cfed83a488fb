"""The two bookkeeping customers in Stripe: the service record and the grants record.

They prove that the API key belongs to the right account. The service record also stores the sweep's progress.
"""

from chain.gateway import Gateway
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import RequestRejected
from stateless_billing.stripe.lookups import search_metadata
from stateless_billing.stripe.objects import Customer

RECORD_MARKER = "stateless_billing"
MAX_OPEN = 20


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
                self.grants_id = service.value("grants") or ""
                grants = await session.get_customer(self.grants_id)
            except RequestRejected as error:
                raise NotOurAccount(f"a bookkeeping customer is not in this Stripe account: {error}") from error
        if grants.value(RECORD_MARKER) != "grants":
            raise NotOurAccount(f"the service record names {self.grants_id}, which is not the grants record")
        return service

    async def update(self, values: dict[str, str]) -> None:
        """Merge values into the service record; an empty value removes its key.

        Raises: StripeFailure.
        """
        async with self._stripe.session() as session:
            await session.set_metadata(self.service_id, values)


async def create_records(stripe: StripeApi) -> str:
    """Create the bookkeeping customers unless they exist; return the service record's ID.

    Idempotency keys keep concurrent runs, or runs within a day, from creating two pairs; later, search finds the first.

    Raises: StripeFailure.
    """
    async with stripe.session() as session:
        existing = await search_metadata(session, RECORD_MARKER, "service")
        if existing:
            return min(existing, key=lambda record: (record.created, record.id)).id
        grants = await session.create_customer(
            "Grants ledger of the billing service", {RECORD_MARKER: "grants"}, "init:grants"
        )
        return await session.create_customer(
            "Service record of the billing service", {RECORD_MARKER: "service", "grants": grants}, "init:service"
        )


def swept_key(gateway: Gateway) -> str:
    """Return the key of a gateway's `swept` index, before which all payments are done."""
    return f"swept:{gateway.chain_id}:{gateway.address_prefix}"


def open_key(gateway: Gateway, index: int) -> str:
    """Return the key of a final payment before `swept` that is not credited yet."""
    return f"open:{gateway.chain_id}:{gateway.address_prefix}:{index}"


def parse_swept(service: Customer, gateway: Gateway) -> int:
    """Return a gateway's `swept` index; 0 if the record has none."""
    text = service.value(swept_key(gateway)) or ""
    return int(text) if text.isascii() and text.isdigit() else 0


def parse_open_payments(service: Customer, gateway: Gateway) -> dict[int, str]:
    """Return the causes of a gateway's open payments by index."""
    prefix = open_key(gateway, 0)[:-1]
    causes = {}
    for name, cause in (service.metadata or {}).items():
        index = name.removeprefix(prefix)
        if name.startswith(prefix) and index.isascii() and index.isdigit():
            causes[int(index)] = cause
    return causes
