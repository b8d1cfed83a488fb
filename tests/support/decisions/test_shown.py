"""What an operator is shown of an account and of what a decision does to its balance."""

import pytest

from stateless_billing.support.decisions.shown import Account, Shown


@pytest.mark.parametrize(
    ("balance", "currency", "cents", "sentence"),
    [
        (1000, "usd", 250, "As of now its balance goes from $10.00 to $12.50."),
        (1000, None, -1250, "As of now its balance goes from $10.00 to -$2.50."),
        (1000, "usd", 0, "Its balance, as of now $10.00, stays."),
        (1000, "eur", 250, "Its balance, as of now 10.00 EUR, is not in dollars."),
        (1000, "jpy", 0, "Its balance, as of now 1,000 JPY, is not in dollars."),
        (None, "eur", 250, "Its balance cannot be read."),
    ],
)
def test_the_balance_before_and_after(balance: int | None, currency: str | None, cents: int, sentence: str) -> None:
    assert Account("cus_A", "a@example.org", "0x1", balance, currency).change(cents) == sentence


def test_the_balance_is_shown_and_is_no_part_of_what_must_still_hold() -> None:
    shown = Shown("Credit $1.00 to a@example.org.", ("Why: because",), "Order", balance="As of now it is $2.00.")
    later = Shown("Credit $1.00 to a@example.org.", ("Why: because",), "Order", balance="As of now it is $1.00.")
    assert shown.whole_sentence == "Credit $1.00 to a@example.org. As of now it is $2.00."
    assert shown.text == later.text
    assert shown.text != Shown("Credit $1.01 to a@example.org.", ("Why: because",), "Order").text
    assert Shown("End it.", (), "End").whole_sentence == "End it."
