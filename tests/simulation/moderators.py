"""What moderators do to the world: they open forms, press them (again, elsewhere), take back, and look."""

from typing import TYPE_CHECKING

from stateless_billing.grants.entries import GrantRequest
from stateless_billing.operators.roster import Operator
from stateless_billing.sandbox.records import Transaction
from tests.simulation.plan import CUSTOMERS, GRANTS, Event

if TYPE_CHECKING:
    from tests.simulation.world import World

OPERATORS, ADMIN = ("ann@example.org", "ben@example.org"), "carla@example.org"
KINDS = ("form", "press", "undo", "look")
AT_ONCE = 60


class Moderators:
    """Dispatches their events by kind."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._wishes: dict[int, GrantRequest] = {}
        self._pressed: dict[int, float] = {}

    def happen(self, event: Event) -> None:
        """Let one event happen now."""
        getattr(self, f"_{event.kind}")(*event.args)

    def _form(self, number: int, operator: int, customer: int, cents: int) -> None:
        grant = f"{int(self.world.unix())}-{number:016x}"
        self._wishes[number] = GrantRequest(
            grant, OPERATORS[operator], CUSTOMERS[customer], cents, "goodwill", "They waited for an hour"
        )

    def _press(self, slot: int, number: int) -> None:
        world, now = self.world, self.world.seconds()
        if number not in self._wishes:
            return
        if number in self._pressed:
            world.coverage.hit("form_again")
        if any(now - at < AT_ONCE for other, at in self._pressed.items() if other != number):
            world.coverage.hit("grants_at_once")
        self._pressed[number] = now
        replica = world.replica(slot)
        replica.spawn(replica.give(self._wishes[number]))

    def _undo(self, slot: int, number: int, role: str) -> None:
        reservation = self._reservation(number)
        if reservation is None or not self.world.faulty("undone"):
            return
        self.world.coverage.hit("undone")
        name = ADMIN if role == "admin" else self._wishes[number].operator
        replica = self.world.replica(slot)
        replica.spawn(replica.undo(reservation.id, Operator(name, role)))

    def _reservation(self, number: int) -> Transaction | None:
        wish = self._wishes.get(number)
        rows = self.world.account.by_id[GRANTS].rows
        found = (row for row in rows if wish and row.metadata.get("grant") == wish.grant)
        return next((row for row in found if row.metadata.get("kind") == "reservation"), None)

    def _look(self, slot: int, number: int = 0) -> None:
        replica = self.world.replica(slot)
        replica.spawn(replica.look())
