"""The other lists are empty and require their permission."""

import json

import pytest

from stateless_billing.sandbox.api_keys import CUSTOMER_WRITE, ApiKey
from stateless_billing.sandbox.calls import Endpoint
from stateless_billing.sandbox.other_lists import ENDPOINTS
from stateless_billing.sandbox.sandbox import Sandbox
from stateless_billing.sandbox.stripe_api import API_VERSION, StripeStandIn


def ask(stripe: StripeStandIn, secret: str, path: str) -> tuple[int, dict[str, object]]:
    """Read a path with a key."""
    headers = {"Authorization": f"Bearer {secret}", "Stripe-Version": API_VERSION}
    answer = stripe.handle("GET", path, headers)
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.template)
def test_a_restricted_key_needs_the_permission(sandbox: Sandbox, endpoint: Endpoint) -> None:
    stripe = sandbox.stripe
    for secret, permissions, status in [
        ("rk_test_customers", frozenset({CUSTOMER_WRITE}), 403),
        ("rk_test_too_strong", frozenset({endpoint.permission}), 200),
        ("rk_test_writes", frozenset({endpoint.permission.replace("_read", "_write")}), 200),
        ("sk_test_full", None, 200),
    ]:
        stripe.keys.add(ApiKey(secret, permissions=permissions))
        actual, body = ask(stripe, secret, endpoint.template)
        assert actual == status
        assert ("error" in body) == (status == 403)


def test_a_list_is_empty_and_takes_a_limit(sandbox: Sandbox) -> None:
    stripe = sandbox.stripe
    stripe.keys.add(ApiKey("sk_test_full"))
    assert ask(stripe, "sk_test_full", "/v1/charges?limit=1")[1]["data"] == []
    assert ask(stripe, "sk_test_full", "/v1/charges?colour=red")[0] == 400
