"""The published schema has exactly the existing columns and statuses."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from stateless_billing.audit.report.formats import write_json
from stateless_billing.audit.report.report import TOOL
from stateless_billing.audit.rules.rows import COLUMNS
from stateless_billing.audit.rules.statuses import RULES, Status
from tests.audit.test_run import PAID, run_audit, with_own_wallets
from tests.audit.world import World

pytestmark = pytest.mark.anyio
DOCS = Path(__file__).parents[2] / "docs"
SCHEMA: dict[str, Any] = json.loads((DOCS / "audit" / "report.schema.json").read_text())
TYPES = {"integer": int, "string": str, "boolean": bool, "object": dict, "array": list, "null": type(None)}


def check(value: Any, schema: dict[str, Any], where: str) -> None:
    """Check the subset of JSON Schema that the report schema uses."""
    assert "const" not in schema or value == schema["const"], where
    assert "enum" not in schema or value in schema["enum"], where
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    assert not kinds or type(value) in [TYPES[kind] for kind in kinds], where
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= value.keys(), where
        properties = schema.get("properties", {})
        assert schema.get("additionalProperties") is not False or value.keys() <= properties.keys(), where
        for name, item in value.items():
            check(item, properties.get(name, {}), f"{where}.{name}")
    if isinstance(value, list):
        for index, item in enumerate(value):
            check(item, schema.get("items", {}), f"{where}[{index}]")


async def test_a_report_fits_its_schema() -> None:
    check(json.loads("".join(write_json(await run_audit(World(with_own_wallets(PAID)))))), SCHEMA, "report")


async def test_the_schema_names_all_that_the_coverage_says() -> None:
    coverage = (await run_audit(World(with_own_wallets(PAID)), deep=True)).head()["coverage"]
    assert coverage.keys() <= SCHEMA["properties"]["coverage"]["properties"].keys()


def test_the_report_names_the_version_that_the_package_has() -> None:
    package = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())
    assert TOOL["version"] == package["project"]["version"]


def test_the_schema_knows_every_column_and_status() -> None:
    row = SCHEMA["properties"]["rows"]["items"]
    assert row["required"] == list(COLUMNS)
    assert row["properties"]["status"]["enum"] == [str(status) for status in Status]


def test_every_status_is_documented_with_its_id() -> None:
    documented = (DOCS / "audit.md").read_text()
    for status, rule in RULES.items():
        [line] = [line for line in documented.splitlines() if line.startswith("|") and f"`{status}`" in line]
        assert line.startswith(f"| {rule.code} ")
        assert line.rstrip(" |").endswith("yes") == rule.exception
