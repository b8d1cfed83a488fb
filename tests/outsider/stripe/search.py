"""Search of customers: its language, its pages and its delay."""

import re
from collections.abc import Callable
from typing import Any

from tests.outsider.stripe.account import Account, Customer
from tests.outsider.stripe.refusals import invalid

Test = Callable[[dict[str, Any]], bool]

_CLAUSE = re.compile(
    r"""\s*(?P<negated>-)?
    (?P<field>[a-z_]+)(?:\[(?P<quote>["'])(?P<key>(?:\\.|(?!(?P=quote)).)*)(?P=quote)\])?
    \s*(?P<operator>:|~|>=|<=|>|<)\s*
    (?:(?P<marks>["'])(?P<text>(?:\\.|(?!(?P=marks)).)*)(?P=marks)|(?P<bare>null|NULL|[0-9]+))
    (?:\s+(?P<joint>AND|OR|and|or)\s+|\s+(?=\S)|\s*$)""",
    re.VERBOSE,
)
_FIELDS = ("created", "email", "metadata", "name", "phone")
_FEWEST_CHARACTERS = 3


def compile_query(query: str) -> Test:
    """Return the test that a query makes. Raises: Refusal for a query that the language does not know."""
    tests, joints, position = [], set(), 0
    while position < len(query):
        clause = _CLAUSE.match(query, position)
        if (
            not clause
            or clause["field"] not in _FIELDS
            or (clause["field"] == "metadata") != (clause["key"] is not None)
        ):
            raise invalid("We were unable to parse your search query.", "query")
        tests.append(_clause(clause))
        position = clause.end()
        if position < len(query):
            joints.add((clause["joint"] or "AND").upper())
        elif clause["joint"]:
            raise invalid("We were unable to parse your search query.", "query")
    if not tests:
        raise invalid("We were unable to parse your search query.", "query")
    if len(joints) > 1:
        raise invalid("You cannot mix AND and OR in one query.", "query")
    return lambda shown: any(test(shown) for test in tests) if joints == {"OR"} else all(test(shown) for test in tests)


def _clause(clause: re.Match[str]) -> Test:
    name, key, operator = clause["field"], clause["key"], clause["operator"]
    bare = clause["bare"]
    wanted = None if bare in ("null", "NULL") else bare or re.sub(r"\\(.)", r"\1", clause["text"] or "")
    is_number = wanted is not None and operator != "~" and wanted.isdigit()
    if not is_number if name == "created" else wanted is not None and bare:
        raise invalid("We were unable to parse your search query.", "query")
    if operator in ("<", ">", "<=", ">=") and name != "created":
        raise invalid(f"Field `{name}` cannot be compared by `{operator}`.", "query")
    if operator == "~" and (name == "metadata" or wanted is None or len(wanted) < _FEWEST_CHARACTERS):
        raise invalid(f"`~` takes texts, and {_FEWEST_CHARACTERS} characters or more.", "query")

    def test(shown: dict[str, Any]) -> bool:
        value = shown["metadata"].get(re.sub(r"\\(.)", r"\1", key)) if key is not None else shown[name]
        return _holds(value, operator, wanted, token=key is not None) != bool(clause["negated"])

    return test


def _holds(value: Any, operator: str, wanted: str | None, *, token: bool) -> bool:
    if isinstance(value, int) and wanted is not None:
        number = int(wanted)
        return {
            ":": value == number,
            "<": value < number,
            ">": value > number,
            "<=": value <= number,
            ">=": value >= number,
        }[operator]
    if wanted is None or value is None:
        return value is None and wanted is None
    present, sought = value.lower(), wanted.lower()
    if operator == "~":
        return sought in present
    # A token is compared whole; a text holds the words in their order.
    return bool(present == sought) if token else f" {' '.join(sought.split())} " in f" {' '.join(present.split())} "


def find(account: Account, query: str) -> list[Customer]:
    """Return the customers whose indexed state matches, newest first, as they are now."""
    matches = compile_query(query)
    horizon = account.clock() - account.search_delay
    visible = {customer_id: shown for at, customer_id, shown in account.indexed if at <= horizon}
    customers = [
        account.customers[customer_id]
        for customer_id, shown in visible.items()
        if "deleted" not in shown and matches(shown) and not account.customers[customer_id].deleted
    ]
    return sorted(customers, key=lambda customer: customer.at, reverse=True)
