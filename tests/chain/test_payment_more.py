"""Customer IDs: zero bytes end one, and nothing else is taken away from it."""

import pytest

from chain.payment import customer_id_from_bytes32, customer_id_to_bytes32, is_customer_id
from tests.fakes.factories import payment


@pytest.mark.parametrize("customer_id", ["cus_X", "cus_endsInX", "cus_XX", "cus_0", "cus_endsIn0"])
def test_only_zero_bytes_are_padding(customer_id: str) -> None:
    assert customer_id_from_bytes32(customer_id_to_bytes32(customer_id)) == customer_id


def test_the_smallest_quote_is_a_quote() -> None:
    assert payment(cents=1).quoted is True
    assert payment(cents=0).quoted is False


def test_a_longest_and_a_shortest_customer_id() -> None:
    assert is_customer_id("cus_" + "Z" * 28)
    assert is_customer_id("cus_0")


def test_the_refusal_does_not_repeat_what_was_given() -> None:
    with pytest.raises(ValueError, match=r"^not a Stripe customer ID that the gateway accepts$"):
        customer_id_to_bytes32("cus_/../secret")
