"""`GET /docs/api`: the API's description for people, as one page that needs no script."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from jinja2 import Environment
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from stateless_billing.web.api.openapi import create_document

_QUOTED = re.compile(r"`([^`]+)`")
_STATUSES = {"2": "good", "3": "good", "4": "warn", "5": "bad"}


class Field(NamedTuple):
    """A parameter, or a field of a type. `type_name` is the described type that its value is, or has items of."""

    name: str
    kind: str
    type_name: str
    is_required: bool
    description: str


class Example(NamedTuple):
    """A body by its name, as JSON on lines."""

    name: str
    text: str


class Answer(NamedTuple):
    """One status of an operation."""

    status: str
    tone: str
    description: str
    type_name: str
    examples: list[Example]


class Operation(NamedTuple):
    """One method of one path."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Field]
    body_type: str
    body_examples: list[Example]
    answers: list[Answer]


class ApiPage:
    """Renders the description once."""

    def __init__(self, templates: Environment) -> None:
        document = create_document()
        operations = list(_operations(document))
        groups = [
            (tag["name"], tag["description"], [entry for name, entry in operations if name == tag["name"]])
            for tag in document["tags"]
        ]
        types = [
            (name, schema.get("description", ""), list(_fields(schema)))
            for name, schema in sorted(document["components"]["schemas"].items())
        ]
        page = templates.get_template("api.html")
        self._html = page.render(info=document["info"], groups=groups, types=types, mark_up=mark_up)

    async def show(self, request: Request) -> Response:
        """`GET /docs/api`."""
        return HTMLResponse(self._html)


def mark_up(text: str) -> Markup:
    """Escape a text and show what it quotes as code."""
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, Operation]]:
    """Yield each operation with its tag."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            yield (
                operation["tags"][0],
                Operation(
                    anchor=operation["operationId"],
                    method=method.upper(),
                    path=path,
                    summary=operation["summary"],
                    description=operation.get("description", ""),
                    parameters=[_parameter(parameter) for parameter in operation.get("parameters", ())],
                    body_type=_type_name(body.get("schema", {})),
                    body_examples=_examples(body),
                    answers=[_answer(status, answer) for status, answer in operation["responses"].items()],
                ),
            )


def _parameter(parameter: Mapping[str, Any]) -> Field:
    schema = parameter["schema"]
    kind = f"{_kind(schema)}, in the {parameter['in']}"
    return Field(parameter["name"], kind, "", parameter["required"], schema.get("description", ""))


def _answer(status: str, answer: Mapping[str, Any]) -> Answer:
    contents = answer.get("content", {})
    content: Mapping[str, Any] = next(
        (contents[kind] for kind in contents if "json" in kind and "problem" not in kind), {}
    )
    problem = contents.get("application/problem+json", {})
    examples = _examples(content) + _examples(problem)
    return Answer(status, _STATUSES[status[0]], answer["description"], _type_name(content.get("schema", {})), examples)


def _examples(content: Mapping[str, Any]) -> list[Example]:
    return [
        Example(name, json.dumps(example["value"], indent=2, ensure_ascii=False))
        for name, example in content.get("examples", {}).items()
    ]


def _fields(schema: Mapping[str, Any]) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, value in schema.get("properties", {}).items():
        yield Field(name, _kind(value), _type_name(value), name in required, _description(value))


def _description(schema: Mapping[str, Any]) -> str:
    """Return the description of a value, which may be that of its alternative to null."""
    options = (option["description"] for option in schema.get("anyOf", ()) if "description" in option)
    return str(schema.get("description") or next(options, ""))


def _type_name(schema: Mapping[str, Any]) -> str:
    """Return the described type that a schema refers to, itself or for its items; empty if it refers to none."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for part in (*schema.get("anyOf", ()), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(part, dict) and (name := _type_name(part)):
            return name
    return ""


def _kind(schema: Mapping[str, Any]) -> str:
    """Say in words what a value may be."""
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"always `{json.dumps(schema['const'])}`"
    if "$ref" in schema:
        return "an object"
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        items = _type_name(schema)
        return "a list" if items else f"a list of {_kind(schema.get('items', {}))}"
    return {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(kind, kind)
