"""Mutants of the rules about a customer's many payments, each with the themes whose seeds detect it."""

from collections.abc import Callable, Sequence

from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.bookkeeping.records import OpenCustomer
from stateless_billing.stripe.client import StripeSession
from stateless_billing.sweep import sweeper
from stateless_billing.sweep.checkpoint import GatewayCheckpoint
from stateless_billing.sweep.cursors import CursorUpdater
from stateless_billing.sweep.sweeper import Sweeper, SweepResult
from tests.simulation.grant_mutants import Patch


def round_waits_for_the_slowest() -> list[Patch]:
    """A round looks for new payments only when every customer's are done."""
    original = Sweeper._round

    async def run(self: Sweeper, patience_seconds: int | None, *, force: bool) -> SweepResult:
        return await original(self, None, force=force)

    return [(Sweeper, "_round", run), (sweeper, "_MAX_QUEUED", 1_000_000)]


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


BUSY_MUTANTS: dict[str, tuple[Callable[[], list[Patch]], tuple[str, ...]]] = {
    mutant.__name__: (mutant, themes)
    for mutant, themes in (
        (round_waits_for_the_slowest, ("backlog",)),
        (cursor_past_an_uncredited, ("halting",)),
        (open_names_a_later_sequence, ("all_held",)),
    )
}
