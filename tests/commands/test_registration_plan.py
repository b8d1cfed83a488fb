"""Which customers can be registered: a table of what may be wrong, and that no wallet is ever signed for two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.commands.registration_plan import RegistrationTarget, batches, compare_with_chain, sort_wallets

A, B = "0x" + "ab" * 20, "0x" + "cd" * 20


@pytest.mark.parametrize(
    ("wallets", "good", "found"),
    [
        ([("cus_A", A), ("cus_B", B)], [("cus_A", A), ("cus_B", B)], []),
        ([("cus_A", A), ("cus_B", A)], [], [("wallet_of_several_customers", "cus_A cus_B")]),
        (
            [("cus_A", A), ("cus_B", "0x" + "AB" * 20)],
            [],
            [("capitals", "cus_B"), ("wallet_of_several_customers", "cus_A cus_B")],
        ),
        ([("cus_A", "0x" + "Ab" * 20)], [], [("capitals", "cus_A")]),
        ([("cus_A", f"{A},{B}")], [], [("several_wallets", "cus_A")]),
        ([("cus_A", f"{A} {B}")], [], [("several_wallets", "cus_A")]),
        (
            [("cus_A", f"{A},{B}"), ("cus_B", B)],
            [],
            [("several_wallets", "cus_A"), ("wallet_of_several_customers", "cus_A cus_B")],
        ),
        ([("cus_A", A + " ")], [], [("malformed_wallet", "cus_A")]),
        ([("cus_A", f"{A},{A}")], [], [("malformed_wallet", "cus_A")]),
        ([("cus_A", A[:-1])], [], [("malformed_wallet", "cus_A")]),
        ([("cus_A", A + "0")], [], [("malformed_wallet", "cus_A")]),
        ([("cus_A", A[2:])], [], [("malformed_wallet", "cus_A")]),
        ([("cus_A", "0X" + A[2:])], [], [("malformed_wallet", "cus_A")]),
        ([("cus_A", "0x" + "0" * 40)], [], [("malformed_wallet", "cus_A")]),
        ([("cus_A", "alice.eth")], [], [("malformed_wallet", "cus_A")]),
        ([("cus_" + "x" * 29, A)], [], [("customer_id", "cus_" + "x" * 29)]),
    ],
)
def test_what_is_registered_and_what_is_found(
    wallets: list[tuple[str, str]], good: list[tuple[str, str]], found: list[tuple[str, str]]
) -> None:
    wanted, findings = sort_wallets(wallets)
    assert [(one.customer_id, one.wallet) for one in wanted] == good
    assert [(one.code, " ".join(one.customers)) for one in findings] == found


def test_a_finding_says_what_to_do_and_shows_no_novel() -> None:
    [finding] = sort_wallets([("cus_A", "y" * 500)])[1]
    assert "40 hex digits" in finding.detail
    assert len(finding.detail) < 200


WALLETS = st.sampled_from([A, B, A.upper(), f"{A},{B}", "0x" + "AB" * 20, "", "0x12"])


@given(st.dictionaries(st.from_regex(r"cus_[A-D]{1,2}", fullmatch=True), WALLETS), st.randoms())
def test_everybody_is_signed_or_found_whatever_the_order(wallets: dict[str, str], random: object) -> None:
    wanted, findings = sort_wallets(wallets.items())
    assert len({one.wallet for one in wanted}) == len(wanted)
    signed = {one.customer_id for one in wanted}
    blamed = {customer for one in findings for customer in one.customers}
    assert signed | blamed == set(wallets)
    assert not signed & blamed
    assert sort_wallets(reversed(list(wallets.items()))) == (wanted, findings)


def test_what_the_gateway_has_already_is_left_out() -> None:
    wanted = [
        RegistrationTarget(A, "cus_A"),
        RegistrationTarget(B, "cus_B"),
        RegistrationTarget("0x" + "ee" * 20, "cus_E"),
    ]
    present = {A: "cus_A", B: "cus_Z", "0x" + "ee" * 20: None}
    left, registered, [finding] = compare_with_chain(wanted, present)
    assert (left, registered) == ([wanted[2]], 1)
    assert (finding.code, finding.customers) == ("registered_otherwise", ("cus_B",))
    assert "cus_Z" in finding.detail


def test_batches() -> None:
    assert batches([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert batches([], 2) == []
