"""Pieces of the OpenAPI document: operations, answers, problems and parameters."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec

from stateless_billing.domain.errors import PROBLEMS
from stateless_billing.web.api.openapi_examples import EXAMPLES, PATH_EXAMPLES, PROBLEM_DETAILS
from stateless_billing.web.http.problems import ProblemDocument, problem_document

REFS = "#/components/schemas/"
PAGE = {"text/html": {"schema": {"type": "string"}}}
_COMMON_PROBLEMS = (
    "bad_request",
    "request_timeout",
    "body_too_large",
    "rate_limited",
    "headers_too_large",
    "busy",
    "internal",
)
_WITH_RETRY_AFTER = (429, 503)
_REQUEST_ID = "3f1c9a7be2d04586"


def operation(
    name: str,
    summary: str,
    answers: Mapping[str, Any],
    *,
    tag: str,
    description: str = "",
    problems: tuple[str, ...] = (),
    parameters: list[dict[str, Any]] | None = None,
    body: type[msgspec.Struct] | None = None,
) -> dict[str, Any]:
    """Describe an operation: its answers, its own problems, and those that any request may meet."""
    operation: dict[str, Any] = {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        **({"description": description} if description else {}),
        "responses": {**answers, **_problems(*problems, *_COMMON_PROBLEMS)},
    }
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = {"required": True, "content": {"application/json": _content(body)}}
    return operation


def _problems(*codes: str) -> dict[str, Any]:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in codes:
        by_status[PROBLEMS[code][0]].append(code)
    return {str(status): _problem(status, codes) for status, codes in sorted(by_status.items())}


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    types = {"properties": {"type": {"enum": [f"/problems/{code}" for code in codes]}}}
    content: dict[str, Any] = {"schema": {"allOf": [reference(ProblemDocument), types]}}
    if examples := {code: {"value": _problem_example(code)} for code in codes if code in PROBLEM_DETAILS}:
        content["examples"] = examples
    problem: dict[str, Any] = {
        "description": "; ".join(f"`{code}`: {PROBLEMS[code][1]}" for code in codes),
        "content": {"application/problem+json": content},
    }
    if status in _WITH_RETRY_AFTER:
        problem["headers"] = {"Retry-After": {"required": True, "schema": {"type": "string", "pattern": "^[0-9]+$"}}}
    return problem


def _problem_example(code: str) -> Any:
    return msgspec.to_builtins(problem_document(code, PROBLEM_DETAILS[code], _REQUEST_ID))


def _content(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Describe a body, with its examples."""
    examples = {name: {"value": msgspec.to_builtins(example)} for name, example in EXAMPLES[struct].items()}
    return {"schema": reference(struct), "examples": examples}


def reference(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Refer to the schema of a type."""
    return {"$ref": REFS + struct.__name__}


def json_answer(description: str, struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Describe an answer in JSON."""
    return {"200": {"description": description, "content": {"application/json": _content(struct)}}}


def page_answer(description: str) -> dict[str, Any]:
    """Describe an answer that is a page."""
    return {"200": {"description": description, "content": PAGE}}


def path_parameter(name: str, form: Any) -> dict[str, Any]:
    """Describe a part of the path."""
    parameter = {"name": name, "in": "path", "required": True, "schema": msgspec.json.schema(form)}
    return {**parameter, "example": PATH_EXAMPLES[name]}


def query_parameter(name: str, form: Any) -> dict[str, Any]:
    """Describe a value of the query."""
    return {"name": name, "in": "query", "required": False, "schema": msgspec.json.schema(form)}
