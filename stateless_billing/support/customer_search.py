"""Finds customers by email address, wallet, customer ID, EVM transaction or balance transaction."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chain.failover import FailoverProvider
from chain.gateway import Gateway, TxPayments, find_payments_in_tx
from chain.payment import Payment, parse_identity
from stateless_billing.bookkeeping.records import ServiceRecords, find_wallet_holders, get_paying_customer
from stateless_billing.domain import order_rules
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.ledger import Entry
from stateless_billing.domain.order_rules import Order
from stateless_billing.grants import caps
from stateless_billing.grants.grant_ledger import GrantLedger
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe import lookups
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.objects import Customer
from stateless_billing.support.customer_facts import CustomerFacts, CustomerReader
from stateless_billing.support.search_text import parse_search
from stateless_billing.support.wallet_conflicts import WalletConflict, WalletConflicts

_MAX_MATCHES = 20
_MAX_CANDIDATES = 40  # customers searched for an entry: Stripe cannot look one up without its customer
_MAX_PAYMENTS = 60
_GRANT_DAYS = 30

TREASURY_TRANSFER = (
    "This EVM transaction moved tokens to the treasury without one of our gateways, so this service never credits it."
    " Ask who sent it what it was for."
)

_NO_CUSTOMER = (
    "Stripe has no such customer in this account, or it is one of this service's own records. Compare the ID, and"
    " whether it is of test or live mode."
)

LAGS = (
    "Customers and wallets that were added or changed within the last minute may be missing here. During an outage"
    " of Stripe's search, within the last hour."
)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of a search. `kind` is how the text was interpreted, `note` a caveat for the operator."""

    kind: str
    matches: Sequence[CustomerFacts] = ()
    payments: Sequence[Payment] = field(default=())
    entry: Entry | None = None
    note: str = ""
    conflict: WalletConflict | None = None


