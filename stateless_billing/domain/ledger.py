"""Ledger entries, the fields of a credit, and matching a payment with its credit. Pure.

Credits are positive cents here. `stripe/objects.py` converts from Stripe's sign.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, Self

import msgspec

from chain.payment import Payment, parse_identity
from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS
from stateless_billing.domain.money import RATE_SCALE, Rate, format_decimal

CURRENCY = "usd"
BLOCK_LEAD_SECONDS = 120  # seconds by which a block's time may be ahead of Stripe's clock
KINDS = ("payment", "grant", "reversal", "reservation", "order")
OTHER_CREDITS = (
    "topup=^(Auto top-up|Top-up) via pi_;enterprise=^Enterprise (buffer regrant|credit buffer)"
    ";old_grants=^Admin grant:;old_litkey=^LITKEY payment tx="
)  # the other systems of the live account
_NAMED_PATTERN = re.compile(r"([a-z][a-z0-9_]{0,39})=(.+)", re.DOTALL)
_DESCRIPTION = re.compile(r"litkey payment 0x[0-9a-f]{64}")


class Entry(msgspec.Struct, frozen=True):
    """A customer balance transaction in Stripe.

    `cents` and `ending_cents` count credit as positive.
    """

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
        """The kind of entry, one of KINDS; None for other systems' entries."""
        return self.metadata.get("kind")


@dataclass(frozen=True, slots=True)
class Price:
    """The credit for a payment: `cents`, and for a plain one the rate and discount behind them."""

    cents: int
    rate: Rate | None = None
    discount_bps: int = 0
    order: str | None = None  # entry ID of the order that the credit follows


class DescriptionPattern(Protocol):
    """Recognizes the descriptions of credits that other systems write."""

    def search(self, description: str, /) -> object | None:
        """Return something unless the description is unknown."""
        ...


