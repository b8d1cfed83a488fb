"""The record of deployments: read strictly, compared field by field."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from stateless_billing.doctor.deployment_records import BadRecord, Deployment, find_differences, read_record

ADDRESS = "0x" + "A1" * 20
RAW: dict[str, Any] = {
    "token": "0x" + "Ab" * 20,
    "symbol": "LITKEY",
    "treasury": "0x" + "02" * 20,
    "owner": "0x" + "03" * 20,
    "signer": "0x" + "04" * 20,
    "minimum_amount": "1",
    "rate_ceiling": "2",
    "paused": False,
    "code_hash": "0x" + "05" * 32,
}


def write(folder: Path, content: object, chain_id: int = 5) -> Path:
    """A record of a chain."""
    (folder / f"{chain_id}.json").write_text(json.dumps(content))
    return folder


def test_nothing_recorded(tmp_path: Path) -> None:
    assert read_record(5, tmp_path) is None
    assert read_record(6, write(tmp_path, {"chain_id": 5, "gateways": {}})) is None


def test_addresses_are_compared_without_case(tmp_path: Path) -> None:
    found = read_record(5, write(tmp_path, {"chain_id": 5, "gateways": {ADDRESS: RAW}}))
    assert found is not None
    assert found[ADDRESS.lower()].token == "0x" + "ab" * 20


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"gateways": {}},
        {"chain_id": 6, "gateways": {}},
        {"chain_id": 5, "gateways": []},
        {"chain_id": 5, "gateways": {ADDRESS: {}}},
        {"chain_id": 5, "gateways": {ADDRESS: RAW | {"owner": 5}}},
        {"chain_id": 5, "gateways": {ADDRESS: RAW | {"paused": "false"}}},
    ],
)
def test_what_is_not_understood_is_no_empty_record(tmp_path: Path, content: object) -> None:
    with pytest.raises(BadRecord, match=r"deployments/5\.json"):
        read_record(5, write(tmp_path, content))


def test_each_difference_is_a_sentence(tmp_path: Path) -> None:
    expected = (read_record(5, write(tmp_path, {"chain_id": 5, "gateways": {ADDRESS: RAW}})) or {})[ADDRESS.lower()]
    assert find_differences(expected, expected) == []
    changed: Deployment = replace(expected, paused=True, code_hash="0x")
    assert find_differences(expected, changed) == [
        f"code hash is 0x, recorded is {RAW['code_hash']}",
        "paused is True, recorded is False",
    ]
