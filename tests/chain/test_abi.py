"""Selectors and the event's topic, recomputed from the compiled contract."""

import json
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from chain.calls import SELECTORS
from chain.decoding import PAYMENT_TOPIC
from chain.signing import TYPES

COMPILED = Path(__file__).parents[2] / "contracts" / "out" / "PaymentGateway.sol" / "PaymentGateway.json"
TOKEN = {
    "approve": "approve(address,uint256)",
    "allowance": "allowance(address,address)",
    "decimals": "decimals()",
    "symbol": "symbol()",
    "name": "name()",
    "nonces": "nonces(address)",
    "DOMAIN_SEPARATOR": "DOMAIN_SEPARATOR()",
}


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    """Forge's output."""
    assert COMPILED.exists(), "the contracts are not built: run `make contracts`"
    found: dict[str, Any] = json.loads(COMPILED.read_text())
    return found


def signatures(compiled: dict[str, Any], kind: str) -> dict[str, str]:
    """Name → signature of the contract's functions or events."""
    return {
        one["name"]: f"{one['name']}({','.join(argument['type'] for argument in one['inputs'])})"
        for one in compiled["abi"]
        if one["type"] == kind
    }


def test_every_selector_is_the_compiled_contracts_or_the_tokens(compiled: dict[str, Any]) -> None:
    functions = signatures(compiled, "function") | TOKEN
    assert {name: keccak(text=functions[name])[:4].hex() for name in SELECTORS} == SELECTORS
    for name, selector in SELECTORS.items():
        assert name in TOKEN or compiled["methodIdentifiers"][functions[name]] == selector


def test_the_events_topic_and_layout(compiled: dict[str, Any]) -> None:
    assert "0x" + keccak(text=signatures(compiled, "event")["Payment"]).hex() == PAYMENT_TOPIC
    [event] = [one for one in compiled["abi"] if one["type"] == "event" and one["name"] == "Payment"]
    assert [(one["name"], one["indexed"]) for one in event["inputs"]] == [
        ("customerId", True),
        ("wallet", True),
        ("payer", True),
        ("sequence", False),
        ("amount", False),
        ("cents", False),
    ]


def test_the_signed_types_are_those_in_the_contracts_source() -> None:
    source = (COMPILED.parents[2] / "src" / "PaymentGateway.sol").read_text()
    for name, fields in TYPES.items():
        assert f'keccak256("{name}({",".join(one["type"] + " " + one["name"] for one in fields)})")' in source
