"""Mutants: the service with one rule broken, by patches that exist only in the tests.

A rule whose mutant survives the simulation is either unnecessary or untested.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from chain.errors import InconsistentChainData
from chain.gateway import Gateway
from chain.payment import Payment
from chain.payment_index import PaymentIndex
from stateless_billing.bookkeeping.entry_writer import EntryDraft, write_entry
from stateless_billing.crediting import attempts, confirmations, credit_case
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.credit_case import CreditCase
from stateless_billing.crediting.payment_status import PaymentStatus
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.domain import epochs, finality, ledger
from stateless_billing.domain.balance_chain import LedgerReading
from stateless_billing.domain.epochs import EpochPosition, epoch_position
from stateless_billing.domain.finality import ConfirmationTier, Depth, Heads, UnfinalizedSums
from stateless_billing.domain.ledger import Cursor, Entry
from stateless_billing.stripe import ledger_reader
from stateless_billing.stripe.client import StripeSession
from stateless_billing.stripe.errors import OutcomeUnknown, StripeFailure
from stateless_billing.stripe.ledger_reader import Anchor, ReadPage
from stateless_billing.stripe.objects import Customer, Page
from stateless_billing.sweep import cursors, customer_sweep, sweeper
from stateless_billing.sweep.cursors import CursorUpdater
from stateless_billing.sweep.index_agreement import IndexAgreement
from tests.simulation.busy_mutants import BUSY_MUTANTS
from tests.simulation.connection_mutants import CONNECTION_MUTANTS, FOREVER
from tests.simulation.grant_mutants import GRANT_MUTANTS, Patch
from tests.simulation.loop import PROCESS
from tests.simulation.orders_mutants import ORDERS_MUTANTS
from tests.simulation.outage_mutants import OUTAGE_MUTANTS
from tests.simulation.plan import GATEWAYS


@contextlib.contextmanager
def broken(name: str | None) -> Iterator[None]:
    """Apply a mutant's patches within the block; none without a name."""
    patches = MUTANTS[name]() if name else []
    originals = [(owner, attribute, vars(owner)[attribute]) for owner, attribute, _ in patches]
    try:
        for owner, attribute, value in patches:
            setattr(owner, attribute, value)
        yield
    finally:
        for owner, attribute, value in originals:
            setattr(owner, attribute, value)


def one_key_for_ever() -> list[Patch]:
    """No epochs: one key, and a check never expires."""
    return [(epochs, "EPOCH_SECONDS", FOREVER)]


def key_without_epoch() -> list[Patch]:
    """Epochs still limit the check, but all of them use the same key."""
    original = ledger.credit_key
    return [(ledger, "credit_key", lambda payment, epoch: original(payment, 0))]


def stale_evidence() -> list[Patch]:
    """A check that began in an earlier epoch counts."""

    async def write(session: StripeSession, draft: EntryDraft, checked_at: EpochPosition | None) -> Entry:
        return await write_entry(session, draft, checked_at and epoch_position(session.now(), draft.origin))

    return [(attempts, "write_entry", write)]


def _new_key_when(text: str) -> list[Patch]:
    """A new key after every unknown outcome whose message contains `text`."""
    retries: Counter[tuple[object, str]] = Counter()
    original_resolve, original_key = CreditProcessor._resolve_unknown_outcome, ledger.credit_key

    async def resolve(self: CreditProcessor, case: CreditCase, unclear: OutcomeUnknown) -> PaymentStatus:
        retries[PROCESS.get(), case.payment.identity] += text in str(unclear)
        return await original_resolve(self, case, unclear)

    def key(payment: Payment, epoch: int) -> str:
        count = retries[PROCESS.get(), payment.identity]
        return original_key(payment, epoch) + (f":again{count}" if count else "")

    return [(CreditProcessor, "_resolve_unknown_outcome", resolve), (ledger, "credit_key", key)]


def new_key_on_500() -> list[Patch]:
    """A new key after a 5xx."""
    return _new_key_when("HTTP 5")


def new_key_on_mismatch() -> list[Patch]:
    """A new key after a parameter mismatch, as Stripe's own message suggests."""
    return _new_key_when("Keys for idempotent requests")


def no_quiet_zone() -> list[Patch]:
    """Writes continue around epoch boundaries."""
    return [(epochs, "QUIET_SECONDS", 0)]


def cursor_before_finality() -> list[Patch]:
    """The sweep treats every payment as final."""
    return [(module, "is_final", lambda payment, heads: True) for module in (sweeper, customer_sweep)]


def partial_listing_counts() -> list[Patch]:
    """The first page of a listing counts as the whole listing."""

    async def entries(self: StripeSession, customer_id: str, since: int, begun: Page | None = None) -> list[Entry]:
        return list((begun or await self.list_newest_entries(customer_id, since)).entries)

    async def read_back(customer: Customer, read_at: int, anchor: Anchor, page_behind: ReadPage) -> LedgerReading:
        page = await page_behind(None)
        return LedgerReading(page.entries, customer.usd_cents or 0, read_at, anchored=True, ended=False)

    return [(StripeSession, "list_entries", entries), (ledger_reader, "read_back", read_back)]


