"""An account's books."""

import random

import pytest

from stateless_billing.sandbox.account import Account, Entry, checked_amount, checked_currency
from stateless_billing.sandbox.answers import Refusal
from stateless_billing.sandbox.records import Contact


@pytest.fixture
def account() -> Account:
    """An empty one."""
    return Account("acct_1", False, random.Random(1))


def test_past_rows_keep_the_chain_of_ending_balances(account: Account) -> None:
    customer = account.add_customer(100, 100, Contact())
    account.add_transaction(customer, Entry(-5, "usd"), 100, 100)
    account.add_transaction(customer, Entry(-7, "eur"), 101, 101)
    account.add_past(customer, [(50, Entry(-1, "usd")), (102, Entry(-2, "eur"))])
    assert [(row.created, row.ending_balance) for row in customer.rows] == [(50, -1), (100, -6), (101, -7), (102, -9)]
    assert (customer.balances, customer.balance) == ({"usd": -6, "eur": -9}, -6)


def test_only_the_living_are_found(account: Account) -> None:
    customer = account.add_customer(1, 1, Contact(), identifier="cus_A")
    assert account.living("cus_A") is customer
    customer.deleted = True
    for identifier in ("cus_A", "cus_B"):
        with pytest.raises(Refusal, match=f"No such customer: '{identifier}'"):
            account.living(identifier)


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
