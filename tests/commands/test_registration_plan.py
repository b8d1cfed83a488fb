"""The registration plan reports every issue and never signs a wallet for two customers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.commands.registration_plan import RegistrationTarget, batches, compare_with_chain, sort_wallets

A, B = "0x" + "ab" * 20, "0x" + "cd" * 20


@pytest.mark.parametrize(
    ("wallets", "expected", "issues"),
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
def test_targets_and_findings(
    wallets: list[tuple[str, str]], expected: list[tuple[str, str]], issues: list[tuple[str, str]]
) -> None:
    targets, findings = sort_wallets(wallets)
    assert [(target.customer_id, target.wallet) for target in targets] == expected
    assert [(finding.code, " ".join(finding.customers)) for finding in findings] == issues


def test_a_finding_says_how_to_fix_it_and_quotes_at_most_100_characters() -> None:
    [finding] = sort_wallets([("cus_A", "y" * 500)])[1]
    assert "40 hex digits" in finding.detail
    assert len(finding.detail) < 200


WALLETS = st.sampled_from([A, B, A.upper(), f"{A},{B}", "0x" + "AB" * 20, "", "0x12"])


@given(st.dictionaries(st.from_regex(r"cus_[A-D]{1,2}", fullmatch=True), WALLETS), st.randoms())
def test_every_customer_is_a_target_or_has_a_finding_in_any_order(wallets: dict[str, str], random: object) -> None:
    targets, findings = sort_wallets(wallets.items())
    assert len({target.wallet for target in targets}) == len(targets)
    signed = {target.customer_id for target in targets}
    reported = {customer for finding in findings for customer in finding.customers}
    assert signed | reported == set(wallets)
    assert not signed & reported
    assert sort_wallets(reversed(list(wallets.items()))) == (targets, findings)


def test_wallets_already_registered_are_skipped() -> None:
    targets = [
        RegistrationTarget(A, "cus_A"),
        RegistrationTarget(B, "cus_B"),
        RegistrationTarget("0x" + "ee" * 20, "cus_E"),
    ]
    holders = {A: "cus_A", B: "cus_Z", "0x" + "ee" * 20: None}
    unregistered, registered, [finding] = compare_with_chain(targets, holders)
    assert (unregistered, registered) == ([targets[2]], 1)
    assert (finding.code, finding.customers) == ("registered_otherwise", ("cus_B",))
    assert "cus_Z" in finding.detail


def test_batches() -> None:
    assert batches([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert batches([], 2) == []
