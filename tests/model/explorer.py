"""Explores every state of a scene, breadth first, so that the first counterexample is a shortest one."""

from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

from tests.model.calm import Calm
from tests.model.machine import Machine
from tests.model.rules import Rule
from tests.model.scene import Scene
from tests.model.state import Process, State, which, with_processes

WRONGS = {1: "The payment is credited twice.", 2: "The cursor covers a payment that is not credited."}
NEVER = "From here on no new process can ever credit it, although every fault has ended."


@dataclass(frozen=True)
class Result:
    """What an exploration showed: how many states, and the shortest story of a violation, if any."""

    scene: Scene
    states: int
    steps: int
    unused: int = 0  # faults that happened in no state
    story: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether no state violates exactly-once."""
        return not self.story


def explore(scene: Scene, *, symmetric: bool = True) -> Result:
    """Explore a scene completely, or up to its first violation. With `symmetric`, like states count once."""
    machine, calm = Machine(scene), Calm(scene)
    start = scene.start()
    merged = _Symmetry(scene) if symmetric else None
    before: dict[State, State | None] = {start: None}
    frontier, count, unused = [start], 0, scene.faults

    def result(last: State | None = None, end: str = "") -> Result:
        story = (*_story(machine, before, last, merged), end) if last else ()
        return Result(scene, len(before), count, unused, story)

    while frontier:
        coming: list[State] = []
        for state in frontier:
            unused &= state.faults
            if not calm.ends_well(state):
                return result(state, NEVER)
            for _, after in machine.steps(state):
                count += 1
                known = merged.of(after) if merged else after
                if known in before:
                    continue
                before[known] = state
                if known.wrong:
                    return result(known, WRONGS[known.wrong])
                coming.append(known)
        frontier = coming
    return result()


def counterexample(scene: Scene, rule: Rule) -> Result:
    """The shortest violation without a rule, told with the same names throughout, so without merging states."""
    result = explore(replace(scene, rules=scene.rules - {rule}), symmetric=False)
    story = result.story
    if len(scene.owners) == 1:
        story = tuple(line.replace(which(0), "the payment") for line in story)
    if scene.new_customers:
        story = ("Alice has no entry yet, so that her empty ledger needs no second telling.", *story)
    return replace(result, story=story)


class _Symmetry:
    """Names of processes, and of like payments, do not matter: one state stands for all of them."""

    def __init__(self, scene: Scene) -> None:
        self._like_payments = len(scene.owners) == 2 and len(set(scene.owners)) == 1 and not scene.cursor
        self._several = scene.processes > 1

    def of(self, state: State) -> State:
        """The state that stands for this one."""
        if self._several:
            state = _sorted(state)
        if not self._like_payments:
            return state
        first, second = state.payments
        if first < second:
            return state
        return _swapped(state) if second < first else min(state, _swapped(state))


def _sorted(state: State) -> State:
    first, second = state.processes
    return state if first <= second else with_processes(state, (second, first))


def _swapped(state: State) -> State:
    first, second = (_of_the_other(process) for process in state.processes)
    if second < first:
        first, second = second, first
    return with_processes(state._replace(payments=state.payments[::-1]), (first, second))


@cache
def _of_the_other(process: Process) -> Process:
    request = process.request
    return process._replace(
        payment=1 - process.payment if process.step else 0,
        told=process.told[::-1],
        other_keys=process.other_keys[::-1],
        request=request and request._replace(payment=1 - request.payment),
    )


def _story(
    machine: Machine, before: dict[State, State | None], last: State, merged: _Symmetry | None
) -> tuple[str, ...]:
    """The sentences of the steps to a state."""
    path = [last]
    while (earlier := before[path[-1]]) is not None:
        path.append(earlier)
    path.reverse()
    sentences = []
    for state, after in pairwise(path):
        known = ((text, merged.of(next_state) if merged else next_state) for text, next_state in machine.steps(state))
        sentences.append(next(text for text, next_state in known if next_state == after))
    return tuple(sentences)
