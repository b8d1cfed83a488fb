"""A call's parameters can be read more than once."""

import random

from stateless_billing.sandbox.account import Account
from stateless_billing.sandbox.calls import Call


def test_parameters_are_read_afresh_and_the_group_stays_for_the_key() -> None:
    call = Call(Account("acct_1", False, random.Random(1)), "/p", (), {"a": "1"}, 0, 0)
    assert call.parameters().text("a") == call.parameters().text("a") == "1"
    assert call.group == {"a": "1"}
