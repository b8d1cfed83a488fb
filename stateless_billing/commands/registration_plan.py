"""Which customers of Stripe can be registered at the gateway, and what is wrong with the others. Pure."""

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
_MAX_SHOWN = 100


@dataclass(frozen=True, slots=True)
class RegistrationTarget:
    """A wallet (lower-case) and the customer to register for it."""

    wallet: str
    customer_id: str


@dataclass(frozen=True, slots=True)
class RegistrationIssue:
    """Customers that are not registered as they stand: what is wrong, and what to do."""

    code: str
    customers: tuple[str, ...]
    detail: str


def sort_wallets(wallets: Iterable[tuple[str, str]]) -> tuple[list[RegistrationTarget], list[RegistrationIssue]]:
    """`(customer id, wallet as Stripe has it)` of all customers → those without a doubt, and findings about the rest.

    Order does not matter; both lists come sorted.
    """
    holders: dict[str, list[str]] = defaultdict(list)
    good: list[RegistrationTarget] = []
    findings: list[RegistrationIssue] = []
    for customer_id, text in wallets:
        for wallet in set(_WALLET_WITHIN.findall(text.lower())):
            holders[wallet].append(customer_id)
        if fault := _find_fault(customer_id, text):
            findings.append(fault)
        else:
            good.append(RegistrationTarget(text, customer_id))
    for wallet, customers in holders.items():
        if len(customers) > 1:
            detail = f"{wallet} is the wallet of {len(customers)} customers: remove it from all but its owner"
            findings.append(RegistrationIssue("wallet_of_several_customers", tuple(sorted(customers)), detail))
    alone = [one for one in good if len(holders[one.wallet]) == 1]
    return (
        sorted(alone, key=lambda one: (one.wallet, one.customer_id)),
        sorted(findings, key=lambda one: (one.code, one.customers)),
    )


def _find_fault(customer_id: str, text: str) -> RegistrationIssue | None:
    """What is wrong with one customer alone."""
    lower, shown = text.lower(), repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…")
    if not is_customer_id(customer_id):
        return RegistrationIssue(
            "customer_id", (customer_id,), "the gateway takes `cus_` and at most 28 letters and digits"
        )
    if len(set(_WALLET_WITHIN.findall(lower))) > 1:
        return RegistrationIssue("several_wallets", (customer_id,), f"{shown} names several wallets: leave one")
    if not _WALLET.fullmatch(text) or text == _ZERO_ADDRESS:
        return RegistrationIssue(
            "malformed_wallet", (customer_id,), f"{shown} is no wallet: it takes 0x and 40 hex digits"
        )
    if text != lower:
        return RegistrationIssue(
            "capitals", (customer_id,), f"{text} has capitals: write it in lower case, as look-ups compare it"
        )
    return None


def compare_with_chain(
    wanted: Sequence[RegistrationTarget], registered: Mapping[str, str | None]
) -> tuple[list[RegistrationTarget], int, list[RegistrationIssue]]:
    """Those still to be registered, how many are registered already, and those that have another customer there."""
    left: list[RegistrationTarget] = []
    findings: list[RegistrationIssue] = []
    for one in wanted:
        present = registered[one.wallet]
        if present is None:
            left.append(one)
        elif present != one.customer_id:
            detail = f"{one.wallet} is registered for {present}: only the gateway's owner can correct it"
            findings.append(RegistrationIssue("registered_otherwise", (one.customer_id,), detail))
    return left, len(wanted) - len(left) - len(findings), findings


def batches(rows: Sequence[T], size: int) -> list[Sequence[T]]:
    """All rows in order, at most `size` together."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]
