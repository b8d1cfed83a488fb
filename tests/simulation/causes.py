"""What people and other systems do to customers and to the service record, and what they take back again."""

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

    def _living(self, customer: int) -> Customer | None:
        found = self.world.account.by_id.get(PEOPLE[customer % len(PEOPLE)])
        return None if found is None or found.deleted else found

    def _bill(self, customer: int, currency: str) -> None:
        """The customer is billed in another currency, or in dollars again."""
        found = self._living(customer)
        if found and self.world.faulty("currency"):
            back = currency == "usd"
            if back and found.currency == "eur":
                self.world.coverage.hit("cause_vanishes")
            elif not back:
                self.world.coverage.hit("currency")
            found.currency = currency if found.rows or not back else None
            self.world.note("human", f"{found.id} is billed in {found.currency}")

    def _mark(self, customer: int, value: str) -> None:
        """The customer is marked as not payable, or that mark is removed."""
        found = self._living(customer)
        if found and self.world.faulty("not_payable"):
            metadata = {name: text for name, text in found.contact.metadata.items() if name != "gateway_payments"}
            if not value and len(metadata) < len(found.contact.metadata):
                self.world.coverage.hit("cause_vanishes")
            elif value:
                self.world.coverage.hit("not_payable")
            found.set_metadata(self.world.unix(), metadata | ({"gateway_payments": value} if value else {}))
            self.world.stripe.quietly()
            self.world.note("human", f"{found.id} gateway_payments={value}")

    def _label(self, customer: int) -> None:
        """Credits without our metadata are told to be another system's after all."""
        found = self._living(customer)
        for row in found.rows if found else ():
            if row.description == "Goodwill":
                row.description = OTHERS
                self.world.coverage.hit("cause_vanishes")

    def _test_clock(self, customer: int) -> None:
        found = self._living(customer)
        if found and found.test_clock is None and self.world.faulty("test_clock"):
            self.world.coverage.hit("test_clock")
            self.world.account.set_test_clock(CLOCK, START - 10 * 24 * 3600)
            self.world.account.attach(found, CLOCK)
            self.world.note("human", f"{found.id} is on a test clock")

    def _remove(self, customer: int) -> None:
        """The customer is deleted, and its ledger with it."""
        found = self._living(customer)
        if found is None or not self.world.faulty("deleted"):
            return
        world = self.world
        world.coverage.hit("deleted")
        if any(one.row.customer == found.id for one in world.oracle.credits):
            world.coverage.hit("deleted_credited")
        if any(world.orders.target(row) == found.id for row in world.orders.rows):
            world.coverage.hit("deleted_target")
        world.account.delete(found.id)
        world.note("human", f"deletes {found.id}")

    def _ledger(self, customer: int, kind: str, count: int, cents: int) -> None:
        """A ledger from before everything: `old` rows, rows of the last minutes (`young`), or a first row `initial`."""
        found = self._living(customer)
        if found is None or found.rows:
            return
        first = START - 40 * 24 * 3600 if kind == "old" else int(self.world.unix()) - 2 * count - 1
        rows: list[tuple[int, Entry]] = []
        if kind == "initial":
            self.world.coverage.hit("initial_row")
            rows.append((first - 1, Entry(-cents, "usd", None, type="initial")))
        rows += [(first + place, _row(place, cents)) for place in range(count)]
        self.world.account.add_past(found, rows)
        self.world.stripe.quietly()
        if cents == 1 and count > 1:
            self.world.coverage.hit("one_cent_rows")

    def _cents(self, customer: int, count: int, cents: int) -> None:
        """Rows that cancel each other out, all in one second."""
        found = self._living(customer)
        if found is None or not self.world.faulty("one_cent_rows"):
            return
        self.world.coverage.hit("one_cent_rows" if cents == 1 else "charges")
        for place in range(count):
            entry = _row(place, cents)
            if found.currency not in (None, "usd"):
                return
            self.world.account.add_transaction(found, entry, self.world.unix(), int(self.world.unix()))
        self.world.stripe.quietly()

    def _record_anew(self) -> None:
        """The service record is lost; a new one is made, which knows nothing of earlier orders."""
        if not self.world.faulty("record_anew"):
            return
        self.world.coverage.hit("record_anew")
        record = self.world.account.by_id[SERVICE]
        record.created = int(self.world.unix())
        record.rows.clear()
        record.by_id.clear()
        record.balances.clear()
        kept = {name: value for name, value in record.contact.metadata.items() if ":" not in name}
        record.set_metadata(self.world.unix(), kept)
        self.world.stripe.quietly()
        self.world.note("human", "makes the service record anew")


def _row(place: int, cents: int) -> Entry:
    """A charge, then a top-up of as many cents, in turn."""
    return Entry(cents, "usd", "Usage") if place % 2 == 0 else Entry(-cents, "usd", OTHERS)
