"""find_obstacle names the cause for each customer that cannot be credited."""

import pytest

from stateless_billing.stripe.eligibility import find_obstacle
from stateless_billing.stripe.objects import Customer


@pytest.mark.parametrize(
    ("customer", "cause"),
    [
        (Customer("cus_A", deleted=False), None),
        (Customer("cus_A", deleted=False, currency="usd"), None),
        (Customer("cus_A", deleted=True), "customer_deleted"),
        (Customer("cus_A", deleted=False, currency="eur"), "currency"),
        (Customer("cus_A", deleted=False, currency="eur", test_clock=True), "test_clock"),
        (Customer("cus_A", deleted=False, metadata={"gateway_payments": " OFF "}), "not_payable"),
        (Customer("cus_A", deleted=False, metadata={"gateway_payments": "on"}), None),
    ],
)
def test_find_obstacle(customer: Customer, cause: str | None) -> None:
    assert find_obstacle(customer) == cause
