"""Suggests which of several customers with one wallet is the one that its owner uses. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from stateless_billing.support.customer_facts import CustomerFacts


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A customer, and the clause after "because"."""

    customer_id: str
    reason: str


def suggest_customer(holders: Sequence[CustomerFacts]) -> Suggestion | None:
    """Suggest one of the holders; None if nothing tells them apart, or what would cannot be read."""
    usable = [holder for holder in holders if holder.obstacle is None]
    if not usable or any(holder.payments is None for holder in usable):
        return None
    if len(usable) == 1:
        return Suggestion(usable[0].customer.id, "no other can be credited")
    most = max(holder.payments or 0 for holder in usable)
    payers = [holder for holder in usable if holder.payments == most]
    if len(payers) == 1:
        count = f"{most} payments" if most != 1 else "1 payment"
        return Suggestion(payers[0].customer.id, f"it has {count} on the chain and no other has as many")
    suggestion = _suggest_by_use(payers)
    if suggestion is None or len(payers) == len(usable):
        return suggestion
    return Suggestion(suggestion.customer_id, f"of those with the most payments on the chain, {suggestion.reason}")


def _suggest_by_use(holders: Sequence[CustomerFacts]) -> Suggestion | None:
    """Suggest the customer whose ledger was used last; of those never used, the one created first."""
    used = sorted((holder for holder in holders if holder.last_activity), key=lambda holder: holder.last_activity or 0)
    if len(used) == 1:
        return Suggestion(used[0].customer.id, "no other has an entry in its ledger")
    if used:
        is_tie = used[-1].last_activity == used[-2].last_activity
        return None if is_tie else Suggestion(used[-1].customer.id, "its ledger has the newest entry")
    first, second = sorted(holders, key=lambda holder: holder.customer.created)[:2]
    if first.customer.created == second.customer.created:
        return None
    return Suggestion(first.customer.id, "none was ever used and it was created first")
