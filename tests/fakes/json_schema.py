"""Validates values against the part of JSON Schema that our API description uses."""

import re
from collections.abc import Callable, Iterator
from typing import Any

_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}


def faults(value: Any, schema: Any, document: Any, path: str = "") -> Iterator[str]:
    """Yield a sentence for each part of `value` that does not match `schema`."""
    for keyword, expected in schema.items():
        match keyword:
            case "title" | "description" | "default":
                continue
            case "$ref":
                yield from faults(value, document["components"]["schemas"][expected.rpartition("/")[2]], document, path)
            case "allOf" | "anyOf" | "items":
                yield from _check_subschemas(keyword, value, expected, document, path)
            case "properties" | "additionalProperties" | "required":
                yield from _check_properties(keyword, value, schema, document, path)
            case _:
                if not _matches(keyword, value, expected):
                    yield f"{path}: {value!r} against {keyword} {expected!r}"


def _check_subschemas(keyword: str, value: Any, expected: Any, document: Any, path: str) -> Iterator[str]:
    if keyword == "items":
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield from faults(item, expected, document, f"{path}[{index}]")
        return
    results = [list(faults(value, option, document, path)) for option in expected]
    if keyword == "allOf":
        yield from (fault for result in results for fault in result)
    elif all(results):
        yield f"{path}: matches none of {len(expected)}"


def _check_properties(keyword: str, value: Any, schema: Any, document: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    if keyword == "required":
        yield from (f"{path}.{name} is missing" for name in schema["required"] if name not in value)
    elif keyword == "properties":
        for name in properties.keys() & value.keys():
            yield from faults(value[name], properties[name], document, f"{path}.{name}")
    else:
        for name in value.keys() - properties.keys():
            if others is False:
                yield f"{path}.{name} is not described"
            elif others is not True:
                yield from faults(value[name], others, document, f"{path}.{name}")


def _matches(keyword: str, value: Any, expected: Any) -> bool:
    match keyword:
        case "type":
            return any(_TYPES[name](value) for name in ([expected] if isinstance(expected, str) else expected))
        case "enum":
            return value in expected
        case "const":
            return type(value) is type(expected) and bool(value == expected)
        case "pattern":
            return not isinstance(value, str) or re.search(expected, value) is not None
        case "minimum" | "maximum":
            return not isinstance(value, int) or (value >= expected if keyword == "minimum" else value <= expected)
        case "minItems" | "maxItems":
            return not isinstance(value, list) or (
                len(value) >= expected if keyword == "minItems" else len(value) <= expected
            )
    raise ValueError(f"unsupported keyword: {keyword}")
