"""What a visitor without script is told of an EVM transaction."""

from typing import Any

import pytest
from msgspec.structs import replace

from stateless_billing.crediting.payment_status import STATES, PaymentStatus
from stateless_billing.payers.responses import ClaimResponse, payment_response
from stateless_billing.web.pages.lookup_words import MALFORMED, UNREADABLE, describe_lookup
from tests.fakes.factories import payment, tx_hash

WITHOUT_PAYMENTS = ("unknown", "unrelated", "failed")


def answer(state: str, *cents: int | None, cause: str | None = None) -> ClaimResponse:
    """Return the answer about an EVM transaction."""
    payments = [
        payment_response(payment(cents=0, ordinal=ordinal), PaymentStatus(state, cents=amount))
        for ordinal, amount in enumerate(cents)
    ]
    return ClaimResponse(tx_hash=tx_hash(1), state=state, cause=cause, retry_after=None, payments=payments)


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_words(state: str) -> None:
    words = describe_lookup(answer(state, *([] if state in WITHOUT_PAYMENTS else [5_000])))
    assert words.tone in ("good", "warn", "bad", "progress")
    assert words.title
    assert words.text
    assert (words.tone == "good") == (state == "credited")
    assert "pay again" not in words.text or "You do not need to pay again." in words.text


@pytest.mark.parametrize(
    ("cents", "title"),
    [((5_000,), "$50.00 added"), ((5_000, 1), "$50.01 added"), ((0,), "Payment received"), ((5_000, None), "Credited")],
)
def test_a_credit_is_named_if_it_is_known(cents: tuple[int | None, ...], title: str) -> None:
    assert describe_lookup(answer("credited", *cents)).title == title


def test_of_several_accounts_each_wallet_has_its_own() -> None:
    both = answer("held", 5_000, 2_500)
    own, other = both.payments
    own, other = replace(own, state="credited", wallet="0x" + "Aa" * 20), replace(other, state="held")
    mixed = replace(both, payments=[own, other])
    assert describe_lookup(mixed, "0x" + "aA" * 20).title == "$50.00 added"
    assert describe_lookup(mixed, other.wallet).title == "Paid, the credit is held"
    assert describe_lookup(mixed, "0x" + "77" * 20).title == describe_lookup(mixed).title == "Paid, the credit is held"
    credited = replace(mixed, state="credited", payments=[own, replace(other, state="credited")])
    assert describe_lookup(credited).title == "Credited"
    assert describe_lookup(credited, other.wallet).title == "$25.00 added"


def test_tokens_for_the_treasury_are_told_as_such() -> None:
    words = describe_lookup(answer("unrelated", cause="treasury_transfer"))
    assert words.title == "These tokens went straight to the treasury"
    assert "Ask support" in words.text


@pytest.mark.parametrize("words", [MALFORMED, UNREADABLE])
def test_faults_say_whether_money_moved(words: Any) -> None:
    assert "No money moved" in words.text or "the payment is safe" in words.text
