"""A small world for the audit's tests: one customer, its payments, and the credits that the service writes for them."""

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


def price_of(one: Payment) -> Price:
    """The price that the service would credit."""
    return Price(one.cents) if one.quoted else Price(one.amount * 6 // 10**19, RATE, 0)


def credit(one: Payment, number: int = 1, **changes: Any) -> Entry:
    """The credit of a payment, as the service writes it, changed as told. `metadata` changes single values."""
    metadata = ledger.credit_metadata(one, price_of(one)) | changes.pop("metadata", {})
    usual: dict[str, Any] = {
        "id": f"cbtxn_{number}",
        "cents": price_of(one).cents,
        "created": one.time + 30,
        "customer": one.customer_id or CUSTOMER,
        "description": ledger.credit_description(one),
        "metadata": {name: value for name, value in metadata.items() if value is not None},
    }
    return entry(**usual | changes)


def reversal(of: Entry, number: int, **changes: Any) -> Entry:
    """The opposite of an entry."""
    usual: dict[str, Any] = {
        "id": f"cbtxn_{number}",
        "cents": -of.cents,
        "created": of.created + 60 + number,
        "customer": of.customer,
        "currency": of.currency,
        "description": "Reversal",
        "metadata": {"kind": "reversal", "reverses": of.id, "operator": "0xadmin", "reason": "double"},
    }
    return entry(**usual | changes)


def book(payments: Sequence[Payment], entries: Sequence[Entry], **changes: Any) -> CustomerLedger:
    """A customer with its payments and entries."""
    account = AuditedCustomer(**{"id": CUSTOMER, "wallet": WALLET, "currency": "usd"} | changes)
    return CustomerLedger(
        account, list(payments), sorted(entries, key=lambda one: (-one.created, one.id)), complete=True
    )


def judged(payments: Sequence[Payment], entries: Sequence[Entry], **changes: Any) -> CustomerVerdict:
    """The verdicts on one customer."""
    return judge_customer(book(payments, entries, **changes), NO_ORDERS, SCOPE)


def only(rows: Sequence[Row]) -> Row:
    """The one row."""
    [row] = rows
    return row


def quoted(sequence: int = 0, **changes: Any) -> Payment:
    """A quoted payment."""
    return payment(sequence=sequence, **changes)
