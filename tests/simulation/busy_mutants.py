"""Mutants of the rules about a customer's many payments, each with the themes whose seeds detect it."""

from collections.abc import Callable, Sequence

from chain.gateway import Gateway
from chain.payment import Block, Payment
from chain.provider import ChainClient
from stateless_billing.bookkeeping.records import OpenCustomer
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.domain.finality import Heads
from stateless_billing.stripe.client import StripeSession
from stateless_billing.sweep import checkpoint, customer_sweep, customer_tasks, reading, sweeper
from stateless_billing.sweep.checkpoint import GatewayCheckpoint
from stateless_billing.sweep.cursors import CursorUpdater
from stateless_billing.sweep.sweeper import Sweeper, SweepResult
from tests.simulation.grant_mutants import Patch


def round_waits_for_the_slowest() -> list[Patch]:
    """A round looks for new payments only when every customer's are done."""
    original = Sweeper._round

    async def run(self: Sweeper, patience_seconds: int | None, *, force: bool) -> SweepResult:
        return await original(self, None, force=force)

    return [(Sweeper, "_round", run), (customer_tasks, "_MAX_QUEUED", 1_000_000)]


def cursor_past_an_uncredited() -> list[Patch]:
    """The cursor moves to the end of a slice although one of its payments is not credited."""
    original = CursorUpdater._write_cursor

    async def write(
        self: CursorUpdater,
        session: StripeSession,
        gateway: Gateway,
        customer_id: str,
        unverified: Sequence[Payment],
        start: int,
        listed: set[Payment],
    ) -> None:
        await original(self, session, gateway, customer_id, unverified, start, set(unverified))

    return [(CursorUpdater, "_write_cursor", write)]


def open_names_a_later_sequence() -> list[Patch]:
    """What a customer has open begins at the payment that was left open last."""
    original = GatewayCheckpoint.leave_open

    def leave_open(self: GatewayCheckpoint, index: int | None, payment: Payment, cause: str) -> None:
        original(self, index, payment, cause)
        if payment.customer_id:
            self.open.customers[payment.customer_id] = OpenCustomer(payment.sequence, cause)

    return [(GatewayCheckpoint, "leave_open", leave_open)]


def unfinal_payments_are_sealed() -> list[Patch]:
    """A customer is sealed as soon as it is credited, up to the head."""
    patches: list[Patch] = [(module, "is_final", lambda *_: True) for module in (sweeper, customer_sweep, reading)]
    return [*patches, *((module, "is_seal_due", lambda *_: True) for module in (checkpoint, sweeper, customer_sweep))]


def an_older_head_counts_as_final() -> list[Patch]:
    """What is kept of a node's heads for seconds is its newest block, not only what can no longer be replaced."""
    original = Confirmations._read_heads
    kept: dict[int, Block] = {}

    async def read_heads(self: Confirmations, reader: ChainClient) -> Heads:
        heads = await original(self, reader)
        before = kept.get(id(reader), heads.finalized)
        kept[id(reader)] = heads.latest
        return Heads(heads.latest, before, before)

    return [(Confirmations, "_read_heads", read_heads)]


BUSY_MUTANTS: dict[str, tuple[Callable[[], list[Patch]], tuple[str, ...]]] = {
    mutant.__name__: (mutant, themes)
    for mutant, themes in (
        (round_waits_for_the_slowest, ("backlog",)),
        (cursor_past_an_uncredited, ("halting",)),
        (open_names_a_later_sequence, ("all_held",)),
        (unfinal_payments_are_sealed, ("reorg", "paging")),
        (an_older_head_counts_as_final, ("reorg",)),
    )
}
