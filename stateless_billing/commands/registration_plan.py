"""Decides which Stripe customers can be registered at the gateway, and reports the others. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chain.payment import is_customer_id

T = TypeVar("T")

_WALLET = re.compile(r"0x[0-9a-fA-F]{40}")
_WALLET_WITHIN = re.compile(r"0x[0-9a-fA-F]{40}(?![0-9a-fA-F])")
_ZERO_ADDRESS = "0x" + "0" * 40
_MAX_QUOTED_LENGTH = 100


@dataclass(frozen=True, slots=True)
class RegistrationTarget:
    """A wallet (lower case) and the customer to register for it."""

    wallet: str
    customer_id: str


@dataclass(frozen=True, slots=True)
class RegistrationIssue:
    """Customers that cannot be registered: what is wrong, and how to fix it."""

    code: str
    customers: tuple[str, ...]
    detail: str


def sort_wallets(wallets: Iterable[tuple[str, str]]) -> tuple[list[RegistrationTarget], list[RegistrationIssue]]:
    """Split `(customer ID, wallet text in Stripe)` of all customers into unambiguous targets and findings.

    The result does not depend on the order of `wallets`; both lists are sorted.
    """
    holders: dict[str, list[str]] = defaultdict(list)
    targets: list[RegistrationTarget] = []
    findings: list[RegistrationIssue] = []
    for customer_id, text in wallets:
        for wallet in set(_WALLET_WITHIN.findall(text.lower())):
            holders[wallet].append(customer_id)
        if issue := _find_issue(customer_id, text):
            findings.append(issue)
        else:
            targets.append(RegistrationTarget(text, customer_id))
    for wallet, customers in holders.items():
        if len(customers) > 1:
            detail = f"{wallet} is the wallet of {len(customers)} customers: remove it from all but its owner"
            findings.append(RegistrationIssue("wallet_of_several_customers", tuple(sorted(customers)), detail))
    unambiguous = [target for target in targets if len(holders[target.wallet]) == 1]
    return (
        sorted(unambiguous, key=lambda target: (target.wallet, target.customer_id)),
        sorted(findings, key=lambda issue: (issue.code, issue.customers)),
    )


def _find_issue(customer_id: str, text: str) -> RegistrationIssue | None:
    """The issue of a customer considered by itself, if any."""
    lower = text.lower()
    quoted = repr(text if len(text) <= _MAX_QUOTED_LENGTH else text[:_MAX_QUOTED_LENGTH] + "…")
    if not is_customer_id(customer_id):
        return RegistrationIssue(
            "customer_id", (customer_id,), "the gateway takes `cus_` and at most 28 letters and digits"
        )
    if len(set(_WALLET_WITHIN.findall(lower))) > 1:
        return RegistrationIssue("several_wallets", (customer_id,), f"{quoted} names several wallets: keep one")
    if not _WALLET.fullmatch(text) or text == _ZERO_ADDRESS:
        return RegistrationIssue(
            "malformed_wallet", (customer_id,), f"{quoted} is not a wallet: a wallet is 0x and 40 hex digits"
        )
    if text != lower:
        return RegistrationIssue(
            "capitals", (customer_id,), f"{text} has upper-case letters: write it in lower case, as lookups compare it"
        )
    return None


def compare_with_chain(
    targets: Sequence[RegistrationTarget], registered: Mapping[str, str | None]
) -> tuple[list[RegistrationTarget], int, list[RegistrationIssue]]:
    """Return the unregistered targets, the number already registered, and those registered for another customer."""
    unregistered: list[RegistrationTarget] = []
    findings: list[RegistrationIssue] = []
    for target in targets:
        holder = registered[target.wallet]
        if holder is None:
            unregistered.append(target)
        elif holder != target.customer_id:
            detail = f"{target.wallet} is registered for {holder}: only the gateway's owner can correct it"
            findings.append(RegistrationIssue("registered_otherwise", (target.customer_id,), detail))
    return unregistered, len(targets) - len(unregistered) - len(findings), findings


def batches(rows: Sequence[T], size: int) -> list[Sequence[T]]:
    """Split rows, in order, into batches of at most `size`."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]
