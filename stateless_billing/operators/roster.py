"""Who may do what: the roles in one table, and the roster that the setting OPERATORS holds. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

READ, GRANT, RELEASE, REVERSE, OVERRIDE = "read", "grant", "release", "reverse", "override"

ROLES: dict[str, frozenset[str]] = {
    "auditor": frozenset({READ}),
    "moderator": frozenset({READ, GRANT}),
    "admin": frozenset({READ, GRANT, RELEASE, REVERSE, OVERRIDE}),
}
"""Reading all · giving grants, and undoing one's own for ten minutes · orders · undoing any grant · the rate."""

_EMAIL = re.compile(r"[^@\s,=\"<>:]{1,64}@[^@\s,=\"<>:]{1,255}")
_WALLET = re.compile(r"0x[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody on the roster: `name` is an email address or a wallet, lower-case."""

    name: str
    role: str

    def has_right(self, right: str) -> bool:
        """Whether the role allows this."""
        return right in ROLES[self.role]

    @property
    def is_wallet(self) -> bool:
        """Whether the operator signs in with a wallet."""
        return is_wallet(self.name)


def is_wallet(name: str) -> bool:
    """Whether a roster's name is a wallet."""
    return _WALLET.fullmatch(name) is not None


def is_email(name: str) -> bool:
    """Whether a name has the form of an email address as the roster takes it."""
    return _EMAIL.fullmatch(name) is not None


def parse_roster(text: str) -> Mapping[str, str]:
    """`support@example.org=moderator,0xabc…=admin` as roles by lower-case name. Raises ValueError."""
    roster: dict[str, str] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, _, role = (piece.strip().lower() for piece in part.rpartition("="))
        if role not in ROLES or not (is_wallet(name) or is_email(name)):
            raise ValueError("must be email=role or wallet=role with commas between; roles: " + ", ".join(ROLES))
        if name in roster:
            raise ValueError("names somebody twice")
        roster[name] = role
    return roster


def has_anybody_right(roster: Mapping[str, str], right: str) -> bool:
    """Whether there is anybody whose role allows this."""
    return any(right in ROLES[role] for role in roster.values())


def find_operator(roster: Mapping[str, str], name: str) -> Operator | None:
    """Somebody by name, in whatever case; None where the roster does not hold the name."""
    role = roster.get(name.strip().lower())
    return Operator(name.strip().lower(), role) if role else None
