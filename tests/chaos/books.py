"""Compares every payment on the chain with every credit in Stripe."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpx

from chain.failover import FailoverProvider
from chain.gateway import Gateway
from chain.payment import Payment
from stateless_billing.sandbox.stack import Stack


@dataclass(frozen=True)
class Balance:
    """The comparison: payments, credits, and the number of `twice`, `missing`, `wrong` and `orphaned` ones."""

    payments: int
    credits: int
    twice: int
    missing: int
    wrong: int
    orphaned: int


def payments(stack: Stack) -> list[Payment]:
    """All payments of all gateways on the current chain."""

    async def read() -> list[Payment]:
        async with httpx.AsyncClient(trust_env=False) as http:
            nodes = FailoverProvider(http, [stack.chain.url], stack.chain.chain_id)
            on_chain: list[Payment] = []
            for address in stack.gateways:
                gateway = Gateway(nodes, stack.chain.chain_id, address.lower())
                total = await gateway.total_payments()
                async for window in gateway.payments(0, total):
                    assert not window.unreadable
                    on_chain += [payment for _, payment in window.payments]
            return on_chain

    return asyncio.run(read())


def credits(stack: Stack, customers: Iterable[str]) -> list[dict[str, Any]]:  # noqa: A001 - the domain's term
    """All credits of these customers, from complete listings."""
    rows: list[dict[str, Any]] = []
    for customer in customers:
        page: dict[str, Any] = {"has_more": True, "data": []}
        while page["has_more"]:
            after = {"starting_after": page["data"][-1]["id"]} if page["data"] else {}
            page = stack.stripe(f"customers/{customer}/balance_transactions", limit="100", **after)
            rows += page["data"]
    return rows


def compare(stack: Stack) -> Balance:
    """Compare every payment on the chain with every credit in Stripe."""
    owed = {payment.identity: payment for payment in payments(stack)}
    rows = credits(stack, {payment.customer_id or "" for payment in owed.values()})
    counted = Counter(row["metadata"]["payment"] for row in rows)
    wrong = 0
    for row in rows:
        payment = owed.get(row["metadata"]["payment"])
        cents = -row["amount"]
        if payment and (payment.customer_id != row["customer"] or cents != (payment.cents or _plain(payment))):
            wrong += 1
    return Balance(
        payments=len(owed),
        credits=len(rows),
        twice=sum(number > 1 for number in counted.values()),
        missing=len(owed.keys() - counted.keys()),
        wrong=wrong,
        orphaned=len(counted.keys() - owed.keys()),
    )


def _plain(payment: Payment) -> int:
    return payment.amount * 6 // (10 * 10**18)
