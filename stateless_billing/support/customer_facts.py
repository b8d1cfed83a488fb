"""Reads what tells customers apart: wallets, balance, payments, last activity, and whose the chain says a wallet is."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chain.errors import ChainError
from chain.gateway import Gateway
from chain.payment import is_customer_id
from stateless_billing.bookkeeping.records import RECORD_MARKER
from stateless_billing.domain.ledger import Entry
from stateless_billing.operators.roster import is_wallet
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.eligibility import find_obstacle
from stateless_billing.stripe.errors import RequestRejected
from stateless_billing.stripe.objects import WALLET, Customer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """A customer, its wallets, and the time of its newest entry (Unix seconds).

    `payments` counts those on all gateways; None if the chain could not be read. `owners` names the customer that the
    newest gateway has for each wallet that it knows. Stripe keeps nothing of a deleted customer but its ID.
    """

    customer: Customer
    wallets: tuple[str, ...]
    last_activity: int | None
    payments: int | None = 0
    owners: Mapping[str, str] = field(default_factory=dict)

    @property
    def obstacle(self) -> str | None:
        """Why it gets no grant and no automatic credit, as a cause of `held`."""
        return find_obstacle(self.customer)

    @property
    def elsewhere(self) -> dict[str, str]:
        """The wallets that are another customer's on the chain, and whose."""
        return {wallet: owner for wallet, owner in self.owners.items() if owner != self.customer.id}


class CustomerReader:
    """Reads customers from Stripe and the gateways. Without the chain it reads what Stripe knows."""

    def __init__(self, stripe: StripeApi, gateways: Sequence[Gateway]) -> None:
        self._stripe = stripe
        self._gateways = gateways

    async def read(self, customer_id: str) -> CustomerFacts | None:
        """Read a customer, also a deleted one; None if it does not exist or is a bookkeeping record.

        Raises: StripeFailure.
        """
        async with self._stripe.session() as session:
            try:
                customer = await session.get_customer(customer_id)
            except RequestRejected as error:
                if error.code != "resource_missing":
                    raise
                return None
            if customer.value(RECORD_MARKER):
                return None
            entries = [] if customer.deleted else (await session.list_newest_entries(customer_id, 0)).entries
        wallets = wallets_of(customer, entries)
        payments, owners = await asyncio.gather(self._count_payments(customer_id), self.find_owners(wallets))
        return CustomerFacts(customer, wallets, entries[0].created if entries else None, payments, owners or {})

    async def find_owners(self, wallets: Sequence[str]) -> dict[str, str] | None:
        """Find the customer of each lower-case wallet at the newest gateway; None if the chain cannot be read."""
        try:
            owners = await asyncio.gather(*(self._gateways[0].customer_of(wallet) for wallet in wallets))
        except ChainError as error:
            log.warning("wallets: their customers on the chain could not be read: %s", error)
            return None
        return {wallet: owner for wallet, owner in zip(wallets, owners, strict=True) if owner}

    async def _count_payments(self, customer_id: str) -> int | None:
        if not is_customer_id(customer_id):
            return 0
        try:
            return sum(await asyncio.gather(*(gateway.payment_count(customer_id) for gateway in self._gateways)))
        except ChainError as error:
            log.warning("customer %s: payments could not be counted: %s", customer_id, error)
            return None


def wallets_of(customer: Customer, entries: Sequence[Entry] = ()) -> tuple[str, ...]:
    """The wallets of a customer: the one in its metadata first, then those of its latest payments."""
    recorded = (customer.value(WALLET) or "").strip().lower()
    paid = [entry.metadata.get("wallet", "").lower() for entry in entries if entry.kind == "payment"]
    return tuple(dict.fromkeys(wallet for wallet in (recorded, *paid) if is_wallet(wallet)))
