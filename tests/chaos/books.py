"""The comparison at the end: every payment on the chain against every credit in Stripe."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpx

from chain.gateway import Gateway
from chain.payment import Payment
from chain.provider import FailoverProvider
from stateless_billing.sandbox.stack import Stack


@dataclass(frozen=True)
class Balance:
    """How chain and Stripe compare: payments, credits, and those `twice`, `missing`, `wrong` or `orphaned`."""

    payments: int
    credits: int
    twice: int
    missing: int
    wrong: int
    orphaned: int


def payments(stack: Stack) -> list[Payment]:
    """All payments of all gateways, as the chain has them now."""

    async def read() -> list[Payment]:
        async with httpx.AsyncClient(trust_env=False) as http:
            nodes = FailoverProvider(http, [stack.chain.url], stack.chain.chain_id)
            found = []
            for address in stack.gateways:
                gateway = Gateway(nodes, stack.chain.chain_id, address.lower())
                total = await gateway.total_payments()
                found += [one async for window in gateway.payments(0, total) for _, one in window]
            return found

    return asyncio.run(read())


def credits(stack: Stack, customers: Iterable[str]) -> list[dict[str, Any]]:  # noqa: A001 - the trade's word
    """All credits of these customers, each read to the end of its list."""
    found: list[dict[str, Any]] = []
    for customer in customers:
        page: dict[str, Any] = {"has_more": True, "data": []}
        while page["has_more"]:
            after = {"starting_after": page["data"][-1]["id"]} if page["data"] else {}
            page = stack.stripe(f"customers/{customer}/balance_transactions", limit="100", **after)
            found += page["data"]
    return found


def compare(stack: Stack) -> Balance:
    """Every payment on the chain against every credit in Stripe."""
    owed = {one.identity: one for one in payments(stack)}
    rows = credits(stack, {one.customer_id or "" for one in owed.values()})
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
