"""Control commands for the clock, the price feed, the mailbox and the connections."""

from decimal import Decimal
from typing import Any

from stateless_billing.sandbox.answers import Json
from stateless_billing.sandbox.sandbox import Sandbox

Payload = dict[str, Any]


def set_clock(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Set the clock's `offset` in seconds, or `advance` it."""
    if "advance" in payload:
        sandbox.clock.offset += payload["advance"]
    else:
        sandbox.clock.offset = payload["offset"]
    return {"clock": sandbox.clock(), "offset": sandbox.clock.offset}


def set_price(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Set one price, or steps; prices are strings to stay exact."""
    if "steps" in payload:
        sandbox.prices.set_steps(*((int(since), _price(price)) for since, price in payload["steps"]))
    else:
        sandbox.prices.set_price(_price(payload["price"]))
    return {"price": format(sandbox.prices.price_at(sandbox.clock()), "f")}


def fail_price(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Make the price feed fail."""
    sandbox.prices.fail(**payload)
    return {}


def mails(sandbox: Sandbox, words: list[str], payload: Payload) -> list[Json]:
    """Return the accepted mails, oldest first."""
    return [mail.to_json() for mail in sandbox.mailbox.mails]


def forget_mails(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Clear the accepted mails."""
    sandbox.mailbox.mails.clear()
    return {}


def fail_mail(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Make the mailbox fail."""
    sandbox.mailbox.fail(**payload)
    return {}


def mail_settings(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Set the requests per second (null: no limit), the valid keys (none: any) and whether they have full access."""
    mailbox = sandbox.mailbox
    mailbox.per_second = payload.get("per_second", mailbox.per_second)
    mailbox.api_keys = set(payload.get("api_keys", mailbox.api_keys))
    mailbox.full_access = payload.get("full_access", mailbox.full_access)
    return {}


def refuse_connections(sandbox: Sandbox, words: list[str], payload: Payload) -> Json:
    """Close the next connections when they are accepted."""
    sandbox.refused_connections = payload["refuse"]
    return {}


def _price(text: object) -> Decimal:
    if not isinstance(text, str):
        raise TypeError("a price is a string")
    return Decimal(text)
