"""The control interface under `/_sandbox/`: JSON in, JSON out; what tests and demos steer the stand-ins with.

GET    state             counts per endpoint, reads, writes, keys, faults in force, pages told untruly, clock
DELETE state             counts and request rows forgotten
GET    requests?last=N   the latest request rows, newest last (100)
POST   faults            {"effect": "lost_after", "with": {…}, "method", "template", "path", "times", "skip",
                         "probability"}: names and arguments in `effects`, matching in `faults`
DELETE faults            all Stripe, price, mail and connection faults ended
POST   keys/age          {"seconds": N}: every idempotency key older by N; the clock stays
POST   settings          any of search_lag, list_lag, longest_key_life (seconds), same_second ("newest_first" or
                         "oldest_first": a ledger's rows within one second), and limits: false, or any of
                         {"endpoint", "search", "account"} (requests a second)
POST   clock             {"offset": N} or {"advance": N}: the clock of everything, `Date` included
POST   api_keys          {"secret", "permissions": […] or null, "account", "expired"}: made or changed
DELETE api_keys/ID       revoked
POST   customers         {"email", "name", "metadata", "created", "id", "currency", "balance", "test_clock"}: made by
                         another system; a balance leaves a row of type `initial`
GET    customers/ID      the object
POST   customers/ID      {"metadata": {…}, "currency", "test_clock"}: metadata replaced as a whole, currency set, put
                         on a test clock for good
DELETE customers/ID      deleted, as in the Dashboard
POST   test_clocks       {"id", "frozen_time"}: a test clock made or advanced; `created` of its customers' new rows
POST   customers/ID/rows {"amount", "currency", "description", "metadata", "type", "invoice", "created", "count",
                         "every"}: rows by another system or a human, the first at `created`, `every` seconds
                         apart; past ones get their place, and the balances of each currency follow; of type
                         `initial` only the oldest row of its currency
POST   customers/ID/age  {"seconds": N}: all rows of a customer older by N
POST   rows/ID           {"metadata": {…}, "description"}: texts replaced, as in the Dashboard
POST   price             {"price": "0.006"} or {"steps": [[unix, "0.006"], …]}
POST   price/faults      {"name", "times", "seconds"}: see `prices.FAULT_NAMES`
GET    mails             what was sent, oldest first
DELETE mails             forgotten
POST   mails/faults      {"name", "times"}: see `mailbox.FAULTS`
POST   mails/settings    any of {"per_second": N or null, "api_keys": […], "full_access": true}
POST   connections       {"refuse": N}: the next N connections are closed when accepted
"""

import json
from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote

from stateless_billing.sandbox import control_stripe as stripe
from stateless_billing.sandbox import control_world as world
from stateless_billing.sandbox.answers import Answer, Refusal, json_answer
from stateless_billing.sandbox.sandbox import Sandbox

PREFIX = "/_sandbox/"

Command: TypeAlias = Callable[[Sandbox, list[str], dict[str, Any]], object]

COMMANDS: tuple[tuple[str, str, Command], ...] = (
    ("GET", "state", stripe.state),
    ("DELETE", "state", stripe.reset),
    ("GET", "requests", stripe.requests),
    ("POST", "faults", stripe.add_fault),
    ("DELETE", "faults", stripe.clear_faults),
    ("POST", "keys/age", stripe.age_keys),
    ("POST", "settings", stripe.settings),
    ("POST", "api_keys", stripe.set_api_key),
    ("DELETE", "api_keys/*", stripe.revoke_api_key),
    ("POST", "customers", stripe.add_customer),
    ("GET", "customers/*", stripe.show_customer),
    ("POST", "customers/*", stripe.edit_customer),
    ("DELETE", "customers/*", stripe.delete_customer),
    ("POST", "customers/*/rows", stripe.add_rows),
    ("POST", "customers/*/age", stripe.age_rows),
    ("POST", "test_clocks", stripe.set_test_clock),
    ("POST", "rows/*", stripe.edit_row),
    ("POST", "clock", world.set_clock),
    ("POST", "price", world.set_price),
    ("POST", "price/faults", world.fail_price),
    ("GET", "mails", world.mails),
    ("DELETE", "mails", world.forget_mails),
    ("POST", "mails/faults", world.fail_mail),
    ("POST", "mails/settings", world.mail_settings),
    ("POST", "connections", world.refuse_connections),
)


def control(sandbox: Sandbox, method: str, path: str, body: bytes) -> Answer:
    """Carry out one command; 404 for an unknown one, 400 with a sentence for one that makes no sense."""
    bare, _, query = path.partition("?")
    parts = [unquote(part) for part in bare.removeprefix(PREFIX).split("/")]
    found = _found(method, parts)
    if found is None:
        return _said(404, {"error": f"no command {method} {bare}"})
    command, words = found
    try:
        payload = json.loads(body) if body else dict(parse_qsl(query))
        result = command(sandbox, words, payload)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, Refusal) as fault:
        return _said(400, {"error": f"{type(fault).__name__}: {fault}"})
    return _said(200, result)


def _found(method: str, parts: list[str]) -> tuple[Command, list[str]] | None:
    for wanted, pattern, command in COMMANDS:
        names = pattern.split("/")
        if wanted != method or len(names) != len(parts):
            continue
        if all(name in ("*", part) for name, part in zip(names, parts, strict=True)):
            return command, [part for name, part in zip(names, parts, strict=True) if name == "*"]
    return None


def _said(status: int, result: object) -> Answer:
    return json_answer(status, json.dumps(result).encode())
