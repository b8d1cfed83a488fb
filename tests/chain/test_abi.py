"""The committed ABIs, the event's topic and the early calldata, recomputed from the compiled contracts."""

import json
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from chain.contracts import EARLY_VIEWS, ERC20_ABI, GATEWAY_ABI, contract_functions
from chain.decoding import PAYMENT_TOPIC
from chain.signatures import TYPES
from tests.chain.fake_node import ABI

OUT = Path(__file__).parents[2] / "contracts" / "out"
NO_ARGUMENTS = {"token": GATEWAY_ABI, "signer": GATEWAY_ABI, "totalPayments": GATEWAY_ABI, "decimals": ERC20_ABI}


def compiled(name: str) -> dict[str, Any]:
    """Read Forge's output for a contract."""
    path = OUT / f"{name}.sol" / f"{name}.json"
    assert path.exists(), "the contracts are not built: run `make contracts`"
    artifact: dict[str, Any] = json.loads(path.read_text())
    return artifact


def signatures(abi: list[dict[str, Any]], kind: str) -> dict[str, str]:
    """Map the names of an ABI's functions or events to their signatures."""
    return {
        entry["name"]: f"{entry['name']}({','.join(argument['type'] for argument in entry['inputs'])})"
        for entry in abi
        if entry["type"] == kind
    }


def test_the_committed_token_abi_is_part_of_the_compiled_one() -> None:
    committed = json.loads((ABI / f"{ERC20_ABI}.json").read_text())
    entries = compiled(ERC20_ABI)["abi"]
    assert [entry for entry in committed if entry not in entries] == []
    names = ["DOMAIN_SEPARATOR", "allowance", "approve", "decimals", "name", "nonces", "symbol"]
    assert sorted(entry["name"] for entry in committed) == names


@pytest.mark.parametrize("name", [GATEWAY_ABI, ERC20_ABI])
def test_every_selector_is_the_compiled_contracts(name: str) -> None:
    selectors = compiled(name)["methodIdentifiers"]
    committed = signatures(json.loads((ABI / f"{name}.json").read_text()), "function")
    assert committed
    for function, signature in committed.items():
        assert contract_functions(name)[function].selector.hex() == selectors[signature]
        assert keccak(text=signature)[:4].hex() == selectors[signature]


def test_the_early_calldata_is_web3s() -> None:
    expected = {
        name: contract_functions(abi)[name].encode() for name, abi in (NO_ARGUMENTS | {"symbol": ERC20_ABI}).items()
    }
    assert expected == {name: calldata for name, (calldata, _) in EARLY_VIEWS.items()}


def test_the_events_topic_and_layout() -> None:
    abi = compiled(GATEWAY_ABI)["abi"]
    assert "0x" + keccak(text=signatures(abi, "event")["Payment"]).hex() == PAYMENT_TOPIC
    [event] = [entry for entry in abi if entry["type"] == "event" and entry["name"] == "Payment"]
    assert [(argument["name"], argument["indexed"]) for argument in event["inputs"]] == [
        ("customerId", True),
        ("wallet", True),
        ("payer", True),
        ("sequence", False),
        ("amount", False),
        ("cents", False),
    ]


def test_the_signed_types_are_those_in_the_contracts_source() -> None:
    source = (OUT.parent / "src" / "PaymentGateway.sol").read_text()
    for name, fields in TYPES.items():
        members = ",".join(f"{field['type']} {field['name']}" for field in fields)
        assert f'keccak256("{name}({members})")' in source
