"""An idle deployment sends nothing to Stripe, whether or not anybody may grant."""

import time

import pytest

from stateless_billing.sandbox.stack import Stack
from tests.integration.operators import AUDITOR, Operator
from tests.integration.shop import Shop, wait_until

LOOKS_EVERY = 15
READ_CUSTOMER = "GET /v1/customers/{customer}"
LIST = "GET /v1/customers/{customer}/balance_transactions"


def past_grant(shop: Shop) -> None:
    """Make a grant with a process that has ended; no other process runs."""
    giving = shop.stack.serve()
    Operator().give(giving, shop.customer().id)
    giving.stop()
    shop.count_from_zero()


def test_an_idle_process_reads_the_grants_once_at_start_and_then_nothing(shop: Shop, stack: Stack) -> None:
    past_grant(shop)
    service = stack.serve(SWEEP="on", SWEEP_SECONDS="1")
    wait_until(lambda: shop.counts().get(LIST, 0) >= 2)
    assert shop.counts() == {READ_CUSTOMER: 2, LIST: 2}, "its two records; the grants record and the one customer on it"
    Operator().give(service, shop.customer().id)
    shop.count_from_zero()
    time.sleep(LOOKS_EVERY + 2)
    assert shop.counts() == {}
    service.stop()


@pytest.mark.parametrize("roster", ["", f"{AUDITOR}=auditor"])
def test_without_granting_operators_the_grants_record_is_never_read(shop: Shop, stack: Stack, roster: str) -> None:
    past_grant(shop)
    service = stack.serve(OPERATORS=roster, SWEEP="on", SWEEP_SECONDS="1")
    time.sleep(2)
    assert shop.counts() == {READ_CUSTOMER: 2}
    service.stop()


def test_a_sweep_process_never_reads_the_grants(shop: Shop, stack: Stack) -> None:
    past_grant(shop)
    sweeper = stack.sweeper()
    wait_until(lambda: shop.counts().get(READ_CUSTOMER, 0) >= 2)
    time.sleep(3)
    assert shop.counts() == {READ_CUSTOMER: 2}
    sweeper.stop()
