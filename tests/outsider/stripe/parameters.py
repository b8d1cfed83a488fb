"""Reads form-encoded parameters, and refuses what an endpoint does not know."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from tests.outsider.stripe.refusals import Refusal, invalid

Reader = Callable[[str, Any], Any]
Specification = Mapping[str, Reader]

MAX_METADATA_KEYS, MAX_KEY_LENGTH, MAX_VALUE_LENGTH = 50, 40, 500
CURRENCIES = ("aud", "brl", "cad", "chf", "dkk", "eur", "gbp", "inr", "jpy", "mxn", "nok", "pln", "sek", "sgd", "usd")


def parse(encoded: str) -> dict[str, Any]:
    """Return parameters as nested dictionaries: `a[b]=c` is `{"a": {"b": "c"}}`; lists have their indices as keys."""
    parameters: dict[str, Any] = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        root, *path = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name) or [name]
        at, key = parameters, root
        for part in path:
            at = at.setdefault(key, {}) if isinstance(at.get(key, {}), dict) else {}
            key = part or f"[{len(at)}]"
        at[key] = value
    return parameters


def read(parameters: Mapping[str, Any], specification: Specification, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return validated parameters. Raises: Refusal for unknown, missing or malformed ones."""
    for name in parameters:
        if name not in specification:
            raise invalid(f"Received unknown parameter: {name}", name, "parameter_unknown")
    for name in required:
        if name not in parameters:
            raise invalid(f"Missing required param: {name}.", name, "parameter_missing")
    return {name: specification[name](name, value) for name, value in parameters.items()}


def text(name: str, value: Any) -> str:
    """Read a text. Raises: Refusal for the empty one, which would unset what cannot be unset."""
    if not isinstance(value, str):
        raise invalid(f"Invalid string: {name}", name)
    if not value:
        raise invalid(
            f"You passed an empty string for '{name}', which cannot be unset.", name, "parameter_invalid_empty"
        )
    return value


def unsettable(longest: int) -> Reader:
    """Return the reader of a text of at most `longest` characters; the empty one unsets the field."""

    def read_text(name: str, value: str | dict[str, Any]) -> str | None:
        if not value:
            return None
        if len(text(name, value)) > longest:
            raise invalid(f"Invalid string: {name}; it must be at most {longest} characters", name)
        return text(name, value)

    return read_text


def email(name: str, value: Any) -> str | None:
    """Read a mail address, kept in the case in which it came."""
    address: str | None = unsettable(512)(name, value)
    if address and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", address):
        raise invalid(f"Invalid email address: {address}", name, "email_invalid")
    return address


def integer(name: str, value: Any) -> int:
    """Read an integer."""
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,18}", value):
        raise invalid(f"Invalid integer: {value}", name, "parameter_invalid_integer")
    return int(value)


def limit(name: str, value: Any) -> int:
    """Read a page's size, 1 to 100."""
    size = integer(name, value)
    if size < 1:
        raise invalid("This value must be greater than or equal to 1.", name, "parameter_invalid_integer")
    if size > 100:
        raise invalid("This value must be less than or equal to 100.", name, "parameter_invalid_integer")
    return size


def currency(name: str, value: Any) -> str:
    """Read a currency, which Stripe returns in lower case."""
    code = text(name, value).lower()
    if code not in CURRENCIES:
        raise invalid(f"Invalid currency: {value}. Stripe currently supports: {', '.join(CURRENCIES)}", name)
    return code


def time_range(name: str, value: Any) -> dict[str, int]:
    """Read a filter of times: a second, or bounds by gt, gte, lt, lte."""
    if isinstance(value, str):
        return {"gte": integer(name, value), "lte": integer(name, value)}
    for bound in value:
        if bound not in ("gt", "gte", "lt", "lte"):
            raise invalid(f"Received unknown parameter: {name}[{bound}]", f"{name}[{bound}]", "parameter_unknown")
    return {bound: integer(f"{name}[{bound}]", second) for bound, second in value.items()}


def within(second: int, bounds: Mapping[str, int] | None) -> bool:
    """Whether a time lies within a filter."""
    tests = {"gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__}
    return all(tests[bound](second, limit_) for bound, limit_ in (bounds or {}).items())


def expansion(*names: str, of_list: bool = False) -> Reader:
    """Return the reader of `expand`: paths of the object, or of a list's `data`."""
    allowed = {f"data.{name}" if of_list else name for name in names}

    def expand(name: str, value: Any) -> set[str]:
        if not isinstance(value, dict):
            raise invalid("Invalid array", name)
        for path in value.values():
            if path not in allowed:
                raise invalid(f"This property cannot be expanded ({path}).", name)
        return {path.removeprefix("data.") for path in value.values()}

    return expand


def metadata(name: str, value: Any) -> dict[str, str]:
    """Read metadata to merge: an empty value removes its key, an empty whole (returned as {"": ""}) all keys."""
    if value == "":
        return {"": ""}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise invalid("Invalid hash", name)
    for key, each in value.items():
        if "[" in key:
            raise invalid("Invalid hash", name)
        if len(key) > MAX_KEY_LENGTH:
            raise invalid(f"Metadata keys can have up to {MAX_KEY_LENGTH} characters: {key}", f"{name}[{key}]")
        if len(each) > MAX_VALUE_LENGTH:
            raise invalid(f"Metadata values can have up to {MAX_VALUE_LENGTH} characters: {key}", f"{name}[{key}]")
    return value


def merge(stored: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    """Return metadata with changes applied. Raises: Refusal if they would be more than 50 keys."""
    if "" in changes:
        return {}
    merged = {key: value for key, value in {**stored, **changes}.items() if value}
    if len(merged) > MAX_METADATA_KEYS:
        raise Refusal(400, f"You cannot have more than {MAX_METADATA_KEYS} metadata keys.", param="metadata")
    return merged
