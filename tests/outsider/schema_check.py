"""Checks answers against the OpenAPI description that the service itself serves."""

import re
from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]
_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}


class Description:
    """An OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self.paths: dict[str, Any] = document["paths"]

    def check(self, method: str, path: str, status: int, content_type: str, body: Any) -> list[str]:
        """Return what an answer does that the description does not say."""
        operation = self._operation(method, path)
        if operation is None:
            return [f"{method} {path} is not described"]
        responses = operation["responses"]
        response = responses.get(str(status)) or responses.get(f"{status // 100}XX") or responses.get("default")
        if response is None:
            return [f"{method} {path} answered {status}, which is not described"]
        content = self._resolve(response).get("content", {})
        media = content.get(content_type.partition(";")[0].strip())
        if media is None:
            return [] if not content else [f"{method} {path} {status}: {content_type} is not described"]
        return [f"{method} {path} {status}: {fault}" for fault in self.faults(body, media.get("schema", {}), "answer")]

    def faults(self, value: Any, schema: Schema, at: str) -> list[str]:
        """Return where a value violates a schema."""
        schema = self._resolve(schema)
        faults = self._combined(value, schema, at)
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if kinds and not any(_TYPES[kind](value) for kind in kinds):
            return [*faults, f"{at} is {value!r}, not {kinds}"]
        if "enum" in schema and value not in schema["enum"]:
            faults.append(f"{at} is {value!r}, not one of {schema['enum']}")
        if "const" in schema and value != schema["const"]:
            faults.append(f"{at} is {value!r}, not {schema['const']!r}")
        return faults + self._inner(value, schema, at)

    def _inner(self, value: Any, schema: Schema, at: str) -> list[str]:
        if isinstance(value, dict):
            return self._object(value, schema, at)
        if isinstance(value, list):
            each = schema.get("items", {})
            return [fault for index, item in enumerate(value) for fault in self.faults(item, each, f"{at}[{index}]")]
        if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
            return [f"{at} is {value!r}, which does not match {schema['pattern']}"]
        if isinstance(value, int) and not isinstance(value, bool):
            least, most = schema.get("minimum", value), schema.get("maximum", value)
            return [] if least <= value <= most else [f"{at} is {value}, not within {least} and {most}"]
        return []

    def _object(self, value: dict[str, Any], schema: Schema, at: str) -> list[str]:
        properties = schema.get("properties", {})
        faults = [f"{at}.{name} is missing" for name in schema.get("required", []) if name not in value]
        more = schema.get("additionalProperties", True)
        for name, item in value.items():
            if name in properties:
                faults += self.faults(item, properties[name], f"{at}.{name}")
            elif more is False:
                faults.append(f"{at}.{name} is not described")
            elif isinstance(more, dict):
                faults += self.faults(item, more, f"{at}.{name}")
        return faults

    def _combined(self, value: Any, schema: Schema, at: str) -> list[str]:
        faults = [fault for each in schema.get("allOf", []) for fault in self.faults(value, each, at)]
        for name in ("anyOf", "oneOf"):
            choices = [self.faults(value, each, at) for each in schema.get(name, [])]
            if choices and all(choices):
                faults += sorted(choices, key=lambda choice: len(list(choice)))[0]
        return faults

    def _resolve(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            target: Any = self._document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            schema = target
        return schema

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        for template, operations in self.paths.items():
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path) and method.lower() in operations:
                operation: dict[str, Any] = operations[method.lower()]
                return operation
        return None
