"""The control interface under `/_sandbox/`, with which tests and demos control the stand-ins: JSON in, JSON out.

GET    state             counts per endpoint, reads, writes, keys, active faults, falsified pages, clock
DELETE state             clear counts and request rows
GET    requests?last=N   the latest request rows, newest last (default 100)
POST   faults            {"effect": "lost_after", "with": {…}, "method", "template", "path", "times", "skip",
                         "probability"}: names and arguments in `effects`, matching in `faults`
DELETE faults            end all Stripe, price, mail and connection faults
POST   keys/age          {"seconds": N}: make every idempotency key older by N; the clock stays
POST   settings          any of search_lag, list_lag, longest_key_life (seconds), same_second ("newest_first" or
                         "oldest_first": a ledger's rows within one second), and limits: false, or any of
                         {"endpoint", "search", "account", "account_in_test_mode"} (requests a second)
POST   clock             {"offset": N} or {"advance": N}: the clock of all stand-ins, `Date` included
POST   api_keys          {"secret", "permissions": […] or null, "account", "expired"}: create or replace
DELETE api_keys/ID       revoke
POST   customers         {"email", "name", "metadata", "created", "id", "currency", "balance", "test_clock"}: create as
                         another system; a balance makes a row of type `initial`
GET    customers/ID      the object
POST   customers/ID      {"metadata": {…}, "currency", "test_clock"}: replace the metadata, set the currency, attach
                         to a test clock permanently
DELETE customers/ID      delete, as in the Dashboard
POST   test_clocks       {"id", "frozen_time"}: create or advance a test clock; `created` of its customers' new rows
POST   customers/ID/rows {"amount", "currency", "description", "metadata", "type", "invoice", "created", "count",
                         "every"}: rows of another system or a person, the first at `created`, `every` seconds
                         apart; past rows are inserted and the balances recomputed per currency; of type
                         `initial` only the oldest row of its currency
POST   customers/ID/age  {"seconds": N}: make all rows of a customer older by N
POST   rows/ID           {"metadata": {…}, "description"}: replace the texts, as in the Dashboard
POST   price             {"price": "0.006"} or {"steps": [[unix, "0.006"], …]}
POST   price/faults      {"name", "times", "seconds"}: see `prices.FAULT_NAMES`
GET    mails             accepted mails, oldest first
DELETE mails             clear them
POST   mails/faults      {"name", "times"}: see `mailbox.FAULTS`
POST   mails/settings    any of {"per_second": N or null, "api_keys": […], "full_access": true}
POST   connections       {"refuse": N}: close the next N connections when accepted
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
    """Execute a command. Answers 404 if it is unknown and 400 with a message if it is invalid."""
    bare, _, query = path.partition("?")
    parts = [unquote(part) for part in bare.removeprefix(PREFIX).split("/")]
    match = _find_command(method, parts)
    if match is None:
        return _json_answer(404, {"error": f"no command {method} {bare}"})
    command, words = match
    try:
        payload = json.loads(body) if body else dict(parse_qsl(query))
        result = command(sandbox, words, payload)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, Refusal) as fault:
        return _json_answer(400, {"error": f"{type(fault).__name__}: {fault}"})
    return _json_answer(200, result)


def _find_command(method: str, parts: list[str]) -> tuple[Command, list[str]] | None:
    for command_method, pattern, command in COMMANDS:
        names = pattern.split("/")
        if command_method != method or len(names) != len(parts):
            continue
        if all(name in ("*", part) for name, part in zip(names, parts, strict=True)):
            return command, [part for name, part in zip(names, parts, strict=True) if name == "*"]
    return None


def _json_answer(status: int, result: object) -> Answer:
    return json_answer(status, json.dumps(result).encode())
