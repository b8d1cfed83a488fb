"""The service with one of its rules broken, by patches that live here and never in the product.

A rule whose mutant survives the simulation is either not needed or not tested.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from chain.errors import InconsistentChainData
from chain.payment import Payment
from chain.payment_index import PaymentIndex
from stateless_billing.crediting import attempts, confirmations, credit_case
from stateless_billing.crediting.processor import CreditProcessor
from stateless_billing.domain import epochs, finality, ledger
from stateless_billing.domain.balance_chain import LedgerReading
from stateless_billing.domain.epochs import EpochPosition, epoch_position
from stateless_billing.domain.ledger import Cursor
from stateless_billing.stripe import ledger_reader
from stateless_billing.stripe.client import StripeSession
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.sweep import cursors, sweeper
from stateless_billing.sweep.cursors import CursorUpdater
from tests.simulation.connection_mutants import CONNECTION_MUTANTS, FOR_EVER
from tests.simulation.grant_mutants import GRANT_MUTANTS, Patch
from tests.simulation.loop import PROCESS
from tests.simulation.orders_mutants import ORDERS_MUTANTS
from tests.simulation.plan import GATEWAYS


@contextlib.contextmanager
def broken(name: str | None) -> Iterator[None]:
    """The service as a mutant, or as it is."""
    patches = MUTANTS[name]() if name else []
    before = [(owner, attribute, vars(owner)[attribute]) for owner, attribute, _ in patches]
    try:
        for owner, attribute, value in patches:
            setattr(owner, attribute, value)
        yield
    finally:
        for owner, attribute, value in before:
            setattr(owner, attribute, value)


def one_key_for_ever() -> list[Patch]:
    """No epochs: one key, and a look counts however old it is."""
    return [(epochs, "EPOCH", FOR_EVER)]


def key_without_epoch() -> list[Patch]:
    """Epochs still bound the look, but every one of them sends the same key."""
    made = ledger.credit_key
    return [(ledger, "credit_key", lambda payment, epoch: made(payment, 0))]


def stale_evidence() -> list[Patch]:
    """A look that began in an earlier epoch counts."""
    sent = vars(attempts)["write_entry"]

    async def write(session: Any, draft: Any, begun: EpochPosition | None) -> Any:
        return await sent(session, draft, begun and epoch_position(session.now(), draft.origin))

    return [(attempts, "write_entry", write)]


def _new_key_when(text: str) -> list[Patch]:
    """A new key after every unclear answer that says `text`."""
    seen: Counter[tuple[object, str]] = Counter()
    looked, made = vars(CreditProcessor)["_resolve_unknown_outcome"], ledger.credit_key

    async def look(self: Any, case: Any, unclear: StripeFailure) -> Any:
        seen[PROCESS.get(), case.payment.identity] += text in str(unclear)
        return await looked(self, case, unclear)

    def key(payment: Payment, epoch: int) -> str:
        tries = seen[PROCESS.get(), payment.identity]
        return made(payment, epoch) + (f":again{tries}" if tries else "")

    return [(CreditProcessor, "_resolve_unknown_outcome", look), (ledger, "credit_key", key)]


def new_key_on_500() -> list[Patch]:
    """A 5xx gets another key."""
    return _new_key_when("HTTP 5")


def new_key_on_mismatch() -> list[Patch]:
    """`other parameters` gets another key, as Stripe's own message suggests."""
    return _new_key_when("Keys for idempotent requests")


def no_quiet_zone() -> list[Patch]:
    """Sending goes on around the epochs' borders."""
    return [(epochs, "QUIET", 0)]


def cursor_before_finality() -> list[Patch]:
    """The sweep takes everything for final."""
    return [(sweeper, "is_final", lambda payment, heads: True)]


def partial_listing_counts() -> list[Patch]:
    """The first page of a listing is taken for all of it."""

    async def entries(self: Any, customer_id: str, since: int, begun: Any = None) -> Any:
        return list((begun or await self.newest_entries(customer_id, since)).entries)

    async def read_back(customer: Any, read_at: int, anchor: Any, page_behind: Any) -> LedgerReading:
        page = await page_behind(None)
        return LedgerReading(page.entries, customer.usd_cents or 0, read_at, anchored=True, ended=False)

    return [(StripeSession, "list_entries", entries), (ledger_reader, "read_back", read_back)]


