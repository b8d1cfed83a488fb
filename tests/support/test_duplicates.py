"""Which of several customers with one wallet is suggested, and why."""

import pytest

from stateless_billing.stripe.objects import Customer
from stateless_billing.support.customer_facts import CustomerFacts
from stateless_billing.support.duplicates import suggest_customer

DAY = 86_400


def holder(
    name: str, *, created: int = 0, used: int | None = None, payments: int | None = 0, off: bool = False
) -> CustomerFacts:
    metadata = {"gateway_payments": "off"} if off else {}
    customer = Customer(f"cus_{name}", deleted=False, created=created, metadata=metadata)
    return CustomerFacts(customer, (), used, payments)


@pytest.mark.parametrize(
    ("holders", "name", "reason"),
    [
        ([holder("A", payments=1), holder("B", used=9 * DAY)], "A", "it has 1 payment on the chain"),
        ([holder("A", payments=2, used=1), holder("B", payments=3)], "B", "it has 3 payments on the chain"),
        ([holder("A", used=1), holder("B", payments=0)], "A", "no other has an entry"),
        ([holder("A", used=1, payments=2), holder("B", used=2, payments=2)], "B", "the newest entry"),
        ([holder("A", created=2), holder("B", created=1), holder("C", created=3)], "B", "created first"),
        ([holder("A", payments=9, off=True), holder("B")], "B", "no other can be credited"),
    ],
)
def test_the_customer_in_use_is_suggested(holders: list[CustomerFacts], name: str, reason: str) -> None:
    suggestion = suggest_customer(holders)
    assert suggestion is not None
    assert suggestion.customer_id == f"cus_{name}"
    assert reason in suggestion.reason
    assert suggest_customer(holders[::-1]) == suggestion, "the order of a search says nothing"


@pytest.mark.parametrize(
    "holders",
    [
        [],
        [holder("A", created=1), holder("B", created=1)],
        [holder("A", used=1), holder("B", used=1)],
        [holder("A", off=True), holder("B", off=True)],
        [holder("A", payments=None), holder("B", payments=3)],
    ],
)
def test_nothing_is_suggested_where_nothing_tells_them_apart(holders: list[CustomerFacts]) -> None:
    assert suggest_customer(holders) is None


def test_the_reason_speaks_of_those_it_was_judged_among() -> None:
    holders = [holder("A", used=1, payments=1), holder("B", payments=1), holder("C", used=9 * DAY)]
    suggestion = suggest_customer(holders)
    assert suggestion is not None
    assert suggestion.customer_id == "cus_A"
    assert suggestion.reason.startswith("of those with the most payments on the chain, no other has an entry")
