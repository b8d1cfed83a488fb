"""Records: a lagging index returns older states."""

from stateless_billing.sandbox.records import INDEX_HISTORY_SECONDS, Contact, Customer, Transaction


def customer() -> Customer:
    """Return a customer without contact fields."""
    return Customer("cus_1", 5, (5, 1), False, "ABC")


def test_an_index_knows_the_state_at_its_moment() -> None:
    made = customer()
    made.change(10, Contact(email="a"))
    made.set_metadata(20, {"k": "v"})
    assert made.indexed_contact(9) is None
    assert made.indexed_contact(10) == Contact(email="a")
    assert made.indexed_contact(25) == Contact(email="a", metadata={"k": "v"})


def test_old_states_are_dropped_but_the_state_at_the_longest_lag_stays() -> None:
    made = customer()
    for number in range(1000):
        made.change(60.0 * number, Contact(name=str(number)))
    assert len(made.states) < 200
    assert made.indexed_contact(999 * 60 - INDEX_HISTORY_SECONDS / 2) == Contact(name="939")


def test_other_currencies_do_not_count_in_the_balance() -> None:
    made = customer()
    made.currency, made.balances = "usd", {"usd": -5, "eur": -7}
    assert made.rendered()["balance"] == -5
    assert made.rendered({"invoice_credit_balance"})["invoice_credit_balance"] == {"usd": 5, "eur": 7}


def test_a_row_names_its_object() -> None:
    row = Transaction("cbtxn_1", "cus_1", -5, "usd", 9, (9, 1), 9.0, False)
    assert row.rendered()["object"] == "customer_balance_transaction"
