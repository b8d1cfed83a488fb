"""The roster: one person, one identity, whatever name is used."""

import pytest

from stateless_billing.operators.roster import GRANT, Operator, find_operator, has_anybody_right, parse_roster

WALLET, SPARE = "0x" + "ab" * 20, "0x" + "cd" * 20
JOINED = f"Ann@Example.org | {WALLET.upper().replace('0X', '0x')}|{SPARE}=admin, ben@example.org=auditor"


def test_joined_names_are_one_person() -> None:
    roster = parse_roster(JOINED)
    assert dict(roster) == {"ann@example.org": "admin", "ben@example.org": "auditor"}
    assert set(roster.names) == {"ann@example.org", WALLET, SPARE, "ben@example.org"}
    ann = Operator("ann@example.org", "admin")
    assert [find_operator(roster, name) for name in ("ANN@example.org ", WALLET, SPARE)] == [ann] * 3
    assert roster.names_of("ann@example.org") == ["ann@example.org", WALLET, SPARE]
    assert find_operator(roster, "nobody@example.org") is None
    assert roster.identity_of(" Gone@Example.org") == "gone@example.org"


def test_an_empty_roster_has_nobody() -> None:
    assert not parse_roster(" , ")
    assert has_anybody_right(parse_roster(JOINED), GRANT)
    assert not has_anybody_right(parse_roster("ben@example.org=auditor"), GRANT)


@pytest.mark.parametrize(
    "text",
    [
        f"a@example.org|{WALLET}|=admin",
        f"|{WALLET}=admin",
        "a@example.org|a@example.org=admin",
        f"a@example.org|{WALLET}=admin,{WALLET}=moderator",
        f"a@example.org=admin|{WALLET}=admin",
        "a@example.org|ben=admin",
        "a@example.org|b@example.org",
    ],
)
def test_a_malformed_roster_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be email=role|lists an operator twice"):
        parse_roster(text)
