"""Roles and their rights, and the roster in the setting OPERATORS. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

READ, GRANT, RELEASE, REVERSE, OVERRIDE = "read", "grant", "release", "reverse", "override"
END_SESSIONS = "end_sessions"

ROLES: dict[str, frozenset[str]] = {
    "auditor": frozenset({READ}),
    "moderator": frozenset({READ, GRANT}),
    "admin": frozenset({READ, GRANT, RELEASE, REVERSE, OVERRIDE, END_SESSIONS}),
}
"""Read all · give grants and undo one's own for ten minutes · order · undo any grant · set the rate · end sessions."""

_EMAIL = re.compile(r"[^@\s,=\"<>:]{1,64}@[^@\s,=\"<>:]{1,255}")
_WALLET = re.compile(r"0x[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Operator:
    """A person on the roster. `name` is an email address or a wallet, in lower case."""

    name: str
    role: str

    def has_right(self, right: str) -> bool:
        """Whether the role has a right."""
        return right in ROLES[self.role]

    @property
    def is_wallet(self) -> bool:
        """Whether the operator signs in with a wallet."""
        return is_wallet(self.name)


def is_wallet(name: str) -> bool:
    """Whether a name is a wallet address."""
    return _WALLET.fullmatch(name) is not None


def is_email(name: str) -> bool:
    """Whether a name is an email address that the roster accepts."""
    return _EMAIL.fullmatch(name) is not None


def parse_roster(text: str) -> Mapping[str, str]:
    """Parse `support@example.org=moderator,0xabc…=admin` to roles by lower-case name.

    Raises: ValueError.
    """
    roster: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, role = (part.strip().lower() for part in item.rpartition("="))
        if role not in ROLES or not (is_wallet(name) or is_email(name)):
            raise ValueError("must be email=role or wallet=role with commas between; roles: " + ", ".join(ROLES))
        if name in roster:
            raise ValueError("lists an operator twice")
        roster[name] = role
    return roster


def has_anybody_right(roster: Mapping[str, str], right: str) -> bool:
    """Whether any operator's role has a right."""
    return any(right in ROLES[role] for role in roster.values())


def find_operator(roster: Mapping[str, str], name: str) -> Operator | None:
    """Find an operator by name, ignoring case; None if not on the roster."""
    role = roster.get(name.strip().lower())
    return Operator(name.strip().lower(), role) if role else None
