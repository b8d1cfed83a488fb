"""Liveness: once faults have ended, one new process credits every payment, or holds it for a cause that stands."""

from tests.model import stripe
from tests.model.machine import Machine
from tests.model.scene import Scene
from tests.model.state import Process, State

MAX_HALF_HOURS = 14
HELD = ("may have carried the credit", "without its metadata")


class Calm:
    """Plays the same calm ending from any state; endings that meet are played once."""

    def __init__(self, scene: Scene) -> None:
        self._machine = Machine(scene)
        self._known: dict[tuple[State, int], bool] = {}

    def ends_well(self, state: State) -> bool:
        """Whether every payment is credited or properly held in the end."""
        if state.wrong or all(payment.credit for payment in state.payments):
            return True
        return self._from(self._without_faults(state), MAX_HALF_HOURS)

    def _without_faults(self, state: State) -> State:
        """Requests on their way arrive, late entries are listed, the old processes are gone."""
        state = state._replace(faults=0, orders_left=0, lie=0)
        for index in range(len(state.processes)):
            if state.processes[index].request:
                state = self._delivered(state, index)
        payments = tuple(
            payment._replace(final=1, credit=payment.credit and payment.credit._replace(hidden=0))
            for payment in state.payments
        )
        idle = Process(other_keys=state.processes[0].other_keys)
        return state._replace(payments=payments, processes=(idle,))

    def _from(self, state: State, half_hours: int) -> bool:
        key = state, half_hours
        if key not in self._known:
            self._known[key] = self._ends_well(state, half_hours)
        return self._known[key]

    def _ends_well(self, state: State, half_hours: int) -> bool:
        open_ones = []
        for number in range(len(state.payments)):
            if state.payments[number].credit:
                continue
            state, held = self._attempt(state, number)
            if not held and not state.payments[number].credit:
                open_ones.append(number)
        if not open_ones:
            return True
        if half_hours == 0:
            return False
        _, later = next(self._machine.pass_time(state))
        return self._from(later, half_hours - 1)

    def _attempt(self, state: State, number: int) -> tuple[State, bool]:
        """One attempt of the new process; whether the payment is held for a cause that stands."""
        _, state = next(self._machine.begin(state, 0, number))
        text, state = next(self._machine.check(state, 0))
        if state.processes[0].step == 2:
            _, state = next(self._machine.send(state, 0))
        if state.processes[0].request:
            state = self._delivered(state, 0)
        return state, any(cause in text for cause in HELD)

    def _delivered(self, state: State, index: int) -> State:
        """A request arrives, and nothing goes wrong: the first of the steps."""
        _, after = next(stripe.deliver(state, index, self._machine.rules, last_epoch=0))
        return after
