"""Answers that violate their description are noticed."""

from typing import Any

import pytest

from tests.outsider.schema_check import Description

ITEM = {
    "type": "object",
    "required": ["state"],
    "additionalProperties": False,
    "properties": {
        "state": {"enum": ["open", "paid"]},
        "cents": {"type": ["integer", "null"], "minimum": 0},
        "hash": {"anyOf": [{"type": "null"}, {"type": "string", "pattern": "^0x[0-9a-f]+$"}]},
    },
}
DOCUMENT = {
    "paths": {"/items/{id}": {"get": {"responses": {"200": {"$ref": "#/components/responses/Items"}}}}},
    "components": {
        "responses": {"Items": {"content": {"application/json": {"schema": {"type": "array", "items": ITEM}}}}}
    },
}


def check(body: Any, path: str = "/items/7", status: int = 200, content_type: str = "application/json") -> list[str]:
    return Description(DOCUMENT).check("GET", path, status, content_type, body)


def test_what_is_described_passes() -> None:
    assert check([{"state": "open", "cents": None, "hash": "0x1f"}, {"state": "paid", "cents": 5}]) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        [{}],
        [{"state": "void"}],
        [{"state": "open", "more": 1}],
        [{"state": "open", "cents": True}],
        [{"state": "open", "cents": -1}],
        [{"state": "open", "hash": "0xZZ"}],
    ],
)
def test_what_is_not_described_is_noticed(body: Any) -> None:
    assert len(check(body)) == 1


def test_other_addresses_statuses_and_types_are_noticed() -> None:
    assert check([], path="/items/7/more")
    assert check([], status=404)
    assert check([], content_type="text/html")
