"""Orders, proofs of absence and reversals with one of their rules broken, and the seeds that are about each."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from stateless_billing.bookkeeping import orders
from stateless_billing.bookkeeping.orders import PaymentOrders
from stateless_billing.bookkeeping.proofs import Proof, Proofs
from stateless_billing.bookkeeping.reversals import Reversals
from stateless_billing.crediting import attempts
from stateless_billing.crediting.attempts import Attempt
from stateless_billing.crediting.payment_status import PaymentStatus
from stateless_billing.domain import balance_chain, order_rules
from stateless_billing.domain.balance_chain import LedgerReading
from stateless_billing.domain.ledger import Entry, reversal_of
from stateless_billing.domain.order_rules import Order
from stateless_billing.stripe import ledger_reader
from stateless_billing.stripe.ledger_reader import read_session
from tests.simulation.grant_mutants import Patch


def key_names_target() -> list[Patch]:
    """The key names who is credited, not the event's customer."""
    sent = vars(attempts)["write_entry"]

    async def write(session: Any, draft: Any, begun: Any) -> Any:
        key = draft.key

        def other(epoch: int) -> str:
            head, own, *rest = key(epoch).rsplit(":", 3)
            return ":".join([head, draft.customer_id, *rest]) if own.startswith("cus_") else key(epoch)

        return await sent(session, replace(draft, key=other), begun)

    return [(attempts, "write_entry", write)]


def orders_after_held() -> list[Patch]:
    """The orders are looked up only where a payment is held without them."""
    ran, read = vars(Attempt)["run"], vars(Attempt)["_read_orders"]

    async def run(self: Any, now: int) -> PaymentStatus:
        self.without_orders = True
        found: PaymentStatus = await ran(self, now)
        if found.state != "held":
            return found
        self.without_orders = False
        self._look = attempts._LedgerReadings()
        return await ran(self, now)  # type: ignore[no-any-return]

    async def orders_of(self: Any) -> PaymentOrders:
        terms = self._terms
        found: PaymentOrders = await read(self)
        if not self.without_orders:
            return found
        self._order, self._terms = None, terms
        return replace(found, effective=None, named_customers=(), absent_customers=frozenset(), orders=())

    return [(Attempt, "run", run), (Attempt, "_read_orders", orders_of)]


def oldest_order_stands() -> list[Patch]:
    """The first order about a payment decides, whatever is ordered later."""

    def newest(payment: str, every: Sequence[Order]) -> Order | None:
        verbs = order_rules.RELEASE, order_rules.REDIRECT, order_rules.WITHDRAW
        found = (one for one in every if one.payment == payment and one.instruction.verb in verbs)
        return next((one for one in found if order_rules.is_effective(one, every)), None)

    return [(order_rules, "newest_order", newest)]


def newest_target_only() -> list[Patch]:
    """Only the target of the newest order is looked at, not those of earlier ones."""
    named = order_rules.find_named_customers
    # Entries come newest first.
    return [(order_rules, "find_named_customers", lambda payment, entries: named(payment, entries)[:1])]


def unproven_in_every_epoch() -> list[Patch]:
    """Whoever vouched for a ledger once vouched for ever."""

    def vouches(self: PaymentOrders, customer: str, epoch: int, origin: int) -> bool:
        return bool(order_rules.vouch_times(self.payment, customer, self.orders))

    return [(PaymentOrders, "vouches_for", vouches)]


def vouched_unseen() -> list[Patch]:
    """An order that vouches may be written in a later epoch than the one whose ledger the admin saw."""
    made = orders.order_draft
    return [(orders, "order_draft", lambda *given: replace(made(*given), still_valid=lambda now: True))]


def gone_equals_unproven() -> list[Patch]:
    """Who vouched for a ledger is taken to have said that the deleted customer was not credited."""

    def acknowledged(payment: str, every: Sequence[Order]) -> frozenset[str]:
        said = (one.instruction for one in every if one.payment == payment and order_rules.is_effective(one, every))
        return frozenset().union(*(one.gone | one.unproven for one in said))

    return [(order_rules, "find_acknowledged_absent", acknowledged)]


def listing_end_believed() -> list[Patch]:
    """A listing that ends proves what it does not show."""
    return [(Proofs, "judge", lambda *_, **__: Proof(proven=True))]


def zero_is_a_beginning() -> list[Patch]:
    """A list that ends where the balance was zero is taken for the ledger's beginning: nobody asks what is behind."""

    async def read_back(customer: Any, read_at: int, anchor: Any, page_behind: Any) -> LedgerReading:
        end: Any = None

        async def page(after: str | None) -> Any:
            nonlocal end
            if end is None:
                told = await page_behind(after)
                end = replace(told, entries=[]) if told.complete else None
                return told
            return end

        return await read(customer, read_at, anchor, page)

    read = ledger_reader.read_back
    return [(ledger_reader, "read_back", read_back)]


def balance_anywhere_in_chain() -> list[Patch]:
    """The balance read before may be that of any entry, not of the newest."""

    def fits(chain: Sequence[Entry], reading: LedgerReading) -> bool:
        balances = {one.ending_cents for one in chain} | {balance_chain.opening_balance(one) for one in chain}
        return reading.balance_cents in (balances or {0})

    return [(balance_chain, "_fits_balance", fits)]


def orders_ledger_unproven() -> list[Patch]:
    """Whatever the list of orders shows are all the orders."""
    return [(orders, "record_flaw", lambda reading, payment: "")]


def new_record_believed() -> list[Patch]:
    """A service record younger than the payment proves that nothing was ordered."""
    flaw = order_rules.find_record_flaw
    return [
        (order_rules, "find_record_flaw", lambda entries, balance, created, before: flaw(entries, balance, 0, before)),
    ]


def orders_of_an_earlier_epoch() -> list[Patch]:
    """A reading of the orders counts for a minute of the process's own clock, whatever Stripe's clock says."""
    return [(orders, "may_still_be_used", lambda reading, origin, now: True)]


def reversal_without_its_entry() -> list[Patch]:
    """Any listing that shows no reversal is enough to take an entry back."""

    async def prove(self: Any, session: Any, entry: Entry) -> Entry | None:
        _, reading = await read_session(session, entry.customer, entry.id)
        return reversal_of(entry, reading.entries) if reading else None

    return [(Reversals, "_require_proof", prove)]


def confirmed_by_oneself() -> list[Patch]:
    """An admin may confirm an order of the same admin."""

    def confirms(one: Order, order: Order) -> bool:
        same = (one.payment, one.text, one.value) == (order.payment, order.text, order.value)
        return one.confirms == order.id and same and one.place > order.place

    return [(order_rules, "_confirms", confirms)]


def deleted_is_absent() -> list[Patch]:
    """A deleted customer is taken for one that was never credited."""
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
    "deleted_is_absent": (deleted_is_absent, ("deleted_after_credit",)),
}
"""Each mutant, and the themes whose seeds are searched for it first."""
