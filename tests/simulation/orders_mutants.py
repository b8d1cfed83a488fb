"""Mutants of orders, proofs of absence and reversals, and the scenes that test each."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakSet

from stateless_billing.bookkeeping import orders
from stateless_billing.bookkeeping.entry_writer import EntryDraft, write_entry
from stateless_billing.bookkeeping.orders import PaymentOrders
from stateless_billing.bookkeeping.proofs import Proof, Proofs
from stateless_billing.bookkeeping.reversals import Reversals
from stateless_billing.crediting import attempts
from stateless_billing.crediting.attempts import Attempt
from stateless_billing.crediting.payment_status import PaymentStatus
from stateless_billing.domain import balance_chain, order_rules
from stateless_billing.domain.balance_chain import LedgerReading
from stateless_billing.domain.epochs import EpochPosition
from stateless_billing.domain.ledger import Entry, reversal_of
from stateless_billing.domain.order_rules import Order
from stateless_billing.operators.roster import Roster
from stateless_billing.stripe import ledger_reader
from stateless_billing.stripe.client import StripeSession
from stateless_billing.stripe.ledger_reader import Anchor, ReadPage, read_session
from stateless_billing.stripe.objects import Customer, Page
from tests.simulation.grant_mutants import Patch


def key_names_target() -> list[Patch]:
    """The key names the credited customer instead of the event's."""

    async def write(session: StripeSession, draft: EntryDraft, checked_at: EpochPosition | None) -> Entry:
        original_key = draft.idempotency_key

        def key(epoch: int) -> str:
            head, own, *rest = original_key(epoch).rsplit(":", 3)
            return ":".join([head, draft.customer_id, *rest]) if own.startswith("cus_") else original_key(epoch)

        return await write_entry(session, replace(draft, idempotency_key=key), checked_at)

    return [(attempts, "write_entry", write)]


def orders_after_held() -> list[Patch]:
    """Orders are read only if the payment is held without them."""
    original_run, original_read = Attempt.run, Attempt._read_orders
    ignoring: WeakSet[Attempt] = WeakSet()

    async def run(self: Attempt, now: int) -> PaymentStatus:
        ignoring.add(self)
        status = await original_run(self, now)
        if status.state != "held":
            return status
        ignoring.discard(self)
        self._readings = attempts._LedgerReadings()
        return await original_run(self, now)

    async def read_orders(self: Attempt) -> PaymentOrders:
        terms = self._terms
        orders = await original_read(self)
        if self not in ignoring:
            return orders
        self._order = None
        self._terms = terms
        return replace(orders, effective=None, named_customers=(), absent_customers=frozenset(), orders=())

    return [(Attempt, "run", run), (Attempt, "_read_orders", read_orders)]


def oldest_order_stands() -> list[Patch]:
    """The first order for a payment decides, regardless of later ones."""

    def oldest(payment: str, orders: Sequence[Order]) -> Order | None:
        verbs = order_rules.RELEASE, order_rules.REDIRECT, order_rules.WITHDRAW
        for order in orders:
            if order.payment == payment and order.instruction.verb in verbs and order_rules.is_effective(order, orders):
                return order
        return None

    return [(order_rules, "newest_order", oldest)]


def newest_target_only() -> list[Patch]:
    """Only the target of the newest order is checked, not those of earlier ones."""
    original = order_rules.find_named_customers
    # Entries are sorted newest first.
    return [(order_rules, "find_named_customers", lambda payment, entries: original(payment, entries)[:1])]


def unproven_in_every_epoch() -> list[Patch]:
    """Vouching for a ledger counts in every epoch."""

    def vouches(self: PaymentOrders, customer: str, epoch: int, origin: int) -> bool:
        return bool(order_rules.vouch_times(self.payment, customer, self.orders))

    return [(PaymentOrders, "vouches_for", vouches)]


def vouched_unseen() -> list[Patch]:
    """An order that vouches may be written in a later epoch than the one whose ledger the admin saw."""
    original = orders.order_draft

    def order_draft(*arguments: Any) -> EntryDraft:
        return replace(original(*arguments), still_valid=lambda now: True)

    return [(orders, "order_draft", order_draft)]


def gone_equals_unproven() -> list[Patch]:
    """Vouching for a ledger also acknowledges that the deleted customer was not credited."""

    def acknowledged(payment: str, orders: Sequence[Order]) -> frozenset[str]:
        customers: frozenset[str] = frozenset()
        for order in orders:
            if order.payment == payment and order_rules.is_effective(order, orders):
                customers |= order.instruction.gone | order.instruction.unproven
        return customers

    return [(order_rules, "find_acknowledged_absent", acknowledged)]


def listing_end_believed() -> list[Patch]:
    """A complete listing proves the absence of what it does not show."""
    return [(Proofs, "judge", lambda *_, **__: Proof(proven=True))]