@dataclass(frozen=True, slots=True)
class OtherCredits:
    """The other systems of the account that write credits, each with the pattern of its descriptions."""

    patterns: tuple[tuple[str, re.Pattern[str]], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `name=regex;name=regex`. One pattern without a name, the form of older versions, is named `other`.

        Raises: ValueError.
        """
        patterns: dict[str, re.Pattern[str]] = {}
        for part in filter(None, map(str.strip, text.split(";"))):
            match = _NAMED_PATTERN.fullmatch(part)
            name, pattern = (match[1], match[2]) if match else ("other", part)
            if name in patterns:
                raise ValueError("must give each pattern its own name: name=regex, with ; between")
            try:
                patterns[name] = re.compile(pattern)
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError("must be regular expressions as name=regex, with ; between") from error
        return cls(tuple(patterns.items()))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the systems."""
        return tuple(name for name, _ in self.patterns)

    def search(self, description: str, /) -> str | None:
        """Return the name of the system that writes such descriptions, the first that fits; None if none does."""
        return next((name for name, pattern in self.patterns if pattern.search(description)), None)


class MatchOutcome(Enum):
    """What a complete listing shows about a payment."""

    CREDITED = "its credit is there"
    ABSENT = "nothing that could be its credit is there"
    OTHER_FACTS = "its sequence was credited with other facts"
    ALTERED = "a credit of these cents without our metadata is there"


@dataclass(frozen=True, slots=True)
class Match:
    """An outcome, and the entry it is based on."""

    outcome: MatchOutcome
    entry: Entry | None = None


def match(
    payment: Payment,
    cents: int | None,
    entries: Sequence[Entry],
    other_credits: DescriptionPattern,
    *,
    redirected: bool = False,
) -> Match:
    """Find a payment's credit in its customer's complete listing.

    The listing starts an hour before the payment's block, or earlier. `cents` is what would be credited; None if there
    is no price. The oldest entry wins, so that a second credit cannot hide the first. Sequences are not compared in two
    cases: on a customer that an order names (`redirected`), where they number that customer's own payments, and for a
    credit under an order, whose payment was final, so a reorg cannot have renamed it.
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
    """Return a hex metadata value normalized for comparison; people may have edited it."""
    return entry.metadata.get(name, "").strip().lower()


def _has_same_sequence(payment: Payment, entry: Entry) -> bool:
    chain_id, gateway, *_ = [*_parse_hex(entry, "payment").split(":"), ""]
    same_gateway = (chain_id, gateway) == (str(payment.chain_id), payment.gateway)
    # An older credit belongs to a payment that a reorg removed; this payment only reuses its sequence.
    is_recent = entry.created >= payment.time - LISTING_LEAD_SECONDS
    return same_gateway and is_recent and entry.metadata.get("sequence") == str(payment.sequence)


def _is_void(payment: Payment, entry: Entry, entries: Sequence[Entry]) -> bool:
    """Whether a credit was reversed in full after a reorg changed the cents of the event."""
    return payment.quoted and entry.cents != payment.cents and net_cents(entry, entries) == 0


def _is_renamed(payment: Payment, entry: Entry) -> bool:
    """Whether a credit names the transaction and ordinal that the payment had before a reorg."""
    same = (_parse_hex(entry, "wallet"), entry.metadata.get("amount")) == (payment.wallet, str(payment.amount))
    quoted = entry.metadata.get("rate_source") == "quote"
    return same and quoted == payment.quoted and (not quoted or entry.cents == payment.cents)


def _may_be_stripped(payment: Payment, cents: int, entry: Entry, other_credits: DescriptionPattern) -> bool:
    """Whether an entry may be this payment's credit with its metadata edited or removed.

    Our credits are always of type `adjustment`. A plain payment may be priced differently now than when it was
    credited, so its description identifies it as well as its cents. An entry from before the payment's block that is
    still described as our credit may belong to the payment as it was before a reorg moved it.
    """
    return (
        not _has_intact_metadata(entry)
        and entry.type == "adjustment"
        and (entry.cents == cents or (not payment.quoted and payment.tx_hash in entry.description.lower()))
        and entry.created >= payment.time - (LISTING_LEAD_SECONDS if _is_described(entry) else BLOCK_LEAD_SECONDS)
        and not other_credits.search(entry.description)
    )


def _is_described(entry: Entry) -> bool:
    return _DESCRIPTION.fullmatch(entry.description.strip().lower()) is not None


def _has_intact_metadata(entry: Entry) -> bool:
    """Whether the metadata states one of our kinds and, for a credit, its payment."""
    return entry.kind in KINDS and (entry.kind != "payment" or is_identity(_parse_hex(entry, "payment")))


def is_identity(text: str) -> bool:
    """Whether `text` has the form of a payment's identity."""
    return parse_identity(text) is not None


def net_cents(credit: Entry, entries: Iterable[Entry]) -> int:
    """Return the sum of a credit and of all reversals that lead to it through `reverses`."""
    reversals = [entry for entry in entries if entry.kind == "reversal"]
    reached, total = {credit.id}, credit.cents
    while more := [row for row in reversals if row.metadata.get("reverses") in reached and row.id not in reached]:
        reached.update(row.id for row in more)
        total += sum(row.cents for row in more)
    return total


def reversal_of(entry: Entry, entries: Iterable[Entry]) -> Entry | None:
    """Return the reversal of `entry`, the oldest if there are several; None if there is none."""
    reversals = [row for row in entries if row.kind == "reversal" and row.metadata.get("reverses") == entry.id]
    return min(reversals, key=lambda row: (row.created, row.id), default=None)


def credit_key(payment: Payment, epoch: int) -> str:
    """Return the idempotency key of a payment's credit in one epoch.

    It does not depend on who is credited: it contains the event's customer and sequence, so that a credit under an
    order and one without exclude each other. Its format may change only after every process has been stopped for 25
    hours.
    """
    if payment.customer_id is None:
        return f"payment:{payment.chain_id}:{payment.gateway}:{payment.tx_hash}:{payment.ordinal}:{epoch}"
    return f"payment:{payment.chain_id}:{payment.gateway}:{payment.customer_id}:{payment.sequence}:{epoch}"


def credit_description(payment: Payment) -> str:
    """Return the description of a credit, as people see it in Stripe."""
    return f"LITKEY payment {payment.tx_hash}"


def credit_metadata(payment: Payment, price: Price) -> dict[str, str]:
    """Return a credit's metadata, a function of the payment and, if it is plain, of its price.

    A golden test pins it: like the key, it may change only after every process has been stopped for 25 hours.
    """
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
    """A customer's cursor: every payment before sequence `next` is credited.

    `before` is the tx hash of the last of them.
    """

    next: int
    before: str

    def __str__(self) -> str:
        return f"{self.next}:{self.before}"


_CURSOR = re.compile(r"([1-9][0-9]{0,18}):(0x[0-9a-f]{64})")


def cursor_key(chain_id: int, gateway: str) -> str:
    """Return the customer metadata key of a gateway's cursor."""
    return f"gateway:{chain_id}:{gateway[2:10]}"


def parse_cursor(text: str | None) -> Cursor | None:
    """Parse a cursor from metadata; None if it is absent or malformed."""
    match = _CURSOR.fullmatch((text or "").strip().lower())
    return Cursor(int(match[1]), match[2]) if match else None
