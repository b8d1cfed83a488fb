"""What each gateway should be, as its deployment recorded it in `deployments/<chain id>.json`, and what differs."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "deployments"


class BadRecord(Exception):
    """The file is not what `make deploy` writes."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One gateway, as recorded or as found; hex in lower case."""

    token: str
    treasury: str
    owner: str
    signer: str
    code_hash: str
    paused: bool


def read_record(chain_id: int, folder: Path = FOLDER) -> dict[str, Deployment] | None:
    """The recorded gateways by address, or None where nothing is recorded for this chain. Raises BadRecord."""
    path = folder / f"{chain_id}.json"
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text())
        if content["chain_id"] != chain_id:
            raise BadRecord(f"deployments/{path.name} is of chain {content['chain_id']}")
        return {address.lower(): _parse_deployment(one) for address, one in content["gateways"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRecord(f"deployments/{path.name} is not what `make deploy` writes: {error!r}") from error


def _parse_deployment(raw: dict[str, Any]) -> Deployment:
    if not isinstance(raw["paused"], bool):
        raise TypeError("paused is neither true nor false")
    texts = {one.name: raw[one.name].lower() for one in fields(Deployment) if one.name != "paused"}
    return Deployment(**texts, paused=raw["paused"])


def find_differences(expected: Deployment, found: Deployment) -> list[str]:
    """One sentence for each thing that is not as recorded."""
    return [
        f"{one.name.replace('_', ' ')} is {getattr(found, one.name)}, recorded is {getattr(expected, one.name)}"
        for one in fields(Deployment)
        if getattr(found, one.name) != getattr(expected, one.name)
    ]
