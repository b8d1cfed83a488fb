"""What `grants/caps.py` should answer, from the ledger as it really is, oldest row first."""

from collections.abc import Sequence

from stateless_billing.domain.ledger import Entry
from tests.specifications.matching import net

DAY = 24 * 3600


def verdict(place: int, ledger: Sequence[Entry]) -> str:
    """The cap that the reservation at a place breaks, or `fits`. Later rows do not exist for it."""
    mine, known = ledger[place], ledger[: place + 1]
    per_grant, per_operator, everyone = map(int, mine.metadata["caps"].split(":"))
    by_operator = by_all = 0
    for row in known:
        if row.created < mine.created - DAY or row.cents <= 0 or row.metadata.get("kind") == "reversal":
            continue
        used = max(0, net(row, known))
        by_all += used
        if row.metadata.get("operator") in (None, mine.metadata["operator"]):
            by_operator += used
    if mine.cents > per_grant:
        return "per_grant"
    if by_operator > per_operator:
        return "operator"
    return "everyone" if by_all > everyone else "fits"
