"""One box for people: who is meant by an email address, a wallet, a customer, an EVM transaction or an entry."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from chain.gateway import Gateway, find_payments_in_tx
from chain.payment import Payment, is_customer_id
from chain.provider import FailoverProvider
from stateless_billing.bookkeeping.records import RECORD_MARKER, ServiceRecords
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.ledger import Entry
from stateless_billing.grants import caps
from stateless_billing.grants.grant_ledger import GrantLedger
from stateless_billing.operators.roster import is_email, is_wallet
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe import lookups
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import RequestRejected
from stateless_billing.stripe.lookups import search_metadata
from stateless_billing.stripe.objects import WALLET, Customer

_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_ENTRY = re.compile(r"cbtxn_[0-9A-Za-z]{1,64}")
_MAX_MATCHES = 20
_MAX_CANDIDATES = 40  # customers that are looked through for an entry: Stripe cannot look one up by itself
_MAX_PAYMENTS = 60
_GRANT_DAYS = 30

LAGS = (
    "Customers and wallets that were added or changed within the last minute may be missing here. During an outage"
    " of Stripe's search, within the last hour."
)


@dataclass(frozen=True, slots=True)
class CustomerMatch:
    """A customer that may be meant: its wallets, and when its ledger last moved (unix seconds)."""

    customer: Customer
    wallets: tuple[str, ...]
    last_activity: int | None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a question came to. `kind` is what it was taken for, `note` what the asker should know."""

    kind: str
    matches: Sequence[CustomerMatch] = ()
    payments: Sequence[Payment] = field(default=())
    entry: Entry | None = None
    note: str = ""


