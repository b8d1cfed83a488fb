"""Asks the model at each decision of the service while the simulation runs, and compares the answers."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chain.payment import Payment
from stateless_billing.bookkeeping import entry_writer, orders
from stateless_billing.bookkeeping.entry_writer import EntryDraft
from stateless_billing.bookkeeping.orders import READING_TTL_SECONDS, PaymentOrders, RecordReading
from stateless_billing.bookkeeping.proofs import Proof, Proofs
from stateless_billing.crediting import attempts
from stateless_billing.crediting.attempts import Attempt
from stateless_billing.crediting.payment_status import PaymentStatus
from stateless_billing.domain import ledger
from stateless_billing.domain.balance_chain import LedgerReading, find_flaw
from stateless_billing.domain.epochs import EpochPosition
from stateless_billing.domain.ledger import DescriptionPattern, Entry, Match, MatchOutcome
from stateless_billing.stripe.client import StripeSession
from stateless_billing.stripe.objects import Customer
from tests.model.rules import Finding, deleted_blocks, is_proven, judge_entries, may_send, orders_count
from tests.specifications.epochs import Position, is_young, position
from tests.specifications.matching import shown_as

_OUTCOMES = {
    MatchOutcome.CREDITED: Finding.CREDITED,
    MatchOutcome.ALTERED: Finding.STRIPPED,
    MatchOutcome.OTHER_FACTS: Finding.CONFLICT,
    MatchOutcome.ABSENT: Finding.NOTHING,
}
_HALF_AN_HOUR = 1800
_ROUNDING_SECONDS = 2  # Stripe's clock is in whole seconds


@dataclass
class Comparison:
    """How many decisions of each kind were compared, and those in which the service and the model differ."""

    asked: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def compare(self, kind: str, service: object, model: object, about: object = "") -> None:
        """Count one decision."""
        self.asked[f"{kind}: {model}"] += 1
        if service != model:
            self.differences.append(f"{kind}: the service says {service}, the model {model}, about {about}")


@contextlib.contextmanager
def watched(comparison: Comparison) -> Iterator[None]:
    """Compare every decision that the service takes within the block."""
    patches = [
        *_sends(comparison),
        (ledger, "match", _match(comparison, ledger.match)),
        (Proofs, "judge", _judge(comparison, Proofs.judge)),
        (orders, "may_still_be_used", _may_still_be_used(comparison, orders.may_still_be_used)),
        (Attempt, "_judge_absent", _judge_absent(comparison, Attempt._judge_absent)),
    ]
    originals = [(owner, name, vars(owner)[name]) for owner, name, _ in patches]
    try:
        for owner, name, value in patches:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in originals:
            setattr(owner, name, value)


def _sends(comparison: Comparison) -> list[tuple[Any, str, Any]]:
    """Whether a write is sent, and whether it may still be sent right before each socket write; under which key."""
    original_write, original_create = entry_writer.write_entry, StripeSession.create_entry
    drafts: dict[StripeSession, tuple[EntryDraft, EpochPosition | None]] = {}

    async def write_entry(session: StripeSession, draft: EntryDraft, checked_at: EpochPosition | None) -> Entry:
        now = session.now()
        drafts[session] = draft, checked_at
        try:
            return await original_write(session, draft, checked_at)
        finally:
            was_sent = drafts.pop(session, None) is None
            comparison.compare(
                "may be sent", was_sent, _may_send(draft, checked_at, now, young=True), now - draft.origin
            )

    async def create_entry(self: StripeSession, **arguments: Any) -> Entry:
        draft, checked_at = drafts.pop(self)
        begun = position(self.now(), draft.origin)
        comparison.compare("key of the epoch", arguments["key"] == draft.idempotency_key(begun.epoch), True)
        original_valid: Callable[[int], bool] = arguments["still_valid"]

        def still_valid(now: int) -> bool:
            valid = original_valid(now)
            young = checked_at is not None or is_young(now, draft.origin)
            in_time = position(now, draft.origin) == begun and _may_send(draft, checked_at, now, young=young)
            if checked_at is not None:
                in_time = in_time and draft.still_valid(now)  # a form may have died meanwhile
            comparison.compare("may still be sent", valid, in_time, now - draft.origin)
            return valid

        return await original_create(self, **{**arguments, "still_valid": still_valid})

    return [
        (attempts, "write_entry", write_entry),
        (entry_writer, "write_entry", write_entry),
        (StripeSession, "create_entry", create_entry),
    ]


def _may_send(draft: EntryDraft, checked_at: EpochPosition | None, now: int, *, young: bool) -> bool:
    evidence = Position(checked_at.epoch, checked_at.in_quiet_zone) if checked_at else None
    return may_send(evidence, position(now, draft.origin), young=young)


def _match(comparison: Comparison, original: Callable[..., Match]) -> Callable[..., Match]:
    def match(
        payment: Payment,
        cents: int | None,
        entries: Sequence[Entry],
        other_credits: DescriptionPattern,
        *,
        redirected: bool = False,
    ) -> Match:
        answer = original(payment, cents, entries, other_credits, redirected=redirected)
        shown = [shown_as(payment, cents, entry, entries, other_credits, redirected=redirected) for entry in entries]
        comparison.compare("listing", _OUTCOMES[answer.outcome], judge_entries(shown), payment.identity)
        return answer

    return match


def _judge(comparison: Comparison, original: Callable[..., Proof]) -> Callable[..., Proof]:
    """The model keeps its own first tellings: one for each process, payment, customer, epoch and oldest entry."""
    first: dict[object, tuple[Proofs, str, int]] = {}

    def judge(
        self: Proofs, sought: str, customer: str, epoch: int, reading: LedgerReading, *, unused: bool = False
    ) -> Proof:
        proof = original(self, sought, customer, epoch, reading, unused=unused)
        if find_flaw(reading):
            comparison.compare("proven", proof.proven, False)
            return proof
        if unused and not reading.entries:
            comparison.compare("proven, unused", proof.proven, True)
            return proof
        key = id(self), sought, customer, epoch
        _, oldest, told_at = first.get(key, (self, "", reading.read_at))
        if oldest != reading.oldest_id or told_at > reading.read_at:
            oldest, told_at = reading.oldest_id, reading.read_at
        first[key] = self, oldest, told_at
        model = is_proven(reading.read_at - told_at >= _HALF_AN_HOUR)
        comparison.compare("proven", proof.proven, model, (sought, customer))
        return proof

    return judge


def _may_still_be_used(
    comparison: Comparison, original: Callable[[RecordReading, int, int], bool]
) -> Callable[[RecordReading, int, int], bool]:
    def may_still_be_used(reading: RecordReading, origin: int, now: int) -> bool:
        answer = original(reading, origin, now)
        is_recent = -_ROUNDING_SECONDS <= now - reading.started_at <= READING_TTL_SECONDS
        counts = orders_count(position(reading.started_at, origin), position(now, origin))
        comparison.compare("orders count", answer, is_recent and counts, (reading.started_at - origin, now - origin))
        return answer

    return may_still_be_used


def _judge_absent(comparison: Comparison, original: Callable[..., Any]) -> Callable[..., Any]:
    def judge_absent(self: Attempt, customer_id: str, customer: Customer | None, orders: PaymentOrders) -> Any:
        answer = original(self, customer_id, customer, orders)
        assert self._started_at is not None
        acknowledged = customer_id in orders.absent_customers
        blocks = deleted_blocks(self._started_at.epoch, acknowledged=acknowledged)
        is_target = customer_id == self._credited_customer_id
        comparison.compare("deleted holds", isinstance(answer, PaymentStatus), blocks or is_target, customer_id)
        return answer

    return judge_absent


def summary(asked: Mapping[str, int]) -> str:
    """How often each decision was compared."""
    return " ".join(f"{name.replace(' ', '_').replace(':_', '=')}:{count}" for name, count in sorted(asked.items()))
