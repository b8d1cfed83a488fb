"""What a model contains."""

from dataclasses import dataclass

from tests.model.rules import ALL_RULES, Rule
from tests.model.state import Payment, Process, State

Step = tuple[str, State]
"""A sentence, and the state after it."""


@dataclass(frozen=True)
class Scene:
    """The faults (each happens at most once), orders, payments and epochs of one exploration."""

    name: str
    faults: int = 0
    orders: int = 0
    owners: tuple[int, ...] = (0, 0)
    processes: int = 2
    epochs: int = 2
    unfinal: bool = False  # quoted payments that may be sent before finality
    cursor: bool = False
    vouching: bool = False
    new_customers: bool = False  # without entries of other systems
    rules: frozenset[Rule] = ALL_RULES

    def start(self) -> State:
        """The first state."""
        payments = tuple(Payment(final=0 if self.unfinal else 1) for _ in self.owners)
        return State(0, self.faults, self.orders, payments, (Process(),) * self.processes)
