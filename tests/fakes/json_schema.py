"""Whether a value fits a JSON Schema, as far as our description uses them; a keyword that is not known here fails."""

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


def faults(value: Any, schema: Any, document: Any, where: str = "") -> Iterator[str]:
    """What does not fit, one sentence each."""
    for word, wanted in schema.items():
        match word:
            case "title" | "description" | "default":
                continue
            case "$ref":
                yield from faults(value, document["components"]["schemas"][wanted.rpartition("/")[2]], document, where)
            case "allOf" | "anyOf" | "items":
                yield from _several(word, value, wanted, document, where)
            case "properties" | "additionalProperties" | "required":
                yield from _named(word, value, schema, document, where)
            case _:
                if not _fits(word, value, wanted):
                    yield f"{where}: {value!r} against {word} {wanted!r}"


def _several(word: str, value: Any, wanted: Any, document: Any, where: str) -> Iterator[str]:
    if word == "items":
        for place, one in enumerate(value if isinstance(value, list) else ()):
            yield from faults(one, wanted, document, f"{where}[{place}]")
        return
    found = [list(faults(value, one, document, where)) for one in wanted]
    if word == "allOf":
        yield from (fault for those in found for fault in those)
    elif all(found):
        yield f"{where}: fits none of {len(wanted)}"


def _named(word: str, value: Any, schema: Any, document: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    if word == "required":
        yield from (f"{where}.{name} is missing" for name in schema["required"] if name not in value)
    elif word == "properties":
        for name in known.keys() & value.keys():
            yield from faults(value[name], known[name], document, f"{where}.{name}")
    else:
        for name in value.keys() - known.keys():
            if others is False:
                yield f"{where}.{name} is not described"
            elif others is not True:
                yield from faults(value[name], others, document, f"{where}.{name}")


def _fits(word: str, value: Any, wanted: Any) -> bool:
    match word:
        case "type":
            return any(_TYPES[one](value) for one in ([wanted] if isinstance(wanted, str) else wanted))
        case "enum":
            return value in wanted
        case "const":
            return type(value) is type(wanted) and bool(value == wanted)
        case "pattern":
            return not isinstance(value, str) or re.search(wanted, value) is not None
        case "minimum" | "maximum":
            return not isinstance(value, int) or (value >= wanted if word == "minimum" else value <= wanted)
        case "minItems" | "maxItems":
            return not isinstance(value, list) or (len(value) >= wanted if word == "minItems" else len(value) <= wanted)
    raise ValueError(f"this keyword is not known here: {word}")