def identity_from_settings() -> list[Patch]:
    """The identity names the newest gateway of the settings, not the payment's own."""

    def identity(self: Payment) -> str:
        process: Any = PROCESS.get()
        addresses = process.services.settings.gateway_addresses if process else GATEWAYS
        return f"{self.chain_id}:{addresses[0]}:{self.tx_hash}:{self.ordinal}"

    return [(Payment, "identity", property(identity))]


def marker_first() -> list[Patch]:
    """The cursor is written before the credits are."""
    sealed = vars(CursorUpdater)["credit_and_advance"]

    async def seal(self: Any, gateway: Any, customer_id: str, payments: Sequence[Payment], heads: Any) -> Any:
        last = max(payments, key=lambda one: one.sequence)
        name = ledger.cursor_key(gateway.chain_id, gateway.address)
        with contextlib.suppress(StripeFailure):
            async with self._stripe.session() as session:
                await session.set_metadata(customer_id, {name: str(Cursor(last.sequence + 1, last.tx_hash))})
        return await sealed(self, gateway, customer_id, payments, heads)

    return [(CursorUpdater, "credit_and_advance", seal)]


def no_freshness_limit() -> list[Patch]:
    """A quoted payment that is not final is sent without a look, however old."""
    return [(epochs, "FRESH", FOR_EVER)]


def plain_before_finality() -> list[Patch]:
    """Plain payments follow the tiers of quoted ones."""

    judged = finality.tier_for

    def tier_for(payment: Payment, others: Any, tiers: Any, most: int) -> Any:
        return judged(payment, others, tiers, most) if payment.quoted else tiers[0]

    return [(finality, "tier_for", tier_for)]


def heads_after_payments() -> list[Patch]:
    """A claim reads the heads after the payments that it judges by them."""
    judged = vars(confirmations.Confirmations)["depth_of"]

    async def of(self: Any, payment: Payment, heads: Any) -> Any:
        return await judged(self, payment, await self.heads())

    return [(confirmations.Confirmations, "depth_of", of)]


def no_altered_check() -> list[Patch]:
    """A credit that lost its metadata is not recognised."""
    return [(ledger, "_may_be_stripped", lambda *_: False)]


def no_renaming() -> list[Patch]:
    """A credit that a reorganisation left under another EVM transaction's name is not recognised."""
    return [(ledger, "_is_renamed", lambda *_: False)]


def no_count_check() -> list[Patch]:
    """What the logs hold is not compared with what the contract counts."""

    async def blocks(self: Any, counted: Mapping[int, int]) -> Any:
        found = await self._blocks_of_payments(sorted(counted))
        if counted and not any(found.values()):
            raise InconsistentChainData("nothing at all")
        return found

    async def counted(self: Any, payment: Payment) -> None:
        """Never looks."""

    return [(PaymentIndex, "_counted_blocks", blocks), (PaymentIndex, "check_counted", counted)]


def one_node_is_enough() -> list[Patch]:
    """No second node is asked about what is above the first tier."""
    return [(confirmations, "_REQUIRED_NODES", 1)]


def one_node_moves_the_record() -> list[Patch]:
    """What one node tells of the index is passed for good."""

    async def agreed(self: Any, gateway: Any, blocks: Any) -> bool:
        return True

    return [(confirmations.Confirmations, "nodes_agree", agreed)]


def look_back_too_short() -> list[Patch]:
    """A look begins at the block's time, as if all clocks agreed."""
    return [(credit_case, "LISTING_LEAD_SECONDS", 0), (cursors, "LISTING_LEAD_SECONDS", 0)]


MUTANTS: dict[str, Callable[[], list[Patch]]] = {
    made.__name__: made
    for made in (
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
MUTANTS |= CONNECTION_MUTANTS | GRANT_MUTANTS | {name: made for name, (made, _) in ORDERS_MUTANTS.items()}
