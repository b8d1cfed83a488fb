"""The default pace stays below what Stripe allows each kind of key."""

import pytest

from stateless_billing.sandbox.api_keys import DEFAULT_KEY
from tests.fakes.factories import payment, tx_hash
from tests.fakes.in_process_service import Town

CUSTOMERS = 150
LIVE_KEY = "sk_live_sandbox"
PAYMENTS = [
    payment(customer_id=f"cus_Payer{number}", block=100 + number, tx_hash=tx_hash(number), cents=100)
    for number in range(CUSTOMERS)
]


@pytest.mark.parametrize("key", [DEFAULT_KEY, LIVE_KEY])
def test_a_backlog_is_credited_without_a_429(key: str) -> None:
    town = Town(PAYMENTS, key=key)
    town.stripe.limits.enabled = True

    async def scenario() -> None:
        services = await town.started(STRIPE_RATE="", STRIPE_TOTAL_RATE="")
        await services.sweeper.run_once(force=True)

    town.run(scenario())
    assert all(len(town.rows(f"cus_Payer{number}")) == 1 for number in range(CUSTOMERS))
    assert {row.status for row in town.stripe.log.rows} == {200}
