"""Builders for the audit tests: one customer, its payments and their credits; and work that goes on beside an audit."""

import asyncio
from collections.abc import Sequence
from typing import Any

from chain.payment import Payment
from stateless_billing.audit.rules.facts import AuditedCustomer, CustomerLedger, OrderIndex, Scope
from stateless_billing.audit.rules.payments import CustomerVerdict, judge_customer
from stateless_billing.audit.rules.rows import Row
from stateless_billing.domain import ledger
from stateless_billing.domain.ledger import Entry, Price
from stateless_billing.domain.money import RATE_SCALE, Rate
from tests.fakes.factories import CHAIN_ID, CUSTOMER, GATEWAY, WALLET, block, entry, payment

TOKEN = "0x" + "77" * 20
FINAL = block(10_000)
SCOPE = Scope(
    chain_id=CHAIN_ID,
    gateways=(GATEWAY,),
    token=TOKEN,
    block=FINAL.number,
    block_hash=FINAL.hash,
    block_time=FINAL.time,
    time=FINAL.time + 1200,
    horizon=FINAL.number + 600,
)
RATE = Rate(6 * RATE_SCALE // 1000, "coingecko:lit-protocol", block(100).time)
NO_ORDERS = OrderIndex()


def price_of(paid: Payment) -> Price:
    """Return the price that the service would credit."""
    return Price(paid.cents) if paid.quoted else Price(paid.amount * 6 // 10**19, RATE, 0)


def credit(paid: Payment, number: int = 1, **changes: Any) -> Entry:
    """Create the credit of a payment as the service writes it, with changes. `metadata` changes single values."""
    metadata = ledger.credit_metadata(paid, price_of(paid)) | changes.pop("metadata", {})
    defaults: dict[str, Any] = {
        "id": f"cbtxn_{number}",
        "cents": price_of(paid).cents,
        "created": paid.time + 30,
        "customer": paid.customer_id or CUSTOMER,
        "description": ledger.credit_description(paid),
        "metadata": {name: value for name, value in metadata.items() if value is not None},
    }
    return entry(**defaults | changes)


def reversal(of: Entry, number: int, **changes: Any) -> Entry:
    """Create the reversal of an entry."""
    defaults: dict[str, Any] = {
        "id": f"cbtxn_{number}",
        "cents": -of.cents,
        "created": of.created + 60 + number,
        "customer": of.customer,
        "currency": of.currency,
        "description": "Reversal",
        "metadata": {"kind": "reversal", "reverses": of.id, "operator": "0xadmin", "reason": "double"},
    }
    return entry(**defaults | changes)


def create_ledger(payments: Sequence[Payment], entries: Sequence[Entry], **changes: Any) -> CustomerLedger:
    """Create a customer with its payments and entries."""
    customer = AuditedCustomer(**{"id": CUSTOMER, "wallet": WALLET, "currency": "usd"} | changes)
    return CustomerLedger(
        customer, list(payments), sorted(entries, key=lambda row: (-row.created, row.id)), complete=True
    )


def judge(payments: Sequence[Payment], entries: Sequence[Entry], **changes: Any) -> CustomerVerdict:
    """Judge one customer without orders."""
    return judge_customer(create_ledger(payments, entries, **changes), NO_ORDERS, SCOPE)


def single(rows: Sequence[Row]) -> Row:
    """Return the only row."""
    [row] = rows
    return row


def quoted(sequence: int = 0, **changes: Any) -> Payment:
    """Create a quoted payment."""
    return payment(sequence=sequence, **changes)


class OtherWork:
    """Counts the turns that the loop gives to other work."""

    turns = 0

    async def run(self) -> None:
        """Take every turn."""
        while True:
            self.turns += 1
            await asyncio.sleep(0)
