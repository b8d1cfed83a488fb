"""What `ledger.match` should answer: each entry is looked at alone, then the strongest decides."""

import re
from collections.abc import Sequence
from enum import Enum, auto

from chain.payment import Payment
from stateless_billing.domain.ledger import DescriptionPattern, Entry

HOUR, TWO_MINUTES = 3600, 120


class Shown(Enum):
    """What an entry of a listing is, seen from one payment. Stronger kinds come first."""

    ITS_NAME = auto()  # a credit under the payment's identity
    FORMER_NAME = auto()  # a credit of the same sequence and facts under another identity
    BARE = auto()  # a credit of these cents that names no payment
    OTHER_FACTS = auto()  # a credit of the same sequence with other facts
    UNRELATED = auto()


def shown_as(
    payment: Payment,
    cents: int | None,
    entry: Entry,
    entries: Sequence[Entry],
    other_credits: DescriptionPattern,
    *,
    redirected: bool,
) -> Shown:
    """The strongest thing that an entry is."""
    kinds = {Shown.UNRELATED}
    names = entry.metadata.get("payment", "").strip().lower().split(":")
    is_credit = entry.metadata.get("kind") == "payment"
    if is_credit and ":".join(names) == payment.identity and not is_undone(payment, entry, entries):
        kinds.add(Shown.ITS_NAME)
    if is_credit and not redirected and "order" not in entry.metadata and entry.created >= payment.time - HOUR:
        same_gateway = names[:2] == [str(payment.chain_id), payment.gateway]
        if same_gateway and entry.metadata.get("sequence") == str(payment.sequence):
            kinds.add(Shown.FORMER_NAME if has_same_facts(payment, entry) else Shown.OTHER_FACTS)
    if cents is not None and is_bare(payment, cents, entry, other_credits):
        kinds.add(Shown.BARE)
    return min(kinds, key=lambda kind: kind.value)


def judge(
    payment: Payment,
    cents: int | None,
    entries: Sequence[Entry],
    other_credits: DescriptionPattern,
    *,
    redirected: bool = False,
) -> tuple[Shown, str | None]:
    """The strongest kind in a listing, and the ID of the oldest entry of that kind."""
    ranked = [
        (
            shown_as(payment, cents, entry, entries, other_credits, redirected=redirected).value,
            entry.created,
            entry.id,
        )
        for entry in entries
    ]
    kind, _, identifier = min(ranked, default=(Shown.UNRELATED.value, 0, ""))
    return Shown(kind), None if kind == Shown.UNRELATED.value else identifier


def has_same_facts(payment: Payment, entry: Entry) -> bool:
    """Whether wallet, amount and, for a quoted payment, cents are those of the payment."""
    metadata = entry.metadata
    if metadata.get("wallet", "").strip().lower() != payment.wallet or metadata.get("amount") != str(payment.amount):
        return False
    if payment.cents == 0:
        return metadata.get("rate_source") != "quote"
    return metadata.get("rate_source") == "quote" and entry.cents == payment.cents


def is_undone(payment: Payment, entry: Entry, entries: Sequence[Entry]) -> bool:
    """Whether a credit of other cents than the final event's was reversed in full: it no longer counts."""
    return payment.cents > 0 and entry.cents != payment.cents and net(entry, entries) == 0


def net(entry: Entry, entries: Sequence[Entry]) -> int:
    """The cents of an entry and of every reversal that reaches it, one after the other."""
    total, reached, changed = entry.cents, {entry.id}, True
    while changed:
        changed = False
        for row in entries:
            if (
                row.metadata.get("kind") == "reversal"
                and row.id not in reached
                and row.metadata.get("reverses") in reached
            ):
                reached.add(row.id)
                total += row.cents
                changed = True
    return total


def is_bare(payment: Payment, cents: int, entry: Entry, other_credits: DescriptionPattern) -> bool:
    """Whether an entry may be the payment's credit after somebody edited its metadata."""
    kind = entry.metadata.get("kind", "")
    identity = entry.metadata.get("payment", "").strip().lower()
    if kind in ("grant", "reversal", "reservation", "order"):
        return False
    if kind == "payment" and re.fullmatch(r"[0-9]+:0x[0-9a-f]{40}:0x[0-9a-f]{64}:[0-9]+", identity):
        return False
    description = entry.description.strip().lower()
    described = re.fullmatch(r"litkey payment 0x[0-9a-f]{64}", description) is not None
    lead = HOUR if described else TWO_MINUTES
    names_it = payment.cents == 0 and payment.tx_hash in entry.description.lower()
    return (
        entry.type == "adjustment"
        and entry.created >= payment.time - lead
        and (entry.cents == cents or names_it)
        and not other_credits.search(entry.description)
    )
