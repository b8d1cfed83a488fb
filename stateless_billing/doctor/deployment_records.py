"""Reads what `make deploy` recorded in `deployments/<chain id>.json`, and compares gateways with it."""

from pathlib import Path

import msgspec

FOLDER = Path(__file__).resolve().parents[2] / "deployments"


class BadRecord(Exception):
    """The file is not what `make deploy` writes."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One gateway, as recorded or as read from the chain. Hex is compared in lower case."""

    token: str
    treasury: str
    owner: str
    signer: str
    code_hash: str
    paused: bool


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    chain_id: int
    gateways: dict[str, Deployment]


def read_record(chain_id: int, folder: Path = FOLDER) -> dict[str, Deployment] | None:
    """Return the recorded gateways by address, or None without a record of this chain. Raises: BadRecord."""
    path = folder / f"{chain_id}.json"
    if not path.exists():
        return None
    try:
        record = msgspec.json.decode(path.read_bytes(), type=_Record)
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"deployments/{path.name} is not what `make deploy` writes: {error}") from error
    if record.chain_id != chain_id:
        raise BadRecord(f"deployments/{path.name} is of chain {record.chain_id}")
    return {address.lower(): _in_lower_case(deployment) for address, deployment in record.gateways.items()}


def _in_lower_case(deployment: Deployment) -> Deployment:
    return Deployment(
        token=deployment.token.lower(),
        treasury=deployment.treasury.lower(),
        owner=deployment.owner.lower(),
        signer=deployment.signer.lower(),
        code_hash=deployment.code_hash.lower(),
        paused=deployment.paused,
    )


def find_differences(recorded: Deployment, actual: Deployment) -> list[str]:
    """Return one sentence for each field that is not as recorded."""
    differences = []
    for name in Deployment.__struct_fields__:
        value, expected = getattr(actual, name), getattr(recorded, name)
        if value != expected:
            differences.append(f"{name.replace('_', ' ')} is {value}, recorded is {expected}")
    return differences
