"""Ended sessions as the service record stores them: a digest and the second of its end. Pure but for a late import.

A digest is of one session's id, or of an operator's name: then all sessions begun before that second are ended.
"""

import re
from collections.abc import Collection, Mapping

from chain.signatures import text_digest

KEY = "signed_out"
MAX_SLOTS = 8
PAIRS_PER_SLOT = 25  # of 20 characters with their comma: Stripe allows 500 a value
SESSION_KEPT_SECONDS = 13 * 3600  # longer than a session may be idle
OPERATOR_KEPT_SECONDS = 8 * 24 * 3600  # longer than a session may last
_PAIR = re.compile(r"([0-9a-f]{8}):([0-9]{1,12})")

Pairs = dict[str, int]


class NoRoom(Exception):
    """Every slot is full of pairs that still matter."""


def pair_digest(text: str) -> str:
    """Return the digest of a session's id or an operator's name."""
    return text_digest(text)[:8]


def slot_key(slot: int) -> str:
    """Return the metadata key of a slot."""
    return f"{KEY}:{slot}" if slot else KEY


def parse_slots(metadata: Mapping[str, str]) -> list[Pairs]:
    """Parse the pairs of all slots. What is malformed is skipped."""
    slots = []
    for slot in range(MAX_SLOTS):
        matches = (_PAIR.fullmatch(text) for text in metadata.get(slot_key(slot), "").split(","))
        pairs: Pairs = {}
        for match in filter(None, matches):
            pairs[match[1]] = max(int(match[2]), pairs.get(match[1], 0))
        slots.append(pairs)
    return slots


def merge_slots(slots: Collection[Pairs]) -> Pairs:
    """Return the latest second of each digest."""
    merged: Pairs = {}
    for pairs in slots:
        for digest, second in pairs.items():
            merged[digest] = max(second, merged.get(digest, 0))
    return merged


def plan_write(slots: list[Pairs], digest: str, second: int, operators: Collection[str], start: int) -> dict[str, str]:
    """Return the metadata that adds a pair to the first slot from `start` on with room; empty if it is there.

    What no longer matters is dropped from that slot. `operators` are digests of names, which are kept longer.

    Raises: NoRoom.
    """
    if merge_slots(slots).get(digest, 0) >= second:
        return {}
    for offset in range(MAX_SLOTS):
        slot = (start + offset) % MAX_SLOTS
        pairs = {}
        for other, ended_at in slots[slot].items():
            kept = OPERATOR_KEPT_SECONDS if other in operators else SESSION_KEPT_SECONDS
            if ended_at + kept >= second and other != digest:
                pairs[other] = ended_at
        if len(pairs) < PAIRS_PER_SLOT:
            text = ",".join(f"{other}:{ended_at}" for other, ended_at in {**pairs, digest: second}.items())
            return {slot_key(slot): text}
    raise NoRoom("too many sessions were ended in the last days")