class CustomerSearch:
    """Answers the box. Nothing is ever picked for the asker."""

    def __init__(
        self,
        *,
        stripe: StripeApi,
        nodes: FailoverProvider,
        gateways: Sequence[Gateway],
        records: ServiceRecords,
        grants: GrantLedger,
        clock: Clock,
    ) -> None:
        self._stripe = stripe
        self._nodes = nodes
        self._gateways = gateways
        self._records = records
        self._grants = grants
        self._clock = clock

    async def find(self, text: str) -> SearchResult:
        """Everything that fits. Raises ProblemError for what is none of the five, ChainError, StripeFailure."""
        asked = text.strip()
        if _HASH.fullmatch(asked):
            return await self._find_by_transaction(asked.lower())
        if is_wallet(asked.lower()):
            return await self._find_by_wallet(asked.lower())
        if is_customer_id(asked):
            return SearchResult("customer", await self._describe_matches([asked]))
        if is_entry_id(asked):
            return await self._find_by_entry(asked)
        if is_email(asked):
            found = await lookups.find_customers_by_email(self._stripe, asked)
            return await self._result_of("email", [one.id for one in found])
        raise ProblemError(
            "invalid_input",
            "Type an email address, a wallet (0x and 40 hex digits), a transaction hash (0x and 64), a customer (cus_…)"
            " or a balance transaction (cbtxn_…).",
        )

    async def get_customer(self, customer_id: str) -> Customer | None:
        """One customer of other systems; None where Stripe has none, or it is a record of ours."""
        async with self._stripe.session() as session:
            try:
                found = await session.get_customer(customer_id)
            except RequestRejected:
                return None
        return None if found.deleted or found.value(RECORD_MARKER) else found

    async def _find_by_wallet(self, wallet: str) -> SearchResult:
        registered = await asyncio.gather(*(gateway.customer_of(wallet) for gateway in self._gateways))
        async with self._stripe.session() as session:
            searched = await search_metadata(session, WALLET, wallet)
        ids = [one for one in registered if one] + [one.id for one in searched]
        return await self._result_of("wallet", list(dict.fromkeys(ids)))

    async def _result_of(self, kind: str, ids: Sequence[str]) -> SearchResult:
        """What a search came to, with what it may lack."""
        note = LAGS
        if len(ids) > _MAX_MATCHES:
            note += f" {len(ids)} customers match and {_MAX_MATCHES} are shown. Search for the `cus_…` instead."
        return SearchResult(kind, await self._describe_matches(ids), note=note)

    async def _find_by_transaction(self, tx_hash: str) -> SearchResult:
        found = await find_payments_in_tx(self._nodes, self._gateways, tx_hash)
        if found is None or not found.payments:
            failed = found is not None and found.failed
            note = "This EVM transaction reverted. It paid nothing." if failed else ""
            return SearchResult(
                "transaction", note=note or "No node knows a payment to our gateways in this EVM transaction."
            )
        ids = [one.customer_id for one in found.payments if one.customer_id]
        return SearchResult("transaction", await self._describe_matches(ids), found.payments)

    async def _find_by_entry(self, entry_id: str) -> SearchResult:
        """Stripe gives an entry only to who names its customer: our records first, then whoever moved lately."""
        async with self._stripe.session() as session:
            entry = await lookups.get_entry(session, self._records.grants_id, entry_id)
        reserved = caps.parse_reservation(entry) if entry else None
        if entry and reserved:
            note = "This is a grant's reservation on the grants record."
            return SearchResult("entry", await self._describe_matches([reserved.customer]), entry=entry, note=note)
        candidates = await self._recently_credited()
        for start in range(0, len(candidates), 8):
            some = candidates[start : start + 8]
            for one in await asyncio.gather(*(self._get_entry(customer, entry_id) for customer in some)):
                if one:
                    return SearchResult("entry", await self._describe_matches([one.customer]), entry=one)
        note = (
            f"The {len(candidates)} customers with the latest payments and grants have no such entry. Stripe cannot"
            " find an entry without its customer. Search for it in the Stripe Dashboard."
        )
        return SearchResult("entry", note=note)

    async def _get_entry(self, customer_id: str, entry_id: str) -> Entry | None:
        async with self._stripe.session() as session:
            return await lookups.get_entry(session, customer_id, entry_id)

    async def _recently_credited(self) -> list[str]:
        """The customers with the latest grants and payments, without repetition."""
        listing = await self._grants.list_grants(int(self._clock.wall()) - _GRANT_DAYS * caps.DAY)
        ids = [one.customer for one in map(caps.parse_reservation, listing.entries) if one]
        for gateway in self._gateways:
            total = await gateway.total_payments()
            latest = [
                payment
                async for window in gateway.payments(max(0, total - _MAX_PAYMENTS), total)
                for _, payment in window
            ]
            ids += [payment.customer_id for payment in reversed(latest) if payment.customer_id]
        return list(dict.fromkeys(ids))[:_MAX_CANDIDATES]

    async def _describe_matches(self, ids: Sequence[str]) -> list[CustomerMatch]:
        unique = list(dict.fromkeys(ids))[:_MAX_MATCHES]
        found = await asyncio.gather(*(self._describe_match(one) for one in unique))
        return [one for one in found if one]

    async def _describe_match(self, customer_id: str) -> CustomerMatch | None:
        customer = await self.get_customer(customer_id)
        if customer is None:
            return None
        async with self._stripe.session() as session:
            entries = (await session.list_newest_entries(customer_id, 0)).entries
        return CustomerMatch(customer, wallets_of(customer, entries), entries[0].created if entries else None)


def is_entry_id(text: str) -> bool:
    """Whether a text has the form of a balance transaction's ID."""
    return _ENTRY.fullmatch(text) is not None


def wallets_of(customer: Customer, entries: Sequence[Entry] = ()) -> tuple[str, ...]:
    """The wallets of a customer: the one on its record first, then those that its latest payments came for."""
    recorded = (customer.value(WALLET) or "").strip().lower()
    paid = [one.metadata.get("wallet", "").lower() for one in entries if one.kind == "payment"]
    return tuple(dict.fromkeys(one for one in (recorded, *paid) if is_wallet(one)))
