"""Stripe's search query language for customers (docs.stripe.com/search#search-query-language).

Clauses are `field:value`, `field~"part"`, `created>N` and `metadata["key"]:"value"`; a leading `-` negates. They are
joined by a space or AND, or all by OR. Strings use double or single quotes; a backslash escapes a quote or backslash.
Case never counts, and `name:"one two"` also matches the name "one two three".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from stateless_billing.sandbox.answers import Refusal
from stateless_billing.sandbox.records import Contact

FIELDS = ("email", "name", "phone")
SHORTEST_PART = 3
QUOTED = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
CLAUSE = re.compile(
    rf"""\s*(?P<negated>-)?(?:(?P<field>[a-z_]+)(?:\[(?P<key>{QUOTED})\])?)\s*(?P<operator><=|>=|:|~|<|>)\s*"""
    rf"""(?P<value>{QUOTED}|null|NULL|[0-9]+)(?P<space>\s*)""",
    re.VERBOSE | re.ASCII,
)
JOIN = re.compile(r"(AND|OR|and|or)\s")
MAX_CLAUSES = 10
NULL = ("null", "NULL")

Match = Callable[[Contact, int], bool]


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query: clauses that must all match, or any of them."""

    clauses: tuple[Match, ...]
    every: bool

    def matches(self, contact: Contact, created: int) -> bool:
        """Whether the query finds a customer with these fields."""
        return (all if self.every else any)(clause(contact, created) for clause in self.clauses)


def parse_query(text: str) -> Query:
    """Parse a query. Raises: `Refusal` 400 for invalid syntax."""
    clauses: list[Match] = []
    joins: set[str] = set()
    place = 0
    while True:
        match = CLAUSE.match(text, place)
        if match is None:
            _refuse(text)
        clauses.append(_clause(match, text))
        place = match.end()
        if place == len(text):
            break
        join = JOIN.match(text, place)
        if not (join or match["space"]):
            _refuse(text)
        joins.add(join[1].upper() if join else "AND")
        place = join.end() if join else place
    if len(joins) > 1 or len(clauses) > MAX_CLAUSES:
        _refuse(text)
    return Query(tuple(clauses), "OR" not in joins)


def _clause(parts: re.Match[str], text: str) -> Match:
    field, key, operator, value = parts["field"], parts["key"], parts["operator"], parts["value"]
    match: Match
    if field == "metadata" and key is not None and operator == ":":
        match = _metadata(_unquoted(key), value, text)
    elif key is not None:
        _refuse(text)
    elif field == "created":
        match = _created(operator, value, text)
    elif field in FIELDS and operator in ":~":
        match = _text(field, operator, value, text)
    else:
        _refuse(text)
    if parts["negated"]:
        return lambda contact, created: not match(contact, created)
    return match


def _metadata(key: str, value: str, text: str) -> Match:
    if value in NULL:
        return lambda contact, _: key not in contact.metadata
    if value[0] not in "\"'":
        _refuse(text)
    expected = _unquoted(value).lower()
    return lambda contact, _: contact.metadata.get(key, "").lower() == expected


def _created(operator: str, value: str, text: str) -> Match:
    digits = value.strip("\"'")
    if not digits.isdecimal() or operator == "~":
        _refuse(text)
    moment = int(digits)
    tests: dict[str, Match] = {
        ":": lambda _, created: created == moment,
        ">": lambda _, created: created > moment,
        "<": lambda _, created: created < moment,
        ">=": lambda _, created: created >= moment,
        "<=": lambda _, created: created <= moment,
    }
    return tests[operator]


def _text(field: str, operator: str, value: str, text: str) -> Match:
    if value in NULL:
        return lambda contact, _: getattr(contact, field) is None
    if value[0] not in "\"'":
        _refuse(text)
    expected = _unquoted(value).lower()
    if operator == "~":
        if len(expected) < SHORTEST_PART:
            _refuse(text)
        return lambda contact, _: expected in (getattr(contact, field) or "").lower()
    words = expected.split()
    return lambda contact, _: _holds_words(getattr(contact, field) or "", words)


def _holds_words(text: str, words: list[str]) -> bool:
    """Whether a text has these words, in this order and without others between them."""
    present = text.lower().split()
    return bool(words) and any(present[at : at + len(words)] == words for at in range(len(present)))


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1])


def _refuse(text: str) -> NoReturn:
    message = f"We were unable to parse your search query: {text}. See https://docs.stripe.com/search for the language."
    raise Refusal(400, message, param="query")
