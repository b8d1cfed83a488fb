"""Roles and their rights, and the roster in the setting OPERATORS. Pure."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

READ, GRANT, RELEASE, REVERSE, OVERRIDE = "read", "grant", "release", "reverse", "override"
END_SESSIONS = "end_sessions"

ROLES: dict[str, frozenset[str]] = {
    "auditor": frozenset({READ}),
    "moderator": frozenset({READ, GRANT}),
    "admin": frozenset({READ, GRANT, RELEASE, REVERSE, OVERRIDE, END_SESSIONS}),
}
"""Read all · give grants and undo one's own for ten minutes · order · undo any grant · set the rate · end sessions."""

_EMAIL = re.compile(r"[^@\s,=\"<>:|]{1,64}@[^@\s,=\"<>:|]{1,255}")
_WALLET = re.compile(r"0x[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Operator:
    """A person on the roster. `name` is the identity: an email address or a wallet, in lower case."""

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


class Roster(Mapping[str, str]):
    """Roles by person. A person has one or several names; the first is the identity in every record and sum."""

    def __init__(self, roles: Mapping[str, str], identities: Mapping[str, str]) -> None:
        self._roles = roles
        self._identities = identities

    def __getitem__(self, identity: str) -> str:
        return self._roles[identity]

    def __iter__(self) -> Iterator[str]:
        return iter(self._roles)

    def __len__(self) -> int:
        return len(self._roles)

    @property
    def names(self) -> Collection[str]:
        """All names of all persons."""
        return self._identities.keys()

    def names_of(self, identity: str) -> Collection[str]:
        """Return all names of a person."""
        return [name for name, owner in self._identities.items() if owner == identity]

    def identity_of(self, name: str) -> str:
        """Return the identity of a person by any of the names; a name that is not listed is its own."""
        name = name.strip().lower()
        return self._identities.get(name, name)


NOBODY = Roster({}, {})


def parse_roster(text: str) -> Roster:
    """Parse `support@example.org=moderator,a@example.org|0xabc…=admin`: `|` joins the names of one person.

    Raises: ValueError.
    """
    roles: dict[str, str] = {}
    identities: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        joined, _, role = (part.strip().lower() for part in item.rpartition("="))
        names = [name.strip() for name in joined.split("|")]
        if role not in ROLES or not all(is_wallet(name) or is_email(name) for name in names):
            raise ValueError(
                "must be email=role or wallet=role with commas between, and | between the names of one person; roles: "
                + ", ".join(ROLES)
            )
        for name in names:
            if name in identities:
                raise ValueError("lists an operator twice")
            identities[name] = names[0]
        roles[names[0]] = role
    return Roster(roles, identities)


def has_anybody_right(roster: Roster, right: str) -> bool:
    """Whether any operator's role has a right."""
    return any(right in ROLES[role] for role in roster.values())


def find_operator(roster: Roster, name: str) -> Operator | None:
    """Find an operator by any of the names, ignoring case; None if not on the roster."""
    identity = roster.identity_of(name)
    role = roster.get(identity)
    return Operator(identity, role) if role else None
