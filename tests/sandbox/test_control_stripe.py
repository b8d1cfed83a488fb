"""Control commands for the Stripe stand-in."""

import time
from typing import Any

import pytest

from stateless_billing.sandbox.sandbox import Sandbox
from tests.sandbox.in_process_client import START, InProcessClient, SetClock
from tests.sandbox.test_control import ask as command


class ControlledClient(InProcessClient):
    """A client whose stand-in belongs to a whole sandbox."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = SetClock()
        self.sandbox = Sandbox(self.clock)
        self.stripe = self.sandbox.stripe

    def steer(self, method: str, path: str, body: Any = None) -> Any:
        """Send a command that must succeed."""
        status, answer = command(self.sandbox, method, path, body)
        assert status == 200, answer
        return answer


@pytest.fixture
def world() -> ControlledClient:
    """Return a fresh client."""
    return ControlledClient()


def test_faults_are_set_and_cleared(world: ControlledClient) -> None:
    world.steer(
        "POST", "faults", {"effect": "gateway", "with": {"status": 503}, "method": "GET", "times": 2, "skip": 1}
    )
    assert [world.answer("GET", "/v1/customers").status for _ in range(4)] == [200, 503, 503, 200]
    world.steer("POST", "faults", {"effect": "locked", "times": None})
    assert world.steer("GET", "state")["faults"] == ["locked"]
    world.steer("DELETE", "faults")
    assert world.answer("GET", "/v1/customers").status == 200


def test_requests_are_counted_and_listed(world: ControlledClient) -> None:
    customer = world.customer()
    world.credit(customer, key="k")
    world.rows(customer)
    state = world.steer("GET", "state")
    assert (state["reads"], state["writes"], state["customers"], state["keys"]) == (1, 2, 1, 1)
    assert state["counts"]["POST /v1/customers/{customer}/balance_transactions"] == 1
    rows = world.steer("GET", "requests", None)
    assert [(row["method"], row["status"]) for row in rows] == [("POST", 200), ("POST", 200), ("GET", 200)]
    assert (rows[1]["idempotency_key"], rows[1]["time"], rows[1]["replayed"]) == ("k", START, False)
    world.steer("DELETE", "state")
    assert world.steer("GET", "state")["counts"] == {}


def test_keys_can_be_aged(world: ControlledClient) -> None:
    customer = world.customer()
    world.credit(customer, key="k")
    assert world.steer("POST", "keys/age", {"seconds": 31 * 3600}) == {"keys": 1}
    assert "Idempotent-Replayed" not in world.credit(customer, key="k").headers


def test_settings(world: ControlledClient) -> None:
    world.steer("POST", "settings", {"search_lag": 60, "list_lag": 5, "longest_key_life": 90_000})
    assert (world.stripe.search_lag, world.stripe.list_lag) == (60, 5)
    assert world.stripe.account.keys.longest_life == 90_000
    world.steer("POST", "settings", {"limits": {"endpoint": 2}})
    assert [world.answer("GET", "/v1/customers").status for _ in range(3)] == [200, 200, 429]
    world.steer("POST", "settings", {"limits": False})
    assert world.answer("GET", "/v1/customers").status == 200
    world.steer("POST", "settings", {"search_lag": 0})
    assert world.stripe.limits.enabled is False
    assert world.answer("GET", "/v1/customers").status == 200


def test_listings_lie_on_demand(world: ControlledClient) -> None:
    customer = world.customer()
    ids = [world.credit(customer).body["id"] for _ in range(3)]
    world.steer("POST", "settings", {"same_second": "oldest_first"})
    assert [row["id"] for row in world.rows(customer)] == ids
    world.steer("POST", "settings", {})
    world.steer("POST", "faults", {"effect": "same_second_order", "with": {"order": "newest_first"}})
    assert [row["id"] for row in world.rows(customer)] == ids[::-1]
    world.steer("POST", "faults", {"effect": "listing_ends_empty", "with": {"later": True}, "times": 2})
    assert (len(world.rows(customer)), world.rows(customer, starting_after=ids[0])) == (3, [])
    assert world.steer("GET", "state")["lies"] == {"listing_ends_empty": 1}
    assert command(world.sandbox, "POST", "settings", {"same_second": "mood"})[0] == 400


def test_api_keys_are_made_and_revoked(world: ControlledClient) -> None:
    world.steer("POST", "api_keys", {"secret": "rk_test_some", "permissions": ["rak_customer_read"]})
    assert world("GET", "/v1/customers", secret="rk_test_some").status == 200
    assert world("POST", "/v1/customers", secret="rk_test_some").status == 403
    world.steer("POST", "api_keys", {"secret": "rk_test_some", "expired": True})
    assert world("GET", "/v1/customers", secret="rk_test_some").error["code"] == "api_key_expired"
    world.steer("DELETE", "api_keys/rk_test_some")
    assert world("GET", "/v1/customers", secret="rk_test_some").status == 401


def test_customers_of_another_system(world: ControlledClient) -> None:
    body = {"email": "a@b.c", "metadata": {"wallet_address": "0xa"}, "created": START - 90_000, "id": "cus_Old"}
    assert world.steer("POST", "customers", body)["created"] == START - 90_000
    assert world("GET", "/v1/customers/cus_Old").body["metadata"] == {"wallet_address": "0xa"}
    edited = world.steer("POST", "customers/cus_Old", {"metadata": {"x": "y"}, "currency": "eur"})
    assert (edited["metadata"], edited["currency"]) == ({"x": "y"}, "eur")
    assert world.steer("GET", "customers/cus_Old")["invoice_credit_balance"] == {}
    assert world("GET", "/v1/customers/search", {"query": 'metadata["x"]:"y"'}).body["data"]


def test_rows_of_another_system_get_their_place_in_the_past(world: ControlledClient) -> None:
    customer = world.customer()
    world.credit(customer, 5)
    body = {
        "amount": 3,
        "created": START - 100,
        "count": 2,
        "every": 10,
        "type": "applied_to_invoice",
        "invoice": "in_1",
    }
    assert world.steer("POST", f"customers/{customer}/rows", body)["balance"] == 1
    rows = world.rows(customer)
    assert [(row["created"] - START, row["amount"], row["ending_balance"]) for row in rows] == [
        (0, -5, 1),
        (-90, 3, 6),
        (-100, 3, 3),
    ]
    assert [row["type"] for row in world.rows(customer, invoice="in_1")] == ["applied_to_invoice"] * 2
    assert world.rows(customer, invoice="in_2") == []


def test_rows_in_several_currencies_have_chains_of_their_own(world: ControlledClient) -> None:
    customer = world.steer("POST", "customers", {"currency": "eur", "created": START - 900})["id"]
    for currency, amount, created in (("usd", -5, 300), (None, -7, 200), ("usd", -1, 100)):
        body = {"amount": amount, "created": START - created}
        world.steer("POST", f"customers/{customer}/rows", body if currency is None else {**body, "currency": currency})
    world.credit(customer, 4)
    assert [(row["currency"], row["ending_balance"]) for row in world.rows(customer)] == [
        ("usd", -10),
        ("usd", -6),
        ("eur", -7),
        ("usd", -5),
    ]
    rendered = world.steer("GET", f"customers/{customer}")
    assert (rendered["currency"], rendered["balance"], rendered["invoice_credit_balance"]) == (
        "eur",
        -7,
        {"usd": 10, "eur": 7},
    )
    assert world.steer("POST", f"customers/{customer}", {"currency": "usd"})["balance"] == -10


def test_a_ledger_may_begin_with_an_initial_row(world: ControlledClient) -> None:
    born = world.steer("POST", "customers", {"balance": -300, "created": START - 500})["id"]
    assert [(row["type"], row["created"]) for row in world.rows(born)] == [("initial", START - 500)]
    customer = world.customer()
    world.credit(customer, 5)
    body = {"amount": -300, "type": "initial", "created": START - 100}
    world.steer("POST", f"customers/{customer}/rows", body)
    assert [(row["type"], row["ending_balance"]) for row in world.rows(customer)] == [
        ("adjustment", -305),
        ("initial", -300),
    ]
    for wrong in ({**body, "created": START}, {**body, "currency": "eur", "count": 2}):
        assert command(world.sandbox, "POST", f"customers/{customer}/rows", wrong)[0] == 400
    assert len(world.rows(customer)) == 2


def test_customers_are_deleted_as_in_the_dashboard(world: ControlledClient) -> None:
    customer = world.customer(**{"metadata[a]": "1"})
    stump = {"id": customer, "object": "customer", "deleted": True}
    assert world.steer("DELETE", f"customers/{customer}") == stump
    assert world("GET", f"/v1/customers/{customer}").body == stump
    assert world.credit(customer).error["code"] == "resource_missing"
    assert command(world.sandbox, "DELETE", f"customers/{customer}")[0] == 400


def test_test_clocks_are_made_advanced_and_attached(world: ControlledClient) -> None:
    clock = {"id": "clock_1", "frozen_time": START + 5000}
    assert command(world.sandbox, "POST", "customers", {"test_clock": "clock_1"})[0] == 400
    assert world.steer("POST", "test_clocks", clock) == clock
    born = world.steer("POST", "customers", {"test_clock": "clock_1", "created": START - 5})
    assert (born["test_clock"], born["created"]) == ("clock_1", START + 5000)
    world.steer("POST", "test_clocks", {**clock, "frozen_time": START + 6000})
    assert command(world.sandbox, "POST", "test_clocks", clock)[0] == 400
    customer = world.customer()
    assert world.steer("POST", f"customers/{customer}", {"test_clock": "clock_1"})["test_clock"] == "clock_1"
    world.steer("POST", f"customers/{customer}/rows", {"amount": -1})
    world.credit(customer)
    assert [row["created"] - START for row in world.rows(customer)] == [6000, 6000]


def test_rows_are_edited_as_in_the_dashboard(world: ControlledClient) -> None:
    customer = world.customer()
    row = world.credit(customer, 5, **{"metadata[kind]": "payment"}).body["id"]
    world.steer("POST", f"rows/{row}", {"metadata": None, "description": "edited"})
    assert [(entry["metadata"], entry["description"]) for entry in world.rows(customer)] == [({}, "edited")]


def test_100_000_old_rows_are_written_quickly_and_read_in_pages(world: ControlledClient) -> None:
    customer = world.customer()
    began = time.process_time()
    body = {"amount": 1, "created": START - 200_000, "count": 100_000}
    assert world.steer("POST", f"customers/{customer}/rows", body)["count"] == 100_000
    assert time.process_time() - began < 6
    assert len(world.rows(customer, **{"created[gte]": START - 100_050})) == 50
