"""Which entries a repair reverses, and which it leaves to people."""

from collections.abc import Sequence

import pytest

from stateless_billing.audit.rules.surplus import find_surplus, is_credited
from stateless_billing.domain.ledger import Entry
from tests.audit.builders import SCOPE, credit, quoted, reversal

P = quoted()
C = credit(P)
DOUBLE = credit(P, 2, created=C.created + 100)
THIRD = credit(P, 3, created=C.created + 200)


@pytest.mark.parametrize(
    ("entries", "taken"),
    [
        ([C], None),
        ([], None),
        ([C, DOUBLE], DOUBLE),
        ([C, DOUBLE, THIRD], THIRD),
        ([C, DOUBLE, THIRD, reversal(THIRD, 4)], DOUBLE),
        ([C, DOUBLE, reversal(DOUBLE, 4)], None),
        ([C, DOUBLE, reversal(DOUBLE, 4), reversal(DOUBLE, 5)], reversal(DOUBLE, 5)),
        ([C, reversal(C, 4)], None),
        ([C, reversal(C, 4), reversal(C, 5)], reversal(C, 5)),
        ([credit(P, cents=5001)], None),
        ([C, credit(P, 2, currency="eur")], None),
    ],
)
def test_the_youngest_surplus_entry_is_taken_back(entries: Sequence[Entry], taken: Entry | None) -> None:
    assert find_surplus(P, sorted(entries, key=lambda entry: -entry.created), SCOPE) == taken


@pytest.mark.parametrize(
    ("entries", "credited"),
    [
        ([C], True),
        ([], False),
        ([C, reversal(C, 4)], False),
        ([C, DOUBLE], False),
        ([credit(P, currency="eur")], False),
    ],
)
def test_a_credit_elsewhere_is_too_much_only_where_this_one_stands(entries: Sequence[Entry], credited: bool) -> None:
    assert is_credited(P, sorted(entries, key=lambda entry: -entry.created), SCOPE) is credited
