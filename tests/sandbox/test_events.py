"""GET /v1/events: deletions of customers, newest first, of 30 days, under their own permission."""

import pytest

from stateless_billing.sandbox.api_keys import CUSTOMER_WRITE, ApiKey
from stateless_billing.sandbox.events import EVENT_READ
from stateless_billing.sandbox.sandbox import Sandbox
from tests.sandbox.in_process_client import InProcessClient
from tests.sandbox.test_other_lists import ask as ask_with

PATH = "/v1/events"


def test_a_deletion_is_an_event_with_the_customers_last_state(ask: InProcessClient) -> None:
    customer = ask.customer(email="a@b.c", **{"metadata[a]": "1"})
    before = ask("GET", f"/v1/customers/{customer}").body
    assert ask("GET", PATH).body["data"] == []
    ask("DELETE", f"/v1/customers/{customer}")
    [event] = ask("GET", PATH, {"type": "customer.deleted"}).body["data"]
    assert (event["object"], event["type"], event["data"]["object"]) == ("event", "customer.deleted", before)
    assert event["id"].startswith("evt_")


def test_events_are_paged_and_chosen_by_type(ask: InProcessClient) -> None:
    customers = [ask.customer() for _ in range(12)]
    for customer in customers:
        ask("DELETE", f"/v1/customers/{customer}")
    first = ask("GET", PATH).body
    assert (len(first["data"]), first["has_more"]) == (10, True)
    rest = ask("GET", PATH, {"starting_after": first["data"][-1]["id"], "limit": "2"}).body
    assert rest["has_more"] is False
    listed = [event["data"]["object"]["id"] for event in (*first["data"], *rest["data"])]
    assert listed == customers[::-1]
    for form, count in (
        ({"type": "customer.*"}, 10),
        ({"type": "charge.*"}, 0),
        ({"types[]": "customer.deleted"}, 10),
        ({"types[]": "customer.created"}, 0),
        ({"delivery_success": "true"}, 10),
        ({"created[gt]": str(first["data"][0]["created"])}, 0),
    ):
        assert len(ask("GET", PATH, form).body["data"]) == count, form


@pytest.mark.parametrize(
    "form",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"starting_after": "evt_unknown"},
        {"starting_after": "evt_a", "ending_before": "evt_b"},
        {"type": "customer.deleted", "types[]": "customer.deleted"},
        {"types": "customer.deleted"},
        {"delivery_success": "perhaps"},
        {"customer": "cus_1"},
    ],
)
def test_what_stripe_refuses_is_refused(ask: InProcessClient, form: dict[str, str]) -> None:
    assert ask("GET", PATH, form).status == 400


def test_events_go_back_30_days(ask: InProcessClient) -> None:
    account = ask.stripe.account
    for age_days in (31, 29):
        account.delete(ask.customer(), int(ask.stripe.clock()) - age_days * 86_400)
    account.delete(ask.customer())  # without a time: longer ago than events go back
    assert len(ask("GET", PATH).body["data"]) == 1


def test_a_restricted_key_needs_the_permission(sandbox: Sandbox) -> None:
    for permissions, status in ((frozenset({CUSTOMER_WRITE}), 403), (frozenset({EVENT_READ}), 200)):
        sandbox.stripe.keys.add(ApiKey("rk_test_events", permissions=permissions))
        assert ask_with(sandbox.stripe, "rk_test_events", PATH)[0] == status
