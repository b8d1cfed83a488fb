"""The two bookkeeping customers in Stripe: they prove that the key is the right account's, and one keeps `swept`."""

from chain.gateway import Gateway
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import RequestRejected
from stateless_billing.stripe.lookups import search_metadata
from stateless_billing.stripe.objects import Customer

RECORD_MARKER = "stateless_billing"
MAX_OPEN = 20


class NotOurAccount(Exception):
    """The Stripe account does not hold our bookkeeping customers, or this key may not read them."""


class ServiceRecords:
    """The service record and the grants record."""

    def __init__(self, stripe: StripeApi, service_id: str) -> None:
        self._stripe = stripe
        self.service_id = service_id
        self.grants_id = ""

    async def load(self) -> Customer:
        """Read both records; the service record. Raises NotOurAccount, or StripeFailure where Stripe was not read."""
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
        """Merge values into the service record; an empty one removes its key. Raises StripeFailure."""
        async with self._stripe.session() as session:
            await session.set_metadata(self.service_id, values)


async def create_records(stripe: StripeApi) -> str:
    """Make the bookkeeping customers where the account has none; the service record's id. Raises StripeFailure.

    The idempotency keys keep two runs at once, or within a day, from making two pairs; after that, search finds them.
    """
    async with stripe.session() as session:
        found = sorted(await search_metadata(session, RECORD_MARKER, "service"), key=lambda one: (one.created, one.id))
        if found:
            return found[0].id
        grants = await session.create_customer(
            "Grants ledger of the billing service", {RECORD_MARKER: "grants"}, "init:grants"
        )
        return await session.create_customer(
            "Service record of the billing service", {RECORD_MARKER: "service", "grants": grants}, "init:service"
        )


def swept_key(gateway: Gateway) -> str:
    """The service record's key for the index up to which a gateway's payments are done."""
    return f"swept:{gateway.chain_id}:{gateway.short}"


def open_key(gateway: Gateway, index: int) -> str:
    """The service record's key for one final payment behind `swept` that is not credited yet."""
    return f"open:{gateway.chain_id}:{gateway.short}:{index}"


def parse_swept(service: Customer, gateway: Gateway) -> int:
    """Where to go on from; 0 where the record does not say."""
    text = service.value(swept_key(gateway)) or ""
    return int(text) if text.isascii() and text.isdigit() else 0


def parse_open_payments(service: Customer, gateway: Gateway) -> dict[int, str]:
    """The open payments' indices and causes."""
    prefix = open_key(gateway, 0)[:-1]
    found = {}
    for name, cause in (service.metadata or {}).items():
        index = name.removeprefix(prefix)
        if name.startswith(prefix) and index.isascii() and index.isdigit():
            found[int(index)] = cause
    return found
