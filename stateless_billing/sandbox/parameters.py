"""Reads a request's parameters: each is typed, and unread ones are rejected."""

import re
from dataclasses import dataclass

from stateless_billing.sandbox.answers import Refusal
from stateless_billing.sandbox.forms import Group, Value
from stateless_billing.sandbox.metadata import NO_CHANGE, MetadataChange, metadata_change

WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
DEFAULT_LIMIT = 10
MAX_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Window:
    """A range of `created` in Unix seconds: `first` inclusive, `end` exclusive; None is open."""

    first: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """The start of a page: after an object, before an object, or at the newest."""

    starting_after: str | None
    ending_before: str | None
    limit: int


class Parameters:
    """Returns each parameter once, validated; `finish` rejects the rest, as Stripe does (`parameter_unknown`)."""

    def __init__(self, group: Group) -> None:
        self._unread = dict(group)

    def text(self, name: str, *, longest: int = 5000, required: bool = False, unset: bool = False) -> str | None:
        """Return a string, or None if absent. An empty one is rejected unless the parameter may be `unset`."""
        value = self._take(name, required=required)
        if value is None:
            return None
        if not isinstance(value, str):
            raise Refusal(400, "Invalid string", param=name)
        if not value and not unset:
            raise Refusal(400, f"You passed an empty string for '{name}'", param=name, code="parameter_invalid_empty")
        if len(value) > longest:
            message = f"Invalid string: {value[:20]}…; must be at most {longest} characters"
            raise Refusal(400, message, param=name)
        return value

    def integer(self, name: str, *, required: bool = False) -> int | None:
        """Return an integer, or None if absent."""
        value = self._take(name, required=required)
        return None if value is None else _whole(value, name)

    def metadata(self) -> MetadataChange:
        """Return the change requested by `metadata`; no change if absent."""
        value = self._take("metadata")
        return NO_CHANGE if value is None else metadata_change(value)

    def created(self) -> Window:
        """Return the range of `created=<seconds>` or `created[gt|gte|lt|lte]=<seconds>`."""
        value = self._take("created")
        if value is None:
            return Window()
        if isinstance(value, str):
            moment = _whole(value, "created")
            return Window(moment, moment + 1)
        first, end = None, None
        for name, text in value.items():
            moment = _whole(text, f"created[{name}]")
            if name in ("gt", "gte"):
                bound = moment + (name == "gt")
                first = bound if first is None else max(first, bound)
            elif name in ("lt", "lte"):
                bound = moment + (name == "lte")
                end = bound if end is None else min(end, bound)
            else:
                raise unknown_parameter(f"created[{name}]")
        return Window(first, end)

    def cursor(self) -> Cursor:
        """Return `starting_after`, `ending_before` and `limit`."""
        after, before = self.text("starting_after"), self.text("ending_before")
        if after is not None and before is not None:
            raise Refusal(400, "You cannot parameterize both starting_after and ending_before.", param="ending_before")
        return Cursor(after, before, self.limit())

    def limit(self) -> int:
        """Return `limit`, 1 to 100, default 10."""
        limit = self.integer("limit")
        if limit is None:
            return DEFAULT_LIMIT
        if not 1 <= limit <= MAX_LIMIT:
            message = f"Invalid integer: {limit}; must be between 1 and {MAX_LIMIT}"
            raise Refusal(400, message, param="limit", code="parameter_invalid_integer")
        return limit

    def expand(self, allowed: frozenset[str]) -> frozenset[str]:
        """Return the names in `expand[]`; names that are not `allowed` on this endpoint are rejected."""
        value = self._take("expand")
        if value is None:
            return frozenset()
        if isinstance(value, str):
            raise Refusal(400, "Invalid array", param="expand")
        names = [name for name in value.values() if isinstance(name, str)]
        for name in names:
            if name not in allowed:
                raise Refusal(400, f"This property cannot be expanded ({name}).", param="expand")
        return frozenset(names)

    def names(self, name: str, *, most: int) -> list[str] | None:
        """Return an array of at most `most` strings, or None if absent."""
        value = self._take(name)
        if value is None:
            return None
        if isinstance(value, str) or not all(isinstance(text, str) for text in value.values()):
            raise Refusal(400, "Invalid array", param=name)
        if len(value) > most:
            raise Refusal(400, f"Invalid array: at most {most} values", param=name)
        return [text for text in value.values() if isinstance(text, str)]

    def finish(self) -> None:
        """Reject unread parameters."""
        for name, value in self._unread.items():
            raise unknown_parameter(name if isinstance(value, str) else f"{name}[{next(iter(value), '')}]")

    def _take(self, name: str, *, required: bool = False) -> Value | None:
        value = self._unread.pop(name, None)
        if value is None and required:
            raise Refusal(400, f"Missing required param: {name}.", param=name, code="parameter_missing")
        return value


def unknown_parameter(name: str) -> Refusal:
    """Return the refusal for a parameter that this endpoint does not have."""
    return Refusal(400, f"Received unknown parameter: {name}", param=name, code="parameter_unknown")


def _whole(value: Value, name: str) -> int:
    if not isinstance(value, str) or not WHOLE_NUMBER.fullmatch(value):
        text = value if isinstance(value, str) else "{…}"
        raise Refusal(400, f"Invalid integer: {text}", param=name, code="parameter_invalid_integer")
    return int(value)
