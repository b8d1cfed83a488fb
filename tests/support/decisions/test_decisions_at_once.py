"""Two hundred orders at once over three processes: nobody passes a limit alone, and each is applied once."""

import asyncio
from collections import Counter, defaultdict

import pytest

from chain.payment import Payment
from stateless_billing.bookkeeping.orders import OrderDraft
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.order_rules import Order
from stateless_billing.sandbox.effects import listing_cut
from stateless_billing.sandbox.records import Transaction
from stateless_billing.services.container import Services
from tests.fakes.desk import WHY, opened
from tests.fakes.factories import payment, tx_hash
from tests.fakes.in_process_service import SERVICE, Town, advanced

TEMPLATE = "/v1/customers/{customer}/balance_transactions"
RECORD = f"/v1/customers/{SERVICE}/balance_transactions"

COUNT, CUSTOMERS, CONFIRMED = 200, 40, 40
ALONE_CENTS = 10_000
ADMINS = [f"admin{number}@example.org" for number in range(4)]
WALLETS = [f"0x{number}{'7' * 39}" for number in range(4)]
"""The other names of the same persons."""
ROSTER = ",".join(f"{name}|{wallet}=admin" for name, wallet in zip(ADMINS, WALLETS, strict=True))


def paid(number: int) -> Payment:
    return payment(
        customer_id=f"cus_P{number % CUSTOMERS}",
        sequence=number // CUSTOMERS,
        tx_hash=tx_hash(number + 1),
        block=100 + number,
        cents=450 + 7 * (number % 79),
    )


class Decisions:
    """Payments that wait because their customers are not payable; each of four admins releases fifty."""

    def __init__(self) -> None:
        self.payments = [paid(number) for number in range(COUNT)]
        self.town = Town(self.payments)
        self.processes: list[Services] = []
        for number in range(CUSTOMERS):
            self.town.set_metadata(f"cus_P{number}", {"gateway_payments": "off"})

    async def start(self) -> None:
        """Start three processes."""
        limits = {"OPERATORS": ROSTER, "MAX_ORDER_CENTS": str(ALONE_CENTS), "PROCESSES": "1"}
        self.processes = [await opened(self.town, **limits, STRIPE_RATE="100", STRIPE_TOTAL_RATE="1000") for _ in "abc"]

    async def _write(self, process: Services, number: int, draft: OrderDraft) -> Order:
        heads = await process.confirmations.heads()
        form = f"{process.grants.create_grant_id()}{number}"
        gateway, subject = process.gateways[0], self.payments[number]
        return (await process.uncredited_payments.write_order(gateway, subject, heads, form, draft))[0]

    async def release(self, number: int) -> Order:
        """Order the release of a payment."""
        process, admin = self.processes[number % 3], ADMINS[number % 4]
        draft = await process.decisions.checks.draft("release", self.payments[number], admin, WHY)
        return await self._write(process, number, draft)

    async def confirm(self, number: int, order: Order, admin: str) -> Order:
        """Confirm an order at the next process."""
        process, subject = self.processes[(number + 1) % 3], self.payments[number]
        orders = await process.orders.find(subject)
        draft = await process.decisions.checks.confirm(order.id, subject, admin, WHY, orders)
        return await self._write(process, number, draft)

    async def repeat(self, number: int, order: Order) -> Order:
        """Confirm one's own order past all checks."""
        draft = OrderDraft(order.text, order.operator, WHY, order.value or 0, confirms=order.id)
        return await self._write(self.processes[(number + 2) % 3], number, draft)

    def list_credits(self) -> dict[str, list[Transaction]]:
        """All credits by payment."""
        by_payment: dict[str, list[Transaction]] = defaultdict(list)
        for customer in range(CUSTOMERS):
            for row in self.town.rows(f"cus_P{customer}"):
                by_payment[row.metadata["payment"]].append(row)
        return by_payment

    def judge(self) -> Counter[str]:
        """Check every credit against the record itself; return the cents that each admin decided alone."""
        rows = {row.id: row for row in self.town.rows(SERVICE)}
        alone = Counter[str]()
        for identity, (credit, *more) in self.list_credits().items():
            applied = rows[credit.metadata["order"]].metadata
            assert not more, "credited twice"
            assert (applied["payment"], applied["value"]) == (identity, str(-credit.amount))
            named = {"confirms": credit.metadata["order"]}
            confirming = {row.metadata["operator"] for row in rows.values() if named.items() <= row.metadata.items()}
            if not confirming - {applied["operator"]}:
                alone[applied["operator"]] -= credit.amount
        assert max(alone.values(), default=0) <= ALONE_CENTS
        return alone

    def waiting(self) -> list[int]:
        """The payments without a credit."""
        credited = self.list_credits()
        return [number for number in range(COUNT) if self.payments[number].identity not in credited]

    async def try_again(self) -> None:
        """Try each payment without a credit when it is due, at another process than the one that took its order."""
        await asyncio.sleep(80)
        subjects = [(self.processes[(number + 2) % 3], self.payments[number]) for number in self.waiting()]
        await asyncio.gather(*(advanced(*subject) for subject in subjects))


def test_two_hundred_at_once_over_three_processes_pass_no_limit_and_are_applied_once() -> None:
    decisions = Decisions()

    async def scenario() -> None:
        await decisions.start()
        decisions.town.stripe.faults.add(listing_cut(), method="GET", template=TEMPLATE, path=RECORD, times=None)
        orders = await asyncio.gather(*map(decisions.release, range(COUNT)))
        decisions.judge()
        decisions.town.stripe.faults.clear()
        await decisions.try_again()
        alone = decisions.judge()
        assert min(alone[admin] for admin in ADMINS) > ALONE_CENTS - 1_000, "the next order would pass the limit"

        waiting = decisions.waiting()
        for number in waiting[:4]:
            for name in (ADMINS[number % 4], WALLETS[number % 4]):
                with pytest.raises(ProblemError, match="your own order"):
                    await decisions.confirm(number, orders[number], name)
            await decisions.repeat(number, orders[number])
        assert decisions.waiting() == waiting
        confirmed, rest = waiting[:CONFIRMED], waiting[CONFIRMED:]
        others = [(number, orders[number], ADMINS[(number + 1 + number % 3) % 4]) for number in confirmed]
        await asyncio.gather(*(decisions.confirm(*other) for other in others))
        assert decisions.waiting() == rest
        assert decisions.judge() == alone
        print(f"\n{COUNT} orders at once over 3 processes: alone {dict(alone)}; {len(rest)} wait for another admin")

    decisions.town.run(scenario())
