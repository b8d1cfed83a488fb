"""Simulated moderators: they open grant forms, submit them (again, elsewhere), reverse grants and reconcile."""

from typing import TYPE_CHECKING

from stateless_billing.grants.entries import GrantRequest
from stateless_billing.operators.roster import Operator
from stateless_billing.sandbox.records import Transaction
from tests.simulation.plan import CUSTOMERS, GRANTS, Event

if TYPE_CHECKING:
    from tests.simulation.world import World

OPERATORS, ADMIN = ("ann@example.org", "ben@example.org"), "carla@example.org"
KINDS = ("form", "press", "undo", "look")
CONCURRENT_SECONDS = 60


class Moderators:
    """Dispatches their events by kind."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._requests: dict[int, GrantRequest] = {}
        self._pressed: dict[int, float] = {}

    def happen(self, event: Event) -> None:
        """Let one event happen now."""
        getattr(self, f"_{event.kind}")(*event.args)

    def _form(self, number: int, operator: int, customer: int, cents: int) -> None:
        grant = f"{int(self.world.unix())}-{number:016x}"
        self._requests[number] = GrantRequest(
            grant, OPERATORS[operator], CUSTOMERS[customer], cents, "goodwill", "They waited for an hour"
        )

    def _press(self, slot: int, number: int) -> None:
        world, now = self.world, self.world.seconds()
        if number not in self._requests:
            return
        if number in self._pressed:
            world.coverage.hit("form_again")
        if any(now - at < CONCURRENT_SECONDS for other, at in self._pressed.items() if other != number):
            world.coverage.hit("grants_at_once")
        self._pressed[number] = now
        replica = world.replica(slot)
        replica.spawn(replica.give(self._requests[number]))

    def _undo(self, slot: int, number: int, role: str) -> None:
        reservation = self._reservation(number)
        if reservation is None or not self.world.faulty("undone"):
            return
        self.world.coverage.hit("undone")
        name = ADMIN if role == "admin" else self._requests[number].operator
        replica = self.world.replica(slot)
        replica.spawn(replica.undo(reservation.id, Operator(name, role)))

    def _reservation(self, number: int) -> Transaction | None:
        request = self._requests.get(number)
        rows = self.world.account.by_id[GRANTS].rows
        matches = (row for row in rows if request and row.metadata.get("grant") == request.grant)
        return next((row for row in matches if row.metadata.get("kind") == "reservation"), None)

    def _look(self, slot: int, number: int = 0) -> None:
        replica = self.world.replica(slot)
        replica.spawn(replica.reconcile())
