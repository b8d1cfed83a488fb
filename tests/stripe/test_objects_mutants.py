"""Stripe's objects: entries that carry their customer, search texts, and what each refusal says."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.stripe import objects
from stateless_billing.stripe.objects import Customer
from tests.fakes.factories import CUSTOMER
from tests.stripe.test_objects import JSON, RAW_CUSTOMER, RAW_ENTRY, encoded

EXPANDED = RAW_ENTRY | {"customer": RAW_CUSTOMER}
OLDER = EXPANDED | {"id": "cbtxn_0", "customer": RAW_CUSTOMER | {"email": "older@example.org"}}


def test_entries_that_carry_their_customer() -> None:
    found, customer = objects.parse_expanded_page(encoded({"data": [EXPANDED, OLDER], "has_more": True}), CUSTOMER)
    assert [(one.id, one.customer) for one in found.entries] == [("cbtxn_1", CUSTOMER), ("cbtxn_0", CUSTOMER)]
    assert not found.complete
    assert customer == objects.parse_customer(encoded(RAW_CUSTOMER))  # as the newest entry shows it


def test_the_plain_page_is_the_same() -> None:
    plain, _ = objects.parse_expanded_page(encoded({"data": [EXPANDED], "has_more": False}), CUSTOMER)
    assert plain == objects.parse_page(encoded({"data": [RAW_ENTRY], "has_more": False}), CUSTOMER)


def test_an_empty_list_carries_no_customer() -> None:
    found, customer = objects.parse_expanded_page(encoded({"data": [], "has_more": False}), CUSTOMER)
    assert (found.entries, found.complete, customer) == ([], True, None)


def test_a_deleted_customer_may_be_carried() -> None:
    gone = EXPANDED | {"customer": {"id": CUSTOMER, "deleted": True}}
    _, customer = objects.parse_expanded_page(encoded({"data": [gone], "has_more": False}), CUSTOMER)
    assert customer == Customer(CUSTOMER, deleted=True)


@pytest.mark.parametrize(
    "data",
    [
        [RAW_ENTRY],
        [EXPANDED, RAW_ENTRY],
        [RAW_ENTRY, EXPANDED],
        [EXPANDED, EXPANDED | {"customer": None}],
        [EXPANDED | {"customer": {}}],
        [EXPANDED | {"customer": RAW_CUSTOMER | {"id": "cus_Other"}}],
        [EXPANDED, EXPANDED | {"customer": RAW_CUSTOMER | {"id": "cus_Other"}}],
        [EXPANDED | {"customer": RAW_CUSTOMER | {"balance": None}}],
        None,
    ],
)
def test_entries_without_their_customer_are_refused(data: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        objects.parse_expanded_page(encoded({"data": data, "has_more": False}), CUSTOMER)


@given(JSON, JSON)
def test_any_expanded_list_is_read_or_refused(customer: object, more: object) -> None:
    try:
        found, _ = objects.parse_expanded_page(
            encoded({"data": [EXPANDED | {"customer": customer}], "has_more": more}), CUSTOMER
        )
    except ValueError:
        return
    assert found.entries[0].customer == CUSTOMER


def test_a_customers_own_words() -> None:
    found = objects.parse_customer(encoded(RAW_CUSTOMER | {"currency": "eur", "email": ""}))
    assert (found.created, found.currency, found.email) == (1_700_000_000, "eur", "")
    assert objects.parse_customer(encoded(RAW_CUSTOMER | {"email": "XXXX"})).email == "XXXX"
    assert objects.parse_customer(encoded(RAW_CUSTOMER | {"deleted": False})).deleted is False


def test_a_customer_of_whom_nothing_is_known() -> None:
    assert (Customer(CUSTOMER, deleted=True).created, Customer(CUSTOMER, deleted=True).balance_cents) == (0, 0)


@pytest.mark.parametrize(
    ("text", "within"), [("plain", "plain"), ('a"b', 'a\\"b'), ("a\\b", "a\\\\b"), ('\\"', '\\\\\\"'), ("", "")]
)
def test_text_within_the_quotes_of_a_search(text: str, within: str) -> None:
    assert objects.escape_query_text(text) == within


@given(st.text(alphabet="ab\"\\ :'", max_size=20))
def test_no_text_ends_the_quotes_of_a_search(text: str) -> None:
    within = iter(objects.escape_query_text(text))
    read = ""
    for letter in within:
        assert letter != '"', "an unescaped quote ends the string"
        read += next(within) if letter == "\\" else letter
    assert read == text


READ: dict[str, tuple[Callable[[], object], str]] = {
    "another customer's": (
        lambda: objects.parse_entry(encoded(RAW_ENTRY), "cus_Other"),
        "an entry of another customer",
    ),
    "an endless list": (
        lambda: objects.parse_page(encoded({"data": [], "has_more": True}), CUSTOMER),
        "an empty page of a list that goes on",
    ),
    "no list": (lambda: objects.parse_customers(encoded({})), "Object missing required field `data`"),
    "no text": (
        lambda: objects.parse_entry(encoded(RAW_ENTRY | {"currency": 5}), CUSTOMER),
        "Expected `str`, got `int` - at `$.currency`",
    ),
    "no number": (
        lambda: objects.parse_entry(encoded(RAW_ENTRY | {"amount": 0.5}), CUSTOMER),
        "Expected `int`, got `float` - at `$.amount`",
    ),
    "odd metadata": (
        lambda: objects.parse_customer(encoded(RAW_CUSTOMER | {"metadata": [1]})),
        "Expected `object | null`, got `array` - at `$.metadata`",
    ),
    "no balance": (
        lambda: objects.parse_customer(encoded(RAW_CUSTOMER | {"balance": None})),
        "a customer without `created` or `balance`",
    ),
}


@pytest.mark.parametrize(("read", "sentence"), READ.values(), ids=list(READ))
def test_a_refusal_says_what_is_missing(read: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read()
    assert str(caught.value) == sentence
