"""The alphabet of small ledgers: what each letter writes at its place."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from msgspec.structs import replace

from chain.payment import Payment
from stateless_billing.domain.ledger import Entry
from tests.fakes.factories import OTHER_GATEWAY, entry, payment, tx_hash

OTHER_CREDITS = re.compile("^Top-up via pi_")
QUOTED = payment()
PLAIN = replace(QUOTED, cents=0)
PRICE = 5_400
"""Cents of the plain payment at its price."""
LETTERS = "=u~+!w?oOgbdDxmktcrhR"
MEANING = {
    "=": "its credit",
    "u": "its credit, in capitals and with spaces",
    "~": "its credit under another cents, as before a reorganisation",
    "+": "its credit under the name of another EVM transaction",
    "!": "a credit of its sequence with another amount",
    "w": "a credit of its sequence whose wallet was removed",
    "?": "a credit of its sequence from long before its block, under another name",
    "o": "its credit under an order",
    "O": "a credit of its sequence and facts under an order, for another payment",
    "g": "a credit of another gateway with its sequence",
    "b": "a credit of these cents without metadata",
    "d": "the same, described as ours",
    "D": "the same, from half an hour before the block",
    "x": "a credit of other cents without metadata",
    "m": "its credit with a broken identity",
    "k": "a grant of these cents",
    "t": "a top-up of these cents by another system",
    "c": "a charge of these cents",
    "r": "the reversal of the entry before it",
    "h": "the reversal of half the entry before it",
    "R": "the reversal of the first entry",
}


def cents_of(subject: Payment) -> int:
    """What would be credited."""
    return subject.cents or PRICE


@cache
def _letter(letter: str, place: int, subject: Payment) -> Entry:
    """The entry of a letter that reverses nothing."""
    cents, metadata = cents_of(subject), _metadata(subject)
    changes: dict[str, Mapping[str, object]] = {
        "=": {"metadata": metadata},
        "u": {"metadata": metadata | {"payment": f" {subject.identity.upper()} "}},
        "~": {"metadata": metadata, "cents": cents - 1},
        "+": {"metadata": metadata | {"payment": replace(subject, tx_hash=tx_hash(9)).identity}},
        "!": {"metadata": metadata | {"payment": replace(subject, tx_hash=tx_hash(8)).identity, "amount": "1"}},
        "w": {"metadata": _without(metadata | {"payment": replace(subject, tx_hash=tx_hash(4)).identity}, "wallet")},
        "?": {"metadata": metadata | {"payment": replace(subject, tx_hash=tx_hash(7)).identity}, "created": -7_200},
        "o": {"metadata": metadata | {"order": "cbtxn_o"}},
        "O": {"metadata": metadata | {"payment": replace(subject, tx_hash=tx_hash(6)).identity, "order": "cbtxn_o"}},
        "g": {"metadata": metadata | {"payment": replace(subject, gateway=OTHER_GATEWAY).identity}},
        "b": {"metadata": {}},
        "d": {"metadata": {}, "description": f"LITKEY payment {tx_hash(5)}"},
        "D": {"metadata": {}, "description": f"LITKEY payment {subject.tx_hash}", "created": -1_800},
        "x": {"metadata": {}, "cents": cents + 1},
        "m": {"metadata": metadata | {"payment": subject.identity[:-1]}},
        "k": {"metadata": {"kind": "grant", "grant": "g1"}},
        "t": {"metadata": {}, "description": "Top-up via pi_1"},
        "c": {"metadata": {}, "cents": -cents},
    }
    values = {"id": f"cbtxn_{place}", "cents": cents, "description": "Usage", **changes[letter]}
    values["created"] = subject.time + int(str(values.get("created", 60))) + place
    return entry(**values)


def _metadata(subject: Payment) -> dict[str, str]:
    return {
        "kind": "payment",
        "payment": subject.identity,
        "sequence": str(subject.sequence),
        "wallet": subject.wallet,
        "amount": str(subject.amount),
        "rate_source": "quote" if subject.quoted else "coingecko:lit-protocol",
    }


def _without(metadata: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if key != name}


def _reversal(place: int, subject: Payment, reversed_entry: Entry | None, share: int) -> Entry:
    cents = reversed_entry.cents if reversed_entry else 700
    reverses = reversed_entry.id if reversed_entry else "cbtxn_old"
    metadata = {"kind": "reversal", "reverses": reverses}
    created = subject.time + 60 + place
    return entry(id=f"cbtxn_{place}", cents=-cents // share, created=created, metadata=metadata)


def ledger_of(word: Sequence[str], subject: Payment) -> list[Entry]:
    """The ledger that a word spells, oldest entry first."""
    entries: list[Entry] = []
    for place, letter in enumerate(word):
        if letter not in "rhR":
            entries.append(_letter(letter, place, subject))
            continue
        reversed_entry = (entries[0] if letter == "R" else entries[-1]) if entries else None
        entries.append(_reversal(place, subject, reversed_entry, 2 if letter == "h" else 1))
    return entries


def subjects() -> Iterator[tuple[Payment, int | None, bool]]:
    """Each payment, the cents that would be credited, and whether the customer is one that an order names."""
    for subject in (QUOTED, PLAIN):
        for cents in (None, cents_of(subject)):
            for redirected in (False, True):
                yield subject, cents, redirected
