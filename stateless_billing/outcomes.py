"""What a customer, or a failed call to Stripe, means for the payment that was to be credited."""

from stateless_billing import ledger
from stateless_billing.errors import Down, InProgress, NotSent, RateLimited, Refused, StripeFailure, TooSoon, Unclear
from stateless_billing.ledger import Entry
from stateless_billing.progress import Progress
from stateless_billing.stripe_ledger import Session
from stateless_billing.stripe_objects import Customer, Page
from stateless_billing.terms import Terms

IN_PROGRESS_SECONDS = 5  # somebody else is writing it


def gone(customer: Customer, *, without_entries: bool) -> Progress | None:
    """That the customer was deleted, which takes its entries away too."""
    if customer.deleted:
        return Progress("held", cause="customer_deleted", detail="the Stripe customer was deleted")
    if without_entries:
        raise Down("Stripe has the customer, but not its entries")
    return None


def unusable(customer: Customer, terms: Terms) -> Progress | None:
    """Why this customer cannot be credited now."""
    if customer.currency not in (None, ledger.CURRENCY):
        return Progress("held", cause="currency", detail=f"the Stripe customer is billed in {customer.currency}")
    if terms.held:
        cents = terms.price.cents if terms.price else None
        return Progress("held", cents=cents, cause=terms.held, detail=terms.detail)
    return None


def failed(error: StripeFailure) -> Progress:
    """What a failed call means for the payment."""
    if isinstance(error, Refused):
        causes = {"resource_missing": "customer_invalid", "customer_invalid": "customer_invalid"}
        return Progress("held", cause=causes.get(error.code or "", "stripe_refused"), detail=str(error))
    if isinstance(error, InProgress):
        return Progress("pending", cause="stripe_unclear", retry_after=IN_PROGRESS_SECONDS, detail=str(error))
    if isinstance(error, Unclear):
        return Progress("pending", cause="stripe_unclear", detail=str(error))
    if isinstance(error, RateLimited):
        return Progress("pending", cause="rate_limited", detail=str(error))
    if isinstance(error, TooSoon):
        return Progress("pending", retry_after=error.seconds, detail=str(error))
    assert isinstance(error, Down | NotSent)
    return Progress("pending", cause="stripe_down", detail=str(error))


async def newest(session: Session, customer_id: str, since: int) -> Page | None:
    """The newest page since `since`; None where Stripe knows no such ledger: its customer tells why."""
    try:
        return await session.newest_entries(customer_id, since)
    except Refused as error:
        if error.code != "resource_missing":
            raise
        return None


async def readable(session: Session, customer_id: str, since: int) -> list[Entry]:
    """A customer's complete listing, nothing where that customer is gone."""
    try:
        return await session.entries(customer_id, since)
    except Refused as error:
        if error.code not in ("resource_missing", "customer_invalid"):
            raise
        return []
