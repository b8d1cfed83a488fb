"""Empty versions of Stripe's other lists, with which `doctor` detects a key with too many permissions.

The permissions of charges and customers are those that Stripe's own tool prints (stripe/stripe-cli#1604); the others
follow the same pattern, and no caller may depend on them.
"""

from stateless_billing.sandbox.answers import Json
from stateless_billing.sandbox.calls import Call, Endpoint, Work

_LISTS = {
    "balance_transactions": "balance_transaction_source",
    "charges": "charge",
    "checkout/sessions": "checkout_session",
    "disputes": "dispute",
    "files": "file",
    "invoices": "invoice",
    "payment_intents": "payment_intent",
    "payouts": "payout",
    "products": "product",
    "subscriptions": "subscription",
    "transfers": "transfer",
    "webhook_endpoints": "webhook",
}


def listing(call: Call) -> Work:
    """Return an empty list."""
    parameters = call.parameters()
    parameters.integer("limit")
    parameters.finish()

    def work(now: float, created: int) -> Json:
        return {"object": "list", "data": [], "has_more": False, "url": call.path}

    return work


def balance(call: Call) -> Work:
    """GET /v1/balance: the account's own funds (docs.stripe.com/api/balance)."""
    call.parameters().finish()

    def work(now: float, created: int) -> Json:
        return {"object": "balance", "available": [], "livemode": call.account.livemode, "pending": []}

    return work


ENDPOINTS = (
    Endpoint("GET", "/v1/balance", "rak_balance_read", balance),
    *(Endpoint("GET", f"/v1/{path}", f"rak_{name}_read", listing) for path, name in _LISTS.items()),
)
