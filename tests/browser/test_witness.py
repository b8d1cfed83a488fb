"""The witness finds untrue texts."""

import pytest

from tests.browser.witness import Witness


@pytest.mark.parametrize(
    ("at", "text", "fault"),
    [
        (9.0, "Nothing was sent. Press the button.", ""),
        (12.0, "Nothing was sent. Press the button.", "something was sent"),
        (19.0, "No payment was sent. The warning shows it.", ""),  # of the second press
        (22.0, "Nothing more was sent.", "something was sent"),
        (9.0, "You can safely pay again", "the payment arrived"),
        (30.0, "You can safely pay again", "the payment arrived"),
        (9.0, "Payment received, confirming", "there is no payment"),
        (10.0, "Payment received, confirming", ""),
        (14.0, "$25.00 added", "there is no credit"),
        (15.0, "The credit is on the account.", ""),
        (12.0, "No payments yet.", ""),
        (14.0, "No payments yet.", "the list is behind the chain"),
        (99.0, "Connect wallet", ""),
    ],
)
def test_a_text_is_judged_by_what_was_true_then(at: float, text: str, fault: str) -> None:
    witness = Witness(lambda: 0, lambda: 0)
    witness.truth.mined += [(9.9, 10.0), (19.9, 20.0)]
    witness.truth.credited.append((14.9, 15.0))
    witness.presses += [5.0, 18.0]
    witness.texts.append((at, text))
    assert [untrue.split(": ", 1)[1].split("\n")[0] for untrue in witness.untrue()] == ([fault] if fault else [])


def test_paying_again_is_safe_where_what_arrives_was_asked_for_later() -> None:
    witness = Witness(lambda: 0, lambda: 0)
    witness.truth.mined.append((9.9, 10.0))
    witness.presses += [1.0, 6.0]
    witness.texts.append((5.0, "You can safely pay again. It took no tokens."))
    assert witness.untrue() == []
