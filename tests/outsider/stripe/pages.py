"""Pages of a list: newest first, by cursor."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from tests.outsider.stripe.refusals import invalid, missing_object

DEFAULT_LIMIT = 10


class Identified(Protocol):
    """Something with an ID."""

    id: str


Item = TypeVar("Item", bound=Identified)


def cut(items: Sequence[Item], parameters: Mapping[str, Any], noun: str) -> tuple[Sequence[Item], bool]:
    """Return a page of `items` (newest first) and whether more follow in its direction. Raises: Refusal."""
    after, before = parameters.get("starting_after"), parameters.get("ending_before")
    if after and before:
        raise invalid("You cannot use both starting_after and ending_before.", "ending_before")
    size = parameters.get("limit", DEFAULT_LIMIT)
    if before:
        end = _position(items, before, noun, "ending_before")
        start = max(0, end - size)
        return items[start:end], start > 0
    start = _position(items, after, noun, "starting_after") + 1 if after else 0
    return items[start : start + size], start + size < len(items)


def _position(items: Sequence[Item], cursor: str, noun: str, param: str) -> int:
    for position, item in enumerate(items):
        if item.id == cursor:
            return position
    raise missing_object(noun, cursor, param, 400)


def show_list(url: str, page: list[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    """Return a page as the API shows it."""
    return {"object": "list", "url": url, "has_more": more, "data": page}