class CustomerSearch:
    """Searches customers. Returns every match; the operator chooses."""

    def __init__(
        self,
        *,
        stripe: StripeApi,
        nodes: FailoverProvider,
        gateways: Sequence[Gateway],
        records: ServiceRecords,
        grants: GrantLedger,
        conflicts: WalletConflicts,
        reader: CustomerReader,
        clock: Clock,
    ) -> None:
        self._stripe = stripe
        self._nodes = nodes
        self._gateways = gateways
        self._records = records
        self._grants = grants
        self._conflicts = conflicts
        self._reader = reader
        self._clock = clock

    async def find(self, text: str) -> SearchResult:
        """Search by whichever of the five forms the text has, or a pasted link has in it.

        Raises: ProblemError if it has none of them, ChainError, StripeFailure.
        """
        query = parse_search(text)
        if query is None:
            raise ProblemError(
                "invalid_input",
                "Type an email address, a wallet (0x and 40 hex digits), a transaction hash (0x and 64), a customer"
                " (cus_…) or a balance transaction (cbtxn_…), or paste a link that has one of these in it.",
            )
        if query.kind == "transaction":
            return await self._find_by_transaction(query.value)
        if query.kind == "wallet":
            return await self._find_by_wallet(query.value)
        if query.kind == "customer":
            matches = await self._describe_matches([query.value])
            return SearchResult("customer", matches, note="" if matches else _NO_CUSTOMER)
        if query.kind == "entry":
            return await self._find_by_entry(query.value, query.customer_id)
        customers = await lookups.find_customers_by_email(self._stripe, query.value)
        return await self._describe_result("email", [customer.id for customer in customers])

    async def get_customer(self, customer_id: str) -> Customer | None:
        """Get a customer; None if it does not exist, was deleted or is a bookkeeping record."""
        return await get_paying_customer(self._stripe, customer_id)

    async def _find_by_wallet(self, wallet: str) -> SearchResult:
        registered = await asyncio.gather(*(gateway.customer_of(wallet) for gateway in self._gateways))
        async with self._stripe.session() as session:
            holders = [customer.id for customer in await find_wallet_holders(session, wallet)]
        result = await self._describe_result("wallet", list(dict.fromkeys([*filter(None, registered), *holders])))
        return replace(result, conflict=await self._conflicts.find(wallet))

    async def _describe_result(self, kind: str, ids: Sequence[str]) -> SearchResult:
        """Build the result of an indexed search, noting what it may miss."""
        note = LAGS
        if len(ids) > _MAX_MATCHES:
            note += f" {len(ids)} customers match and {_MAX_MATCHES} are shown. Search for the `cus_…` instead."
        return SearchResult(kind, await self._describe_matches(ids), note=note)

    async def _find_by_transaction(self, tx_hash: str) -> SearchResult:
        tx = await find_payments_in_tx(self._nodes, self._gateways, tx_hash)
        if tx is None or not tx.payments:
            return SearchResult("transaction", note=_describe_without_payments(tx))
        ids = [payment.customer_id for payment in tx.payments if payment.customer_id]
        return SearchResult("transaction", await self._describe_matches(ids), tx.payments)

    async def _find_by_entry(self, entry_id: str, customer_id: str | None) -> SearchResult:
        """Try the grants record, then `customer_id` and recently credited customers: Stripe needs the customer."""
        async with self._stripe.session() as session:
            entry = await lookups.get_entry(session, self._records.grants_id, entry_id)
            ordered = None if entry else await lookups.get_entry(session, self._records.service_id, entry_id)
        if ordered and (order := order_rules.parse(ordered)):
            return await self._describe_order(order, ordered)
        reserved = caps.parse_reservation(entry) if entry else None
        if entry and reserved:
            note = "This is a grant's reservation on the grants record."
            return SearchResult("entry", await self._describe_matches([reserved.customer]), entry=entry, note=note)
        candidates = [*([customer_id] if customer_id else []), *await self._recently_credited()]
        for start in range(0, len(candidates), 8):
            batch = candidates[start : start + 8]
            for match in await asyncio.gather(*(self._get_entry(customer_id, entry_id) for customer_id in batch)):
                if match:
                    return SearchResult("entry", await self._describe_matches([match.customer]), entry=match)
        note = (
            f"The {len(candidates)} customers with the latest payments and grants have no such entry. Stripe cannot"
            " find an entry without its customer. Search for it in the Stripe Dashboard."
        )
        return SearchResult("entry", note=note)

    async def _describe_order(self, order: Order, entry: Entry) -> SearchResult:
        """Describe the entry of an order on the service record, with the customers that it concerns."""
        ids = [order.target] if order.target else []
        if place := parse_identity(order.payment):
            tx = await find_payments_in_tx(self._nodes, self._gateways, place.tx_hash)
            paid = [payment for payment in tx.payments if payment.identity == order.payment] if tx else []
            ids += [payment.customer_id for payment in paid if payment.customer_id]
        note = f"This is the order “{order.text}” of {order.operator}: {order.reason}. See Decisions for what followed."
        return SearchResult("entry", await self._describe_matches(ids), entry=entry, note=note)

    async def _get_entry(self, customer_id: str, entry_id: str) -> Entry | None:
        async with self._stripe.session() as session:
            return await lookups.get_entry(session, customer_id, entry_id)

    async def _recently_credited(self) -> list[str]:
        """The distinct customers with the latest grants and payments."""
        listing = await self._grants.list_grants(int(self._clock.wall()) - _GRANT_DAYS * caps.DAY)
        reservations = map(caps.parse_reservation, listing.entries)
        ids = [reservation.customer for reservation in reservations if reservation]
        for gateway in self._gateways:
            total = await gateway.total_payments()
            latest = [
                payment
                async for window in gateway.payments(max(0, total - _MAX_PAYMENTS), total)
                for _, payment in window.payments
            ]
            ids += [payment.customer_id for payment in reversed(latest) if payment.customer_id]
        return list(dict.fromkeys(ids))[:_MAX_CANDIDATES]

    async def _describe_matches(self, ids: Sequence[str]) -> list[CustomerFacts]:
        unique = list(dict.fromkeys(ids))[:_MAX_MATCHES]
        matches = await asyncio.gather(*(self._reader.read(customer_id) for customer_id in unique))
        return [match for match in matches if match]


def _describe_without_payments(tx: TxPayments | None) -> str:
    """Say what an EVM transaction is that paid none of our gateways."""
    if tx is None:
        return "The nodes do not have this EVM transaction, or not all of them yet."
    if tx.failed:
        return "This EVM transaction reverted. It paid nothing."
    if tx.treasury_transfer:
        return TREASURY_TRANSFER
    return "This EVM transaction was mined, and it paid none of our gateways. Nothing is credited for it."
