"""The control interface dispatches commands and rejects invalid ones with a message."""

import json
from typing import Any

import pytest

from stateless_billing.sandbox.control import control
from stateless_billing.sandbox.sandbox import Sandbox


def ask(sandbox: Sandbox, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Send one command."""
    answer = control(sandbox, method, f"/_sandbox/{path}", json.dumps(body).encode() if body is not None else b"")
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "nonesuch", None, 404),
        ("PUT", "state", None, 404),
        ("GET", "customers/cus_none", None, 400),
        ("POST", "faults", {"effect": "nonesuch"}, 400),
        ("POST", "faults", {"effect": "cut", "with": {"bytes": 1}}, 400),
        ("POST", "faults", {"effect": "limited", "with": {"reason": "mood"}}, 400),
        ("POST", "faults", {"effect": "cut", "colour": "red"}, 400),
        ("POST", "price", {"price": 0.006}, 400),
        ("POST", "price", {"price": "cheap"}, 400),
        ("POST", "price/faults", {"name": "nonesuch"}, 400),
        ("POST", "mails/faults", {"name": "nonesuch"}, 400),
        ("POST", "keys/age", [1], 400),
        ("POST", "rows/cbtxn_none", {}, 400),
    ],
)
def test_invalid_commands_are_rejected(sandbox: Sandbox, method: str, path: str, body: Any, status: int) -> None:
    actual, answer = ask(sandbox, method, path, body)
    assert actual == status
    assert answer["error"]


def test_broken_json_is_rejected(sandbox: Sandbox) -> None:
    assert control(sandbox, "POST", "/_sandbox/price", b"{").status == 400


def test_a_query_reaches_its_command(sandbox: Sandbox) -> None:
    assert ask(sandbox, "GET", "requests?last=3") == (200, [])
