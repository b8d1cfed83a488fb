"""IDs of forms: each says when its form was made, and so until when it may be sent. Pure."""

from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS

FORM_SECONDS = 22 * 3600


def minted_at(grant: str) -> int | None:
    """When the form of a grant was made; None for an ID that is not ours."""
    head, _, tail = grant.partition("-")
    return int(head) if head.isascii() and head.isdigit() and len(head) <= 12 and tail else None


def died_before(grant: str, created: int) -> bool:
    """Whether Stripe wrote a reservation long after its form was dead: finished late, after a failed request."""
    minted = minted_at(grant)
    return minted is not None and created > minted + FORM_SECONDS + LISTING_LEAD_SECONDS