def identity_from_settings() -> list[Patch]:
    """The identity names the newest configured gateway instead of the payment's own."""

    def identity(self: Payment) -> str:
        process: Any = PROCESS.get()
        addresses = process.services.settings.gateway_addresses if process else GATEWAYS
        return f"{self.chain_id}:{addresses[0]}:{self.tx_hash}:{self.ordinal}"

    return [(Payment, "identity", property(identity))]


def marker_first() -> list[Patch]:
    """The cursor is written before the credits."""
    original = CursorUpdater.credit_and_advance

    async def advance(
        self: CursorUpdater, gateway: Gateway, customer_id: str, payments: Sequence[Payment], heads: Heads
    ) -> set[Payment]:
        last = max(payments, key=lambda payment: payment.sequence)
        name = ledger.cursor_key(gateway.chain_id, gateway.address)
        with contextlib.suppress(StripeFailure):
            async with self._stripe.session() as session:
                await session.set_metadata(customer_id, {name: str(Cursor(last.sequence + 1, last.tx_hash))})
        return await original(self, gateway, customer_id, payments, heads)

    return [(CursorUpdater, "credit_and_advance", advance)]


def no_freshness_limit() -> list[Patch]:
    """An unfinalized quoted payment of any age is credited without a check."""
    return [(epochs, "FRESH_SECONDS", FOREVER)]


def plain_before_finality() -> list[Patch]:
    """Plain payments use the tiers of quoted ones."""
    original = finality.tier_for

    def tier_for(
        payment: Payment,
        unfinalized: UnfinalizedSums,
        tiers: tuple[ConfirmationTier, ...],
        max_unfinalized_cents: int,
    ) -> ConfirmationTier:
        return original(payment, unfinalized, tiers, max_unfinalized_cents) if payment.quoted else tiers[0]

    return [(finality, "tier_for", tier_for)]


def heads_after_payments() -> list[Patch]:
    """The heads are read after the payments that are judged by them."""
    original = Confirmations.depth_of

    async def depth_of(self: Confirmations, payment: Payment, heads: Heads) -> Depth:
        return await original(self, payment, await self.heads())

    return [(Confirmations, "depth_of", depth_of)]


def no_altered_check() -> list[Patch]:
    """A credit stripped of its metadata is not recognized."""
    return [(ledger, "_may_be_stripped", lambda *_: False)]


def no_renaming() -> list[Patch]:
    """A credit that names another EVM transaction after a reorg is not recognized."""
    return [(ledger, "_is_renamed", lambda *_: False)]


def no_count_check() -> list[Patch]:
    """The logs are not compared with the contract's payment count."""

    async def blocks(self: PaymentIndex, counted: Mapping[int, int]) -> Mapping[int, list[Payment]]:
        payments = await self._read_blocks(sorted(counted))
        if counted and not any(payments.values()):
            raise InconsistentChainData("no payments at all")
        return payments

    async def counted(self: PaymentIndex, payments: Sequence[Payment]) -> None:
        """Check nothing."""

    return [(PaymentIndex, "_read_counted_blocks", blocks), (PaymentIndex, "check_counted", counted)]


def one_node_is_enough() -> list[Patch]:
    """No second node has to confirm payments above the first tier."""
    return [(confirmations, "REQUIRED_NODES", 1)]


def one_node_moves_the_record() -> list[Patch]:
    """The service record passes payments that a single node reports."""

    async def agreed(
        self: IndexAgreement,
        gateway: Gateway,
        blocks: Mapping[int, int],
        sequences: Mapping[str, Mapping[int, int]],
        ends: Mapping[str, tuple[int, int]],
    ) -> bool:
        return True

    return [(IndexAgreement, "nodes_agree", agreed)]


def look_back_too_short() -> list[Patch]:
    """A check lists from the block's time on, as if all clocks agreed."""
    return [(credit_case, "LISTING_LEAD_SECONDS", 0), (cursors, "LISTING_LEAD_SECONDS", 0)]


MUTANTS: dict[str, Callable[[], list[Patch]]] = {
    mutant.__name__: mutant
    for mutant in (
        one_key_for_ever,
        key_without_epoch,
        stale_evidence,
        new_key_on_500,
        new_key_on_mismatch,
        no_quiet_zone,
        cursor_before_finality,
        partial_listing_counts,
        identity_from_settings,
        marker_first,
        no_freshness_limit,
        plain_before_finality,
        heads_after_payments,
        no_altered_check,
        no_renaming,
        no_count_check,
        one_node_is_enough,
        one_node_moves_the_record,
        look_back_too_short,
    )
}
SCENE_MUTANTS = ORDERS_MUTANTS | BUSY_MUTANTS | OUTAGE_MUTANTS
"""Each with the themes whose seeds detect it."""
MUTANTS |= CONNECTION_MUTANTS | GRANT_MUTANTS
MUTANTS |= {name: mutant for name, (mutant, _) in SCENE_MUTANTS.items()}
