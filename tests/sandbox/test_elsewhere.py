"""The other lists: empty, and refused to whoever has no permission for them."""

import json

import pytest

from stateless_billing.sandbox.api_keys import CUSTOMER_WRITE, ApiKey
from stateless_billing.sandbox.calls import Endpoint
from stateless_billing.sandbox.elsewhere import ENDPOINTS
from stateless_billing.sandbox.sandbox import Sandbox
from stateless_billing.sandbox.stripe_api import API_VERSION, StripeStandIn


def ask(stripe: StripeStandIn, secret: str, path: str) -> tuple[int, dict[str, object]]:
    """One read with a key."""
    headers = {"Authorization": f"Bearer {secret}", "Stripe-Version": API_VERSION}
    answer = stripe.handle("GET", path, headers)
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize("found", ENDPOINTS, ids=lambda one: one.template)
def test_a_restricted_key_needs_the_permission(sandbox: Sandbox, found: Endpoint) -> None:
    stripe = sandbox.stripe
    for secret, permissions, status in [
        ("rk_test_customers", frozenset({CUSTOMER_WRITE}), 403),
        ("rk_test_too_strong", frozenset({found.permission}), 200),
        ("rk_test_writes", frozenset({found.permission.replace("_read", "_write")}), 200),
        ("sk_test_full", None, 200),
    ]:
        stripe.keys.add(ApiKey(secret, permissions=permissions))
        told, body = ask(stripe, secret, found.template)
        assert told == status
        assert ("error" in body) == (status == 403)


def test_a_list_is_empty_and_takes_a_limit(sandbox: Sandbox) -> None:
    stripe = sandbox.stripe
    stripe.keys.add(ApiKey("sk_test_full"))
    assert ask(stripe, "sk_test_full", "/v1/charges?limit=1")[1]["data"] == []
    assert ask(stripe, "sk_test_full", "/v1/charges?colour=red")[0] == 400
