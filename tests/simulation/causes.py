"""Causes of held payments: what people and other systems change on customers and the service record, and undo."""

from typing import TYPE_CHECKING

from stateless_billing.sandbox.account import Entry
from stateless_billing.sandbox.records import Customer
from tests.simulation.chain import START
from tests.simulation.plan import SERVICE, Event
from tests.simulation.truth import PEOPLE

if TYPE_CHECKING:
    from tests.simulation.world import World

KINDS = ("bill", "mark", "label", "test_clock", "remove", "ledger", "cents", "record_anew")
CLOCK = "clock_1"
OTHERS = "Top-up via pi_3Q"


class Causes:
    """Dispatches their events by kind."""

    def __init__(self, world: "World") -> None:
        self.world = world

    def happen(self, event: Event) -> None:
        """Let one event happen now."""
        getattr(self, f"_{event.kind}")(*event.args)

    def _find_customer(self, customer: int) -> Customer | None:
        target = self.world.account.by_id.get(PEOPLE[customer % len(PEOPLE)])
        return None if target is None or target.deleted else target

    def _bill(self, customer: int, currency: str) -> None:
        """Bill the customer in another currency, or in dollars again."""
        target = self._find_customer(customer)
        if target and self.world.faulty("currency"):
            back = currency == "usd"
            if back and target.currency == "eur":
                self.world.coverage.hit("cause_vanishes")
            elif not back:
                self.world.coverage.hit("currency")
            target.currency = currency if target.rows or not back else None
            self.world.note("human", f"{target.id} is billed in {target.currency}")

    def _mark(self, customer: int, value: str) -> None:
        """Mark the customer as not payable, or remove the mark."""
        target = self._find_customer(customer)
        if target and self.world.faulty("not_payable"):
            metadata = {name: text for name, text in target.contact.metadata.items() if name != "gateway_payments"}
            if not value and len(metadata) < len(target.contact.metadata):
                self.world.coverage.hit("cause_vanishes")
            elif value:
                self.world.coverage.hit("not_payable")
            target.set_metadata(self.world.unix(), metadata | ({"gateway_payments": value} if value else {}))
            self.world.stripe.quietly()
            self.world.note("human", f"{target.id} gateway_payments={value}")

    def _label(self, customer: int) -> None:
        """Label credits without our metadata as another system's."""
        target = self._find_customer(customer)
        for row in target.rows if target else ():
            if row.description == "Goodwill":
                row.description = OTHERS
                self.world.coverage.hit("cause_vanishes")

    def _test_clock(self, customer: int) -> None:
        target = self._find_customer(customer)
        if target and target.test_clock is None and self.world.faulty("test_clock"):
            self.world.coverage.hit("test_clock")
            self.world.account.set_test_clock(CLOCK, START - 10 * 24 * 3600)
            self.world.account.attach(target, CLOCK)
            self.world.note("human", f"{target.id} is on a test clock")

    def _remove(self, customer: int) -> None:
        """Delete the customer and its ledger."""
        target = self._find_customer(customer)
        if target is None or not self.world.faulty("deleted"):
            return
        world = self.world
        world.coverage.hit("deleted")
        if any(credit.row.customer == target.id for credit in world.oracle.credits):
            world.coverage.hit("deleted_credited")
        if any(world.orders.target(row) == target.id for row in world.orders.rows):
            world.coverage.hit("deleted_target")
        world.account.delete(target.id)
        world.note("human", f"deletes {target.id}")

    def _ledger(self, customer: int, kind: str, count: int, cents: int) -> None:
        """Add a prior ledger: `old` rows, rows of the last minutes (`young`), or a first row of type `initial`."""
        target = self._find_customer(customer)
        if target is None or target.rows:
            return
        first = START - 40 * 24 * 3600 if kind == "old" else int(self.world.unix()) - 2 * count - 1
        rows: list[tuple[int, Entry]] = []
        if kind == "initial":
            self.world.coverage.hit("initial_row")
            rows.append((first - 1, Entry(-cents, "usd", None, type="initial")))
        rows += [(first + index, _row(index, cents)) for index in range(count)]
        self.world.account.add_past(target, rows)
        self.world.stripe.quietly()
        if cents == 1 and count > 1:
            self.world.coverage.hit("one_cent_rows")

    def _cents(self, customer: int, count: int, cents: int) -> None:
        """Add rows that cancel each other out, all within one second."""
        target = self._find_customer(customer)
        if target is None or not self.world.faulty("one_cent_rows"):
            return
        self.world.coverage.hit("one_cent_rows" if cents == 1 else "charges")
        for index in range(count):
            entry = _row(index, cents)
            if target.currency not in (None, "usd"):
                return
            self.world.account.add_transaction(target, entry, self.world.unix(), int(self.world.unix()))
        self.world.stripe.quietly()

    def _record_anew(self) -> None:
        """Lose the service record and create a new one without the earlier orders."""
        if not self.world.faulty("record_anew"):
            return
        self.world.coverage.hit("record_anew")
        record = self.world.account.by_id[SERVICE]
        record.created = int(self.world.unix())
        record.rows.clear()
        record.by_id.clear()
        record.balances.clear()
        metadata = {name: value for name, value in record.contact.metadata.items() if ":" not in name}
        record.set_metadata(self.world.unix(), metadata)
        self.world.stripe.quietly()
        self.world.note("human", "makes the service record anew")


def _row(index: int, cents: int) -> Entry:
    """Alternate charges and top-ups of the same amount."""
    return Entry(cents, "usd", "Usage") if index % 2 == 0 else Entry(-cents, "usd", OTHERS)
