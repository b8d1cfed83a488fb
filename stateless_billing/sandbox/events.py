"""GET /v1/events: what happened in the account in the last 30 days (docs.stripe.com/api/events/list).

The stand-in tells of deleted customers only. The permission's name follows the pattern of the others; no caller may
depend on it.
"""

from fnmatch import fnmatchcase

from stateless_billing.sandbox.account import Account
from stateless_billing.sandbox.answers import Json, Refusal, no_such
from stateless_billing.sandbox.calls import Call, Endpoint, Work
from stateless_billing.sandbox.paging import page
from stateless_billing.sandbox.records import Deletion

EVENT_READ = "rak_event_read"
CUSTOMER_DELETED = "customer.deleted"
DAYS = 30
_MAX_TYPES = 20
_API_VERSION = "2026-10-28.endive"


def listing(call: Call) -> Work:
    """List events, newest first; `type` may end in a wildcard, and excludes `types`."""
    given = call.parameters()
    cursor, window = given.cursor(), given.created()
    pattern, names = given.text("type"), given.names("types", most=_MAX_TYPES)
    delivered = given.text("delivery_success")
    given.finish()
    if pattern is not None and names is not None:
        raise Refusal(400, "You may pass either `type` or `types`, but not both.", param="types")
    if delivered not in (None, "true", "false"):
        raise Refusal(400, f"Invalid boolean: {delivered}", param="delivery_success")
    is_asked = fnmatchcase(CUSTOMER_DELETED, pattern or "*") and (names is None or CUSTOMER_DELETED in names)

    def work(now: float, created: int) -> Json:
        oldest, newest = now - DAYS * 86_400, now - call.list_lag
        after = _find(call.account, cursor.starting_after, "starting_after")
        before = _find(call.account, cursor.ending_before, "ending_before")

        def keep(event: Deletion) -> bool:
            return is_asked and oldest <= event.created <= newest

        events, more = page(call.account.deletions, window, after, before, cursor.limit, keep)
        data = [_rendered(event, livemode=call.account.livemode) for event in events]
        return {"object": "list", "data": data, "has_more": more, "url": call.path}

    return work


def _find(account: Account, identifier: str | None, param: str) -> Deletion | None:
    if identifier is None:
        return None
    for event in account.deletions:
        if event.id == identifier:
            return event
    raise no_such("event", identifier, param, 400)


def _rendered(event: Deletion, *, livemode: bool) -> Json:
    return {
        "id": event.id,
        "object": "event",
        "api_version": _API_VERSION,
        "created": event.created,
        "data": {"object": event.customer},
        "livemode": livemode,
        "pending_webhooks": 0,
        "request": {"id": None, "idempotency_key": None},
        "type": CUSTOMER_DELETED,
    }


ENDPOINTS = (Endpoint("GET", "/v1/events", EVENT_READ, listing),)
