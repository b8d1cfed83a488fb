"""Form IDs. Each carries its form's creation time, from which it expires. Pure."""

from stateless_billing.domain.epochs import LISTING_LEAD_SECONDS

FORM_SECONDS = 22 * 3600


def minted_at(form_id: str) -> int | None:
    """Return a form's creation time in Unix seconds; None for an ID that is not ours."""
    head, _, tail = form_id.partition("-")
    return int(head) if head.isascii() and head.isdigit() and len(head) <= 12 and tail else None


def died_before(form_id: str, created: int) -> bool:
    """Whether Stripe wrote a reservation well after its form expired.

    Stripe may complete a failed request late.
    """
    minted = minted_at(form_id)
    return minted is not None and created > minted + FORM_SECONDS + LISTING_LEAD_SECONDS
