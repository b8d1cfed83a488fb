"""What is owed for a payment, what Stripe shows for it, and whether the two agree. Pure.

Credits are positive cents here; the sign is Stripe's concern (`stripe_ledger` converts it).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from chain.payment import Payment
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.money import RATE_SCALE, Rate, format_decimal

CURRENCY = "usd"
BLOCK_AHEAD = 120  # seconds by which a block's time may lie ahead of Stripe's clock
KINDS = ("payment", "grant", "reversal", "reservation", "order")
_IDENTITY = re.compile(r"[0-9]+:0x[0-9a-f]{40}:0x[0-9a-f]{64}:[0-9]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One Stripe customer balance transaction. `cents` and `ending_cents` count credit as positive."""

    id: str
    cents: int
    created: int
    currency: str
    customer: str
    type: str
    description: str
    ending_cents: int
    metadata: Mapping[str, str]

    @property
    def kind(self) -> str | None:
        """Which of our kinds of entry it is; None for other systems' entries."""
        return self.metadata.get("kind")


@dataclass(frozen=True, slots=True)
class Price:
    """The cents of one payment; `rate` and `discount_bps` say how a plain one was priced."""

    cents: int
    rate: Rate | None = None
    discount_bps: int = 0
    order: str | None = None  # the entry of the order that it follows


class MatchOutcome(Enum):
    """What a complete listing shows of one payment."""

    CREDITED = "its credit is there"
    ABSENT = "nothing that could be its credit is there"
    OTHER_FACTS = "its sequence was credited with other facts"
    ALTERED = "a credit of these cents without our metadata is there"


@dataclass(frozen=True, slots=True)
class Match:
    """A finding, and the entry it rests on."""

    finding: MatchOutcome
    entry: Entry | None = None


def match(
    payment: Payment,
    cents: int | None,
    entries: Sequence[Entry],
    other_credits: re.Pattern[str],
    *,
    redirected: bool = False,
) -> Match:
    """Compare one payment with its customer's complete listing since an hour before its block, or since earlier.

    `cents` is what would be credited, None where no price could be had. Oldest entries win, so that a second credit
    never hides the first. On the customer that an order names (`redirected`) sequences mean that customer's own
    payments, so the identity alone counts; and a credit under an order is of a final payment, whose name stays.
    """
    oldest_first = sorted(entries, key=lambda entry: (entry.created, entry.id))
    ours = [entry for entry in oldest_first if entry.kind == "payment"]
    unordered = [] if redirected else [entry for entry in ours if "order" not in entry.metadata]
    same_sequence = [entry for entry in unordered if _has_same_sequence(payment, entry)]
    for entry in ours:
        if _parse_hex(entry, "payment") == payment.identity and not _is_void(payment, entry, entries):
            return Match(MatchOutcome.CREDITED, entry)
    for entry in same_sequence:
        if _is_renamed(payment, entry):
            return Match(MatchOutcome.CREDITED, entry)
    for entry in oldest_first:
        if cents is not None and _may_be_stripped(payment, cents, entry, other_credits):
            return Match(MatchOutcome.ALTERED, entry)
    return Match(MatchOutcome.OTHER_FACTS, same_sequence[0]) if same_sequence else Match(MatchOutcome.ABSENT)


def _parse_hex(entry: Entry, name: str) -> str:
    """A metadata value for comparing: people may edit it, and hex means the same in capitals."""
    return entry.metadata.get(name, "").strip().lower()


def _has_same_sequence(payment: Payment, entry: Entry) -> bool:
    chain_id, gateway, *_ = [*_parse_hex(entry, "payment").split(":"), ""]
    same_gateway = (chain_id, gateway) == (str(payment.chain_id), payment.gateway)
    # An older one is of a payment that a reorganisation took away; this one only has its number.
    of_its_time = entry.created >= payment.time - LISTING_LEAD_SECONDS
    return same_gateway and of_its_time and entry.metadata.get("sequence") == str(payment.sequence)


def _is_void(payment: Payment, entry: Entry, entries: Sequence[Entry]) -> bool:
    """Whether a credit of other cents than the event promises now (after a reorganisation) was reversed in full."""
    return payment.quoted and entry.cents != payment.cents and net_cents(entry, entries) == 0