def zero_is_a_beginning() -> list[Patch]:
    """A listing that ends at a zero balance counts as the start of the ledger: nothing is read behind it."""
    original = ledger_reader.read_back

    async def read_back(customer: Customer, read_at: int, anchor: Anchor, page_behind: ReadPage) -> LedgerReading:
        end: Page | None = None

        async def read_page(after: str | None) -> Page:
            nonlocal end
            if end is None:
                page = await page_behind(after)
                end = replace(page, entries=[]) if page.complete else None
                return page
            return end

        return await original(customer, read_at, anchor, read_page)

    return [(ledger_reader, "read_back", read_back)]


def balance_anywhere_in_chain() -> list[Patch]:
    """The balance read before the listing may be that of any entry, not only of the newest."""

    def fits(chain: Sequence[Entry], reading: LedgerReading) -> bool:
        balances = {entry.ending_cents for entry in chain} | {balance_chain.opening_balance(entry) for entry in chain}
        return reading.balance_cents in (balances or {0})

    return [(balance_chain, "_fits_balance", fits)]


def orders_ledger_unproven() -> list[Patch]:
    """Any listing of the orders counts as complete."""
    return [(orders, "record_flaw", lambda reading, payment: "")]


def new_record_believed() -> list[Patch]:
    """A service record newer than the payment proves that there are no orders."""
    original = order_rules.find_record_flaw

    def find_flaw(entries: Sequence[Entry], balance_cents: int, record_created: int, anchor_before: int) -> str:
        return original(entries, balance_cents, 0, anchor_before)

    return [(order_rules, "find_record_flaw", find_flaw)]


def orders_of_an_earlier_epoch() -> list[Patch]:
    """A reading of the orders counts for a minute by the process's clock, regardless of Stripe's."""
    return [(orders, "may_still_be_used", lambda reading, origin, now: True)]


def reversal_without_its_entry() -> list[Patch]:
    """Any listing without a reversal is enough to reverse an entry."""

    async def prove(self: Reversals, session: StripeSession, entry: Entry) -> Entry | None:
        _, reading = await read_session(session, entry.customer, entry.id)
        return reversal_of(entry, reading.entries) if reading else None

    return [(Reversals, "_require_proof", prove)]


def confirmed_by_oneself() -> list[Patch]:
    """Admins may confirm their own orders."""

    def confirms(row: Order, order: Order) -> bool:
        same = (row.payment, row.text, row.value) == (order.payment, order.text, order.value)
        return same and row.position > order.position

    return [(order_rules, "_confirms", confirms)]


def order_bound_from_plain_list() -> list[Patch]:
    """An admin's limit of a day is judged by any listing, with or without gaps."""
    return [(order_rules, "find_limits_flaw", lambda payment, orders, entries: "")]


def four_eyes_by_one() -> list[Patch]:
    """Whoever signs in under another name is another person, and a person's own confirmation counts too."""
    by_name = [(Roster, "identity_of", lambda self, name: name.strip().lower())]
    return [*confirmed_by_oneself(), *by_name]


def deleted_is_absent() -> list[Patch]:
    """A deleted customer counts as never credited."""
    return [(Attempt, "_judge_absent", lambda *_: [])]


ORDERS_MUTANTS: dict[str, tuple[Callable[[], list[Patch]], tuple[str, ...]]] = {
    "key_names_target": (key_names_target, ("same_sequence", "one_second")),
    "orders_after_held": (orders_after_held, ("currency_back",)),
    "oldest_order_stands": (oldest_order_stands, ("dead_target",)),
    "newest_target_only": (newest_target_only, ("newer_target",)),
    "unproven_in_every_epoch": (unproven_in_every_epoch, ("vouched_then_lied", "vouched_in_sleep")),
    "vouched_unseen": (vouched_unseen, ("vouched_in_sleep",)),
    "gone_equals_unproven": (gone_equals_unproven, ("vouched_then_deleted",)),
    "listing_end_believed": (listing_end_believed, ("cut_list",)),
    "zero_is_a_beginning": (zero_is_a_beginning, ("zero_crossing",)),
    "balance_anywhere_in_chain": (balance_anywhere_in_chain, ("hidden_newest",)),
    "orders_ledger_unproven": (orders_ledger_unproven, ("orders_hidden",)),
    "reversal_without_its_entry": (reversal_without_its_entry, ("reversed_later",)),
    "orders_of_an_earlier_epoch": (orders_of_an_earlier_epoch, ("slept_over_orders",)),
    "new_record_believed": (new_record_believed, ("record_anew",)),
    "confirmed_by_oneself": (confirmed_by_oneself, ("self_confirmed", "too_dear")),
    "order_bound_from_plain_list": (order_bound_from_plain_list, ("hidden_decision",)),
    "four_eyes_by_one": (four_eyes_by_one, ("other_name", "self_confirmed")),
    "deleted_is_absent": (deleted_is_absent, ("deleted_after_credit",)),
}
"""Each mutant, and the scenes whose seeds are tried first to kill it."""
