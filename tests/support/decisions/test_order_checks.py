"""Only Stripe's word that a customer does not exist counts as its absence; any other refusal is a failure."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chain.payment import customer_id_to_bytes32
from stateless_billing.bookkeeping.records import get_paying_customer
from stateless_billing.sandbox.answers import Refusal
from stateless_billing.sandbox.effects import Effect
from stateless_billing.services.container import Services
from stateless_billing.stripe.errors import RequestRejected
from tests.fakes.desk import ANN, Desk, run_desk
from tests.fakes.factories import WALLET, payment
from tests.fakes.in_process_service import Town

GONE = "cus_Gone1"


def refuse_reads(town: Town, status: int = 400) -> None:
    """Let Stripe refuse to show this customer, for a reason of which it documents no code, or to this key."""
    effect = Effect("refused", early=Refusal(status, "Something else is wrong."))
    town.stripe.faults.add(effect, method="GET", path=f"/v1/customers/{GONE}", times=None)


def registered_town() -> Town:
    """A town whose wallets are all registered for one customer."""
    town = Town([payment()])
    town.add(GONE)
    town.nodes[0].views["customerOf"] = int.from_bytes(customer_id_to_bytes32(GONE))
    return town


@pytest.mark.parametrize(
    "read",
    [
        lambda services: services.decisions.orders._checks.get_customer(GONE),
        lambda services: get_paying_customer(services.stripe, GONE),
        lambda services: services.accounts.find(WALLET, "192.0.2.1"),
    ],
    ids=["orders", "pages", "payers"],
)
def test_a_refusal_to_show_a_customer_is_not_its_absence(read: Callable[[Services], Awaitable[Any]]) -> None:
    town = registered_town()

    async def scenario(services: Services) -> None:
        refuse_reads(town)
        with pytest.raises(RequestRejected):
            await read(services)

    run_desk(town, scenario)


def test_what_stripe_does_not_know_is_absent() -> None:
    town = registered_town()
    town.nodes[0].views["customerOf"] = int.from_bytes(customer_id_to_bytes32("cus_Nobody"))

    async def scenario(services: Services) -> None:
        assert await get_paying_customer(services.stripe, "cus_Nobody") is None
        account = await services.accounts.find(WALLET, "192.0.2.1")
        assert (account.customer, account.conflict) == (None, True)

    run_desk(town, scenario)


def test_nobody_states_that_a_customer_is_gone_who_could_not_be_read() -> None:
    town = registered_town()

    async def scenario(services: Services) -> None:
        ann, text = Desk(services, ANN), f"release;gone:{GONE}"
        refused = await ann.show("orders", {"form": ann.form(payment()), "order": text}, 422)
        assert f"{GONE} is not deleted" in refused["detail"]
        for status in (400, 403):
            refuse_reads(town, status)
            await ann.show("orders", {"form": ann.form(payment()), "order": text}, 503)
            town.stripe.faults.clear()
        town.stripe.account.delete(GONE)
        await ann.show("orders", {"form": ann.form(payment()), "order": text})

    run_desk(town, scenario)