def _is_renamed(payment: Payment, entry: Entry) -> bool:
    """A reorganisation gave the same payment another EVM transaction or ordinal."""
    same = (_parse_hex(entry, "wallet"), entry.metadata.get("amount")) == (payment.wallet, str(payment.amount))
    quoted = entry.metadata.get("rate_source") == "quote"
    return same and quoted == payment.quoted and (not quoted or entry.cents == payment.cents)


def _may_be_stripped(payment: Payment, cents: int, entry: Entry, other_credits: re.Pattern[str]) -> bool:
    """Ours are always adjustments; the other types are Stripe's own doings and cannot be a credit of ours.

    The price of a plain one may differ when it is asked for again, so its description tells as well as its cents.
    """
    return (
        not _is_whole(entry)
        and entry.type == "adjustment"
        and (entry.cents == cents or (not payment.quoted and payment.tx_hash in entry.description.lower()))
        and entry.created >= payment.time - BLOCK_AHEAD
        and not other_credits.search(entry.description)
    )


def _is_whole(entry: Entry) -> bool:
    """Whether the metadata says what the entry is: one of our kinds, a credit with its payment."""
    return entry.kind in KINDS and (entry.kind != "payment" or bool(_IDENTITY.fullmatch(_parse_hex(entry, "payment"))))


def is_identity(text: str) -> bool:
    """Whether `text` has the form of a payment's identity."""
    return _IDENTITY.fullmatch(text) is not None


def net_cents(credit: Entry, entries: Iterable[Entry]) -> int:
    """The cents of a credit and of all entries that reach it through `reverses`."""
    reversals = [entry for entry in entries if entry.kind == "reversal"]
    reached, total = {credit.id}, credit.cents
    while more := [one for one in reversals if one.metadata.get("reverses") in reached and one.id not in reached]:
        reached.update(one.id for one in more)
        total += sum(one.cents for one in more)
    return total


def reversal_of(entry: Entry, entries: Iterable[Entry]) -> Entry | None:
    """The entry that takes `entry` back, the oldest where there are several."""
    found = [one for one in entries if one.kind == "reversal" and one.metadata.get("reverses") == entry.id]
    return min(found, key=lambda one: (one.created, one.id), default=None)


def credit_key(payment: Payment, epoch: int) -> str:
    """The idempotency key of a payment's credit in one epoch, whoever is credited.

    The event's own customer and sequence stand in it, so that a credit under an order and one without exclude each
    other. Its form may only change with every process stopped for 25 h.
    """
    if payment.customer_id is None:
        return f"payment:{payment.chain_id}:{payment.gateway}:{payment.tx_hash}:{payment.ordinal}:{epoch}"
    return f"payment:{payment.chain_id}:{payment.gateway}:{payment.customer_id}:{payment.sequence}:{epoch}"


def credit_description(payment: Payment) -> str:
    """What people read in Stripe beside a credit."""
    return f"LITKEY payment {payment.tx_hash}"


def credit_metadata(payment: Payment, price: Price) -> dict[str, str]:
    """A credit's metadata: a function of the payment and, for a plain one, of its price. Pinned by a golden test."""
    metadata = {
        "kind": "payment",
        "payment": payment.identity,
        "sequence": str(payment.sequence),
        "block": str(payment.block),
        "wallet": payment.wallet,
        "payer": payment.payer,
        "amount": str(payment.amount),
    }
    if price.order:
        metadata["order"] = price.order
    if price.rate is None:
        return metadata | {"rate_source": "quote"}
    return metadata | {
        "rate": format_decimal(price.rate.market, len(str(RATE_SCALE)) - 1),
        "rate_source": price.rate.source,
        "rate_at": str(price.rate.at),
        "discount_bps": str(price.discount_bps),
    }


@dataclass(frozen=True, slots=True)
class Cursor:
    """A customer's cursor: everything before `next` is credited; `before` is the tx hash of the payment before it."""

    next: int
    before: str

    def __str__(self) -> str:
        return f"{self.next}:{self.before}"


_CURSOR = re.compile(r"([1-9][0-9]{0,18}):(0x[0-9a-f]{64})")


def cursor_key(chain_id: int, gateway: str) -> str:
    """The customer metadata key of a gateway's cursor."""
    return f"gateway:{chain_id}:{gateway[2:10]}"


def parse_cursor(text: str | None) -> Cursor | None:
    """A cursor as metadata holds it; None where it is absent or no cursor."""
    found = _CURSOR.fullmatch((text or "").strip().lower())
    return Cursor(int(found[1]), found[2]) if found else None
