"""Identifiers have Stripe's format and are reproducible."""

import random
import re
from collections.abc import Callable

import pytest

from stateless_billing.sandbox import identifiers


@pytest.mark.parametrize(
    ("made", "pattern"),
    [
        (identifiers.customer_id, "cus_[A-Za-z0-9]{14}"),
        (identifiers.transaction_id, "cbtxn_1[A-Za-z0-9]{23}"),
        (identifiers.request_id, "req_[A-Za-z0-9]{14}"),
        (identifiers.invoice_prefix, "[0-9A-F]{8}"),
        (identifiers.uuid, "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}"),
    ],
)
def test_identifiers_have_the_format_and_depend_on_the_seed(made: Callable[[random.Random], str], pattern: str) -> None:
    assert re.fullmatch(pattern, made(random.Random(1)))
    assert made(random.Random(1)) == made(random.Random(1)) != made(random.Random(2))
