"""The shapes of what the public API takes and gives, as JSON Schema. Pure."""

from typing import Any

from stateless_billing.crediting.payment_status import STATES

Schema = dict[str, Any]

ADDRESS: Schema = {
    "type": "string",
    "pattern": "^0x[0-9a-fA-F]{40}$",
    "description": "An address. In mixed case it must carry its EIP-55 checksum; answers always do.",
}
HASH: Schema = {"type": "string", "pattern": "^0x[0-9a-fA-F]{64}$", "description": "The hash of an EVM transaction."}
HEX: Schema = {"type": "string", "pattern": "^0x([0-9a-f]{2})*$"}
UNITS: Schema = {"type": "string", "pattern": "^[0-9]+$", "description": "Tokens in base units (10^-18 tokens)."}
RATE: Schema = {
    "type": "string",
    "pattern": r"^[0-9]+\.[0-9]{18}$",
    "description": "Dollars per whole token, rounded down.",
}
CENTS: Schema = {"type": "integer", "minimum": 0}
COUNT: Schema = {"type": "integer", "minimum": 0}
TIME: Schema = {"type": "integer", "description": "Unix seconds."}
SECONDS: Schema = {"type": "integer", "minimum": 0, "description": "Seconds."}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
CUSTOMER: Schema = {"type": "string", "pattern": "^cus_[0-9A-Za-z]{1,28}$"}

CAUSES = ("stripe_unclear", "stripe_down", "rate_limited")
HELD_CAUSES = (
    *("rate_unavailable", "over_limit", "customer_deleted", "customer_invalid"),
    *("currency", "test_clock", "not_payable", "ledger_altered", "ledger_unproven", "stripe_refused"),
)


def ref(name: str) -> Schema:
    """A schema of `SCHEMAS`, by name."""
    return {"$ref": f"#/components/schemas/{name}"}


def maybe(schema: Schema) -> Schema:
    """The schema, or null."""
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    return {**schema, "type": [schema["type"], "null"]}


def record(optional: dict[str, Schema] | None = None, /, **properties: Schema) -> Schema:
    """An object with just these names, all of them there but the optional ones."""
    return {
        "type": "object",
        "required": list(properties),
        "properties": {**properties, **(optional or {})},
        "additionalProperties": False,
    }


_PAYMENT: dict[str, Schema] = {
    "payment": {**TEXT, "description": "Its identity: chain id, gateway, transaction hash and ordinal."},
    "ordinal": COUNT,
    "gateway": ADDRESS,
    "sequence": COUNT,
    "wallet": ADDRESS,
    "payer": ADDRESS,
    "amount": UNITS,
    "cents": maybe({**CENTS, "description": "Null for a plain payment whose price is not settled."}),
    "block": COUNT,
    "time": TIME,
    "state": {"type": "string", "enum": [state for state in STATES if state not in ("unknown", "failed")]},
    "cause": {"type": ["string", "null"], "enum": [*CAUSES, *HELD_CAUSES, None]},
    "confirmed": maybe(SECONDS),
    "needed": maybe(SECONDS),
    "credit": maybe({"type": "string", "pattern": "^cbtxn_", "description": "The balance transaction in Stripe."}),
}
_PRICE: dict[str, Schema] = {
    "rate": {**RATE, "description": "Dollars per whole token after the discount, rounded down, for display."},
    "market_rate": RATE,
    "rate_source": TEXT,
    "rate_at": TIME,
    "discount_bps": COUNT,
}
_RETRY = {**SECONDS, "description": "When asking again makes sense; null where nothing will change."}

SCHEMAS: dict[str, Schema] = {
    "Problem": record(
        type={"type": "string", "pattern": "^/problems/[a-z_]+$"},
        title=TEXT,
        status={"type": "integer", "minimum": 400, "maximum": 599},
        detail={**TEXT, "description": "What happened, whether money moved, and what to do."},
        request_id={**TEXT, "description": "What to quote to support; also the X-Request-Id header."},
    ),
    "Payment": record(**_PAYMENT),
    "Claimed": record(
        tx_hash=HASH,
        state={"type": "string", "enum": list(STATES), "description": "The least advanced of the payments'."},
        retry_after=maybe(_RETRY),
        payments={"type": "array", "items": ref("Payment")},
    ),
    "Receipt": record(tx_hash=HASH, chain_id=COUNT, **_PAYMENT, rate=maybe(RATE), retry_after=maybe(_RETRY)),
    "Account": record(
        wallet=ADDRESS,
        found=FLAG,
        email=maybe({**TEXT, "description": "Masked."}),
        registered={**FLAG, "description": "Whether the newest gateway knows the wallet."},
        minimum_cents=CENTS,
        maximum_cents={**CENTS, "description": "What may still be paid now."},
        payments={"type": "array", "maxItems": 20, "items": ref("Payment")},
    ),
    "Registration": record(customer_id=CUSTOMER, deadline=TIME, signature=HEX),
    "Call": record(to=ADDRESS, data=HEX, value={"const": "0x0"}, label=TEXT),
    "Quote": record(
        wallet=ADDRESS,
        cents=CENTS,
        amount=UNITS,
        **_PRICE,
        gateway=ADDRESS,
        token=ADDRESS,
        chain_id=COUNT,
        sequence=COUNT,
        deadline=TIME,
        signature=HEX,
        registered=FLAG,
        registration=maybe(ref("Registration")),
        calls={"type": "array", "minItems": 1, "items": ref("Call"), "description": "To be sent in this order."},
    ),
    "QuoteWish": record(
        {"payer": maybe(ADDRESS)}, wallet=ADDRESS, cents={"type": "integer", "minimum": 1, "maximum": 10**9}
    ),
    "Claim": record(tx_hash=HASH),
    "Health": record(ok={"const": True}),
    "Readiness": record(
        ready=FLAG,
        checks={
            "type": "object",
            "additionalProperties": record(ok=FLAG, age=maybe({"type": "integer"}), detail=TEXT),
        },
    ),
}
