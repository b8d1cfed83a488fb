"""Stripe's objects: signs, documented forms, and a ValueError for every other form."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.domain.ledger import Entry
from stateless_billing.stripe import objects
from stateless_billing.stripe.objects import Customer, Page
from tests.fakes.factories import CUSTOMER

RAW_ENTRY: dict[str, Any] = {
    "id": "cbtxn_1",
    "object": "customer_balance_transaction",
    "amount": -5_000,
    "created": 1_790_000_000,
    "currency": "usd",
    "customer": CUSTOMER,
    "type": "adjustment",
    "description": None,
    "ending_balance": -7_500,
    "metadata": {"kind": "payment"},
}
RAW_CUSTOMER: dict[str, Any] = {
    "id": CUSTOMER,
    "object": "customer",
    "created": 1_700_000_000,
    "email": "a@example.org",
    "currency": None,
    "balance": -250,
    "metadata": {"wallet_address": "0x1"},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def encoded(value: object) -> bytes:
    """Return a value as Stripe would send it."""
    return json.dumps(value).encode()


def test_a_credit_is_positive_here_and_negative_there() -> None:
    found = objects.parse_entry(encoded(RAW_ENTRY), CUSTOMER)
    assert (found.cents, found.ending_cents, found.kind) == (5_000, 7_500, "payment")
    assert (found.description, found.created, found.customer) == ("", 1_790_000_000, CUSTOMER)
    assert objects.parse_amount(5_000) == RAW_ENTRY["amount"]
    assert objects.parse_customer(encoded(RAW_CUSTOMER)).balance_cents == 250


def test_a_customer() -> None:
    found = objects.parse_customer(encoded(RAW_CUSTOMER))
    assert (found.id, found.deleted, found.email, found.currency) == (CUSTOMER, False, "a@example.org", None)
    assert (found.value("wallet_address"), found.value("other")) == ("0x1", None)


def test_a_deleted_customer_has_nothing_but_its_id() -> None:
    found = objects.parse_customer(encoded({"id": CUSTOMER, "object": "customer", "deleted": True}))
    assert found == Customer(CUSTOMER, deleted=True)
    assert found.value("wallet_address") is None


def test_an_entry_of_another_customer_is_refused() -> None:
    with pytest.raises(ValueError, match="another customer"):
        objects.parse_entry(encoded(RAW_ENTRY), "cus_Other")


@pytest.mark.parametrize("metadata", [None, {}])
def test_absent_metadata_is_empty(metadata: object) -> None:
    assert objects.parse_entry(encoded(RAW_ENTRY | {"metadata": metadata}), CUSTOMER).metadata == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("amount", None),
        ("amount", "5"),
        ("amount", 5.0),
        ("amount", True),
        ("created", None),
        ("ending_balance", None),
        ("id", ""),
        ("id", None),
        ("currency", 5),
        ("type", None),
        ("customer", None),
        ("customer", {"id": CUSTOMER}),  # expanded
        ("description", 5),
        ("metadata", {"a": 1}),
        ("metadata", [1]),
    ],
)
def test_an_entry_of_another_form_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        objects.parse_entry(encoded(RAW_ENTRY | {name: value}), CUSTOMER)


@given(st.sampled_from(sorted(RAW_ENTRY)), JSON, st.sampled_from(sorted(RAW_CUSTOMER)), JSON)
def test_any_value_in_any_place_is_read_or_refused(name: str, value: object, other: str, another: object) -> None:
    try:
        found = objects.parse_entry(encoded(RAW_ENTRY | {name: value}), CUSTOMER)
    except ValueError:
        pass
    else:
        assert type(found.cents) is type(found.created) is int
        assert found.customer == CUSTOMER
    try:
        customer = objects.parse_customer(encoded(RAW_CUSTOMER | {other: another}))
    except ValueError:
        return
    assert customer.id
    assert type(customer.balance_cents) is int


def test_pages_say_whether_they_are_the_last() -> None:
    raw = {"object": "list", "data": [RAW_ENTRY], "has_more": True}
    page = objects.parse_page(encoded(raw), CUSTOMER)
    assert [one.id for one in page.entries] == ["cbtxn_1"]
    assert not page.complete
    assert objects.parse_page(encoded(raw | {"has_more": False}), CUSTOMER).complete
    assert objects.parse_page(encoded({"data": [], "has_more": False}), CUSTOMER) == Page([], complete=True)


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"data": []},
        {"data": [], "has_more": None},
        {"data": [], "has_more": "false"},
        {"data": [], "has_more": 0},
        {"data": [], "has_more": True},  # goes on, but from nowhere
        {"data": None, "has_more": False},
        {"data": {}, "has_more": False},
        {"data": [None], "has_more": False},
        {"data": [RAW_ENTRY, {}], "has_more": False},
        {"data": [RAW_ENTRY | {"customer": "cus_Other"}], "has_more": False},
    ],
)
def test_a_list_that_does_not_say_what_it_holds_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        objects.parse_page(encoded(raw), CUSTOMER)


def test_search_results() -> None:
    page = objects.parse_customers(encoded({"data": [RAW_CUSTOMER], "has_more": False}))
    assert ([customer.id for customer in page.customers], page.complete) == ([CUSTOMER], True)
    assert not objects.parse_customers(encoded({"data": [RAW_CUSTOMER], "has_more": True})).complete


@pytest.mark.parametrize(
    "answer", [{"error": {}}, {"data": [RAW_CUSTOMER]}, {"data": [], "has_more": True}, b"", b"[" * 100_000, b"\xff"]
)
def test_what_is_no_list_of_customers_is_refused(answer: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        objects.parse_customers(answer if isinstance(answer, bytes) else encoded(answer))


@pytest.mark.parametrize("unknown", ["NaN", "-Infinity", r'"\ud800"', "1e", "\xff"])
def test_what_is_no_json_is_refused_also_in_fields_that_are_not_used(unknown: str) -> None:
    answer = encoded(RAW_CUSTOMER)[:-1] + f', "more": {unknown}}}'.encode("latin-1")
    with pytest.raises(ValueError, match=r"."):
        objects.parse_customer(answer)


def test_nesting_without_end_is_refused() -> None:
    deep = b'{"data": [], "has_more": false, "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(ValueError, match=r"^nested too deeply$"):
        objects.parse_page(deep, CUSTOMER)


def test_entries_that_carry_their_customer() -> None:
    raw = {"data": [RAW_ENTRY | {"customer": RAW_CUSTOMER}], "has_more": False}
    page, customer = objects.parse_expanded_page(encoded(raw), CUSTOMER)
    assert page == objects.parse_page(encoded({"data": [RAW_ENTRY], "has_more": False}), CUSTOMER)
    assert customer == objects.parse_customer(encoded(RAW_CUSTOMER))
    assert objects.parse_expanded_page(encoded({"data": [], "has_more": False}), CUSTOMER) == (
        Page([], complete=True),
        None,
    )


@pytest.mark.parametrize("carried", [CUSTOMER, None, {"id": "cus_Other"}, {}])
def test_entries_that_do_not_carry_their_customer(carried: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        objects.parse_expanded_page(encoded({"data": [RAW_ENTRY | {"customer": carried}], "has_more": False}), CUSTOMER)


@pytest.mark.parametrize(
    ("balances", "cents"), [(None, 0), ({}, 0), ({"usd": 300}, 300), ({"usd": -1, "eur": 5}, -1), ({"eur": "odd"}, 0)]
)
def test_the_dollar_balance_counts_credit_as_positive(balances: object, cents: int) -> None:
    assert objects.parse_customer(encoded(RAW_CUSTOMER | {"invoice_credit_balance": balances})).usd_cents == cents
    assert objects.parse_customer(encoded(RAW_CUSTOMER)).usd_cents is None, "it was not requested"


def test_a_balance_that_was_requested_is_never_taken_for_nothing() -> None:
    with pytest.raises(ValueError, match="invoice_credit_balance"):
        objects.parse_customer(encoded(RAW_CUSTOMER), CUSTOMER, balance=True)
    nothing = objects.parse_customer(encoded(RAW_CUSTOMER | {"invoice_credit_balance": None}), CUSTOMER, balance=True)
    assert nothing.usd_cents == 0
    assert objects.parse_customer(encoded({"id": CUSTOMER, "deleted": True}), CUSTOMER, balance=True).deleted


@pytest.mark.parametrize("balances", [{"usd": "5"}, {"usd": 5.0}, {"usd": True}, {"usd": None}, [], 5, "usd"])
def test_a_dollar_balance_of_another_form_is_refused(balances: object) -> None:
    with pytest.raises(ValueError, match="invoice_credit_balance"):
        objects.parse_customer(encoded(RAW_CUSTOMER | {"invoice_credit_balance": balances}))


def test_a_customer_of_a_test_clock() -> None:
    assert objects.parse_customer(encoded(RAW_CUSTOMER | {"test_clock": "clock_1"})).test_clock
    assert not objects.parse_customer(encoded(RAW_CUSTOMER | {"test_clock": None})).test_clock
    assert not objects.parse_customer(encoded(RAW_CUSTOMER)).test_clock


@pytest.mark.parametrize("missing", ["created", "balance"])
def test_a_live_customer_has_an_age_and_a_balance(missing: str) -> None:
    with pytest.raises(ValueError, match="without `created` or `balance`"):
        objects.parse_customer(encoded({name: value for name, value in RAW_CUSTOMER.items() if name != missing}))


def test_a_text_may_be_short_but_not_empty() -> None:
    assert objects.parse_entry(encoded(RAW_ENTRY | {"id": "x", "type": "y"}), CUSTOMER).id == "x"
    for name in ("id", "type", "currency"):
        with pytest.raises(ValueError, match=name):
            objects.parse_entry(encoded(RAW_ENTRY | {name: ""}), CUSTOMER)


def test_every_field_of_an_entry() -> None:
    raw = RAW_ENTRY | {"currency": "eur", "description": "Top-up"}
    assert objects.parse_entry(encoded(raw), CUSTOMER) == Entry(
        id="cbtxn_1",
        cents=5_000,
        created=1_790_000_000,
        currency="eur",
        customer=CUSTOMER,
        type="adjustment",
        description="Top-up",
        ending_cents=7_500,
        metadata={"kind": "payment"},
    )


def test_a_customer_of_nothing() -> None:
    customer = objects.parse_customer(encoded(RAW_CUSTOMER | {"created": 0, "balance": 0, "metadata": {}}))
    assert (customer.created, customer.balance_cents, customer.metadata) == (0, 0, {})


@pytest.mark.parametrize(
    ("value", "expected"), [("off", True), (" OFF ", True), ("on", False), ("", False), (None, False)]
)
def test_a_customer_may_be_marked_as_one_that_gets_nothing(value: str | None, expected: bool) -> None:
    metadata = {} if value is None else {"gateway_payments": value}
    assert Customer(CUSTOMER, deleted=False, metadata=metadata).is_not_payable is expected
    assert not Customer(CUSTOMER, deleted=False).is_not_payable
    assert Customer(CUSTOMER, deleted=False).test_clock is False
    assert objects.WALLET == "wallet_address"
