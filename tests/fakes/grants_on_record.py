"""Rows of the grants record, written past the service at any time."""

from stateless_billing.sandbox.account import Entry
from tests.fakes.desk import MODERATOR
from tests.fakes.factories import CUSTOMER
from tests.fakes.in_process_service import BEGIN, GRANTS, LoopClock, Town


def write(town: Town, customer: str, entry: Entry, age: int) -> str:
    """Write an entry that is `age` seconds old and return its ID."""
    now = LoopClock().wall()
    return town.stripe.account.add_transaction(town.customer(customer), entry, now, int(now) - age).id


def reserve(town: Town, age: int, cents: int = 750, *, given: bool = True) -> tuple[str, str]:
    """Write a reservation that is `age` seconds old and, if it was given, its credit; return the IDs of both."""
    facts = {
        "grant": f"{BEGIN - age - 5}-{age:016x}",
        "operator": MODERATOR,
        "reason": "goodwill",
        "note": "They waited",
    }
    reserved = {"kind": "reservation", "customer": CUSTOMER, "caps": "2000:10000:50000"} | facts
    row = write(town, GRANTS, Entry(-cents, "usd", "Reservation", reserved), age)
    grant = Entry(-cents, "usd", "Grant", {"kind": "grant"} | facts)
    return row, write(town, CUSTOMER, grant, age - 5) if given else ""


def take_back(town: Town, row: str, credit: str, operator: str, age: int, cents: int = 750) -> str:
    """Write the reversals of a reservation and of its credit, if any, and return the reservation's."""
    metadata = {"kind": "reversal", "operator": operator, "reason": "given by mistake"}
    reversal = write(town, GRANTS, Entry(cents, "usd", "Reversal", metadata | {"reverses": row}), age)
    if credit:
        write(town, CUSTOMER, Entry(cents, "usd", "Reversal", metadata | {"reverses": credit}), age - 1)
    return reversal
