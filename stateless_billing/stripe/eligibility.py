"""Decides which Stripe customers may be credited, by payments and by grants. Pure."""

from stateless_billing.domain.ledger import CURRENCY
from stateless_billing.stripe.objects import Customer


def find_obstacle(customer: Customer) -> str | None:
    """Return why a customer cannot be credited, as a cause of `held`; None if it can."""
    if customer.deleted:
        return "customer_deleted"
    if customer.test_clock:
        return "test_clock"
    if customer.currency not in (None, CURRENCY):
        return "currency"
    return "not_payable" if customer.is_not_payable else None
