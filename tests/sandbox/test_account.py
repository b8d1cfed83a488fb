"""An account's ledgers keep Stripe's rules for balances, currencies and test clocks."""

import random

import pytest

from stateless_billing.sandbox.account import INITIAL, Account, Entry, checked_amount, checked_currency
from stateless_billing.sandbox.answers import Refusal
from stateless_billing.sandbox.records import Contact


@pytest.fixture
def account() -> Account:
    """Return an empty account."""
    return Account("acct_1", False, random.Random(1))


def test_past_rows_keep_the_chain_of_ending_balances(account: Account) -> None:
    customer = account.add_customer(100, 100, Contact())
    account.add_transaction(customer, Entry(-5, "usd"), 100, 100)
    account.add_transaction(customer, Entry(-7, "eur"), 101, 101)
    account.add_past(customer, [(50, Entry(-1, "usd")), (102, Entry(-2, "eur"))])
    assert [(row.created, row.ending_balance) for row in customer.rows] == [(50, -1), (100, -6), (101, -7), (102, -9)]
    assert (customer.balances, customer.balance) == ({"usd": -6, "eur": -9}, -6)


def test_a_row_of_type_initial_is_where_its_currency_begins(account: Account) -> None:
    customer = account.add_customer(100, 100, Contact())
    account.add_transaction(customer, Entry(-7, "eur"), 100, 100)
    account.add_past(customer, [(90, Entry(-5, "usd", type=INITIAL)), (95, Entry(2, "usd"))])
    assert [(row.type, row.amount, row.ending_balance) for row in customer.rows] == [
        ("initial", -5, -5),
        ("adjustment", 2, -3),
        ("adjustment", -7, -7),
    ]
    before = (list(customer.rows), dict(customer.balances), set(customer.by_id))
    for late in ((96, Entry(-1, "usd", type=INITIAL)), (101, Entry(-1, "eur", type=INITIAL))):
        with pytest.raises(ValueError, match="older rows"):
            account.add_past(customer, [late])
    with pytest.raises(ValueError, match="older rows"):
        account.add_past(customer, [(50, Entry(-1, "gbp", type=INITIAL)), (51, Entry(-1, "gbp", type=INITIAL))])
    assert (customer.rows, customer.balances, set(customer.by_id)) == before


def test_a_starting_balance_is_one_initial_row(account: Account) -> None:
    customer = account.add_customer(100, 100, Contact())
    account.set_balance(customer, -100, INITIAL, 100, 100)
    account.add_transaction(customer, Entry(-5, "usd"), 101, 101)
    assert [(row.type, row.amount, row.ending_balance) for row in customer.rows] == [
        ("initial", -100, -100),
        ("adjustment", -5, -105),
    ]


def test_a_changed_currency_leaves_every_balance_where_it_was(account: Account) -> None:
    customer = account.add_customer(100, 100, Contact())
    account.add_past(customer, [(50, Entry(-5, "usd")), (60, Entry(-7, "eur")), (70, Entry(-1, "usd"))])
    assert (customer.currency, customer.balance) == ("usd", -6)
    customer.currency = "eur"
    account.add_transaction(customer, Entry(-2, "usd"), 101, 101)
    account.set_balance(customer, -10, "adjustment", 102, 102)
    assert (customer.currency, customer.balance, customer.balances) == ("eur", -10, {"usd": -8, "eur": -10})
    assert [(row.currency, row.ending_balance) for row in customer.rows] == [
        ("usd", -5),
        ("eur", -7),
        ("usd", -6),
        ("usd", -8),
        ("eur", -10),
    ]


def test_a_test_clock_gives_its_time_to_what_is_on_it(account: Account) -> None:
    with pytest.raises(Refusal, match="No such test_clock: 'clock_1'"):
        account.add_customer(100, 100, Contact(), test_clock="clock_1")
    account.set_test_clock("clock_1", 5000)
    on_it = account.add_customer(100, 100, Contact(), test_clock="clock_1")
    other = account.add_customer(100, 100, Contact())
    account.add_transaction(on_it, Entry(-5, "usd"), 101, 101)
    account.set_test_clock("clock_1", 9000)
    account.add_transaction(on_it, Entry(-5, "usd"), 102, 102)
    account.set_balance(on_it, 0, "adjustment", 103, 103)
    account.add_transaction(other, Entry(-5, "usd"), 104, 104)
    assert (on_it.created, [row.created for row in on_it.rows]) == (5000, [5000, 9000, 9000])
    assert [row.written for row in on_it.rows] == [101, 102, 103]
    assert (other.created, other.rows[0].created) == (100, 104)
    with pytest.raises(ValueError, match="later"):
        account.set_test_clock("clock_1", 8999)


def test_a_customer_put_on_a_test_clock_stays_there(account: Account) -> None:
    customer = account.add_customer(100, 100, Contact())
    account.add_transaction(customer, Entry(-5, "usd"), 100, 100)
    with pytest.raises(Refusal):
        account.attach(customer, "clock_1")
    account.set_test_clock("clock_1", 60)
    account.set_test_clock("clock_2", 60)
    account.attach(customer, "clock_1")
    account.attach(customer, "clock_1")
    with pytest.raises(ValueError, match="another test clock"):
        account.attach(customer, "clock_2")
    account.add_transaction(customer, Entry(-7, "usd"), 101, 101)
    assert [(row.created, row.ending_balance) for row in customer.rows] == [(60, -12), (100, -5)]


def test_deletion_is_permanent(account: Account) -> None:
    account.add_customer(1, 1, Contact(), identifier="cus_A")
    assert account.delete("cus_A").rendered() == {"id": "cus_A", "object": "customer", "deleted": True}
    with pytest.raises(Refusal, match="No such customer"):
        account.delete("cus_A")


def test_deleted_customers_are_not_found(account: Account) -> None:
    customer = account.add_customer(1, 1, Contact(), identifier="cus_A")
    assert account.get_customer("cus_A") is customer
    customer.deleted = True
    for identifier in ("cus_A", "cus_B"):
        with pytest.raises(Refusal, match=f"No such customer: '{identifier}'"):
            account.get_customer(identifier)


def test_setting_an_equal_balance_writes_nothing(account: Account) -> None:
    customer = account.add_customer(1, 1, Contact())
    account.set_balance(customer, 0, "adjustment", 1, 1)
    assert customer.rows == []
    account.set_balance(customer, 9, "adjustment", 1, 1)
    assert (customer.balance, customer.currency) == (9, "usd")


def test_amounts_and_currencies() -> None:
    assert checked_amount(-99_999_999) == -99_999_999
    for amount in (0, 100_000_000, -100_000_000):
        with pytest.raises(Refusal):
            checked_amount(amount)
    assert checked_currency("USD") == "usd"
    with pytest.raises(Refusal):
        checked_currency("dollars")
