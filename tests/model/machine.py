"""Every step that the world can take next.

A step is a sentence and the state after it. Processes forget what an attempt found as soon as it ends, so that "the
answer was lost" and "the process was killed" are contained in every run, any number of times.
"""

from collections.abc import Iterator
from functools import cache

from tests.model import people, stripe
from tests.model.rules import Finding, Rule, deleted_blocks, is_proven, judge_entries, may_send, orders_count
from tests.model.scene import Scene, Step
from tests.model.state import (
    CUSTOMERS,
    LAST_PHASE,
    NOT_CHECKED,
    ORDERS,
    PHASES,
    Asleep,
    Fault,
    Lie,
    Process,
    Request,
    State,
    Told,
    which,
    with_process,
)
from tests.specifications.epochs import Position
from tests.specifications.matching import Shown


class Machine:
    """The steps of one scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.rules = scene.rules
        self.last = LAST_PHASE[scene.epochs]

    def steps(self, state: State) -> Iterator[Step]:
        """Every step from a state."""
        yield from self.pass_time(state)
        yield from people.steps(self.scene, state)
        yield from stripe.late_steps(state)
        for index, process in enumerate(state.processes):
            if process.request:
                yield from stripe.deliver(state, index, self.rules, last_epoch=self.scene.epochs - 1)
            if process.step or process.told != _NOTHING_TOLD:
                yield f"{_who(index)} is killed and started again.", with_process(state, index, _restarted(process))
            if process.step == 0:
                for payment in range(len(state.payments)):
                    yield from self.begin(state, index, payment)
            else:
                yield from self._sleep(state, index)
                yield from (self.check if process.step == 1 else self.send)(state, index)
        if self.scene.cursor:
            yield from self._cursor(state)

    # time and people

    def pass_time(self, state: State) -> Iterator[Step]:
        """Half an hour passes, or the rest of the epoch. What lasts for minutes crosses one border, not two."""
        if any(process.border for process in state.processes):
            return
        if any(process.request and process.request.border for process in state.processes):
            return
        if any(payment.credit and payment.credit.hidden == 2 for payment in state.payments):
            return
        comes = [state.phase + 1] if state.phase < self.last else []
        if PHASES[state.phase].is_long:
            comes.append(state.phase)
        for phase in comes:
            yield f"Time passes: {PHASES[phase].text}.", self._later(state, phase)

    def _later(self, state: State, phase: int) -> State:
        same_epoch = PHASES[phase].position.epoch == PHASES[state.phase].position.epoch
        processes = tuple(_aged(process, same_epoch=same_epoch) for process in state.processes)
        payments = tuple(stripe.aged(payment, same_epoch=same_epoch) for payment in state.payments)
        return state._replace(phase=phase, processes=processes, payments=payments)

    # one attempt

    def begin(self, state: State, index: int, number: int) -> Iterator[Step]:
        """A process takes up a payment and reads the orders about it."""
        payment, process = state.payments[number], state.processes[index]
        begun = process._replace(payment=number, name=payment.name, orders_at=state.phase)
        young = state.phase == 0 or Rule.FRESH_IS_YOUNG not in self.rules
        if not payment.final:
            if young:
                fresh = begun._replace(step=2, checked_at=NOT_CHECKED)
                yield (
                    f"{_who(index)} takes up {which(number)}, which is fresh, without a check.",
                    with_process(state, index, fresh),
                )
            if state.phase == 0:
                return
        if Rule.ORDERS_FIRST not in self.rules:
            yield (
                f"{_who(index)} takes up {which(number)} and does not read the orders.",
                with_process(state, index, begun._replace(step=1)),
            )
        hidden = state.lie == Lie.ORDERS and payment.order > 0
        order = {1: 0, 2: 1, 3: 1}.get(payment.order, 0) if hidden else payment.order
        flawed = int(hidden and Rule.ORDERS_PROVEN in self.rules)
        if ORDERS[order].stands and not payment.final:
            return
        yield (
            f"{_who(index)} reads the orders about {which(number)}: {ORDERS[order].text}.",
            with_process(state, index, begun._replace(step=1, orders=order, flawed=flawed)),
        )

    def _sleep(self, state: State, index: int) -> Iterator[Step]:
        process = state.processes[index]
        if not state.faults & Fault.SLEEP or process.asleep:
            return
        ways = [Asleep.BEFORE_ITS_LAST_READ] if process.step == 1 or process.checked_at != NOT_CHECKED else []
        if process.step == 2:
            ways += [Asleep.CLOCKS_STOOD_STILL, Asleep.ONE_CLOCK_STOOD_STILL]
        for way in ways:
            asleep = with_process(state, index, process._replace(asleep=way))
            yield (
                f"{_who(index)}'s machine falls asleep {_SLEEPS[way]}.",
                asleep._replace(faults=state.faults & ~Fault.SLEEP),
            )

    def check(self, state: State, index: int) -> Iterator[Step]:
        """It checks the ledgers of everybody who may carry the credit."""
        process, now = state.processes[index], PHASES[state.phase].position
        idle = _idle(process)
        if not orders_count(PHASES[process.orders_at].position, now, self.rules):
            yield (
                f"{_who(index)} drops its reading of the orders: it is of another time.",
                with_process(state, index, idle),
            )
            return
        if now.epoch > 0 and now.quiet and Rule.QUIET_ZONE in self.rules:
            yield f"{_who(index)} waits: it is within half an hour of a border.", with_process(state, index, idle)
            return
        checked = idle._replace(
            step=2, payment=process.payment, name=process.name, orders=process.orders, checked_at=state.phase
        )
        if Rule.LOOK_FIRST not in self.rules:
            yield f"{_who(index)} checks nothing.", with_process(state, index, checked)
            return
        yield self._judged(state, index, checked, cut=False)
        if state.faults & Fault.CUT:
            cut = state._replace(faults=state.faults & ~Fault.CUT)
            text, after = self._judged(cut, index, checked, cut=True)
            yield f"{text} (The list omitted rows that add up to 0.)", after

    def _judged(self, state: State, index: int, checked: Process, *, cut: bool) -> Step:
        why, read, shown = self._look(state, checked, flawed=bool(state.processes[index].flawed), cut=cut)
        number, now = checked.payment, PHASES[state.phase].position
        told = checked.told[number]
        if now.epoch > 0:
            if Rule.ABSENCE_IS_TOLD in self.rules:
                told = Told(told.now & ~shown, told.before & ~shown)
                read &= ~shown
            told = Told(told.now | read & ~told.before, told.before)
            checked = checked._replace(told=_set(checked.told, number, told))
        if why:
            return f"{_who(index)} checks the ledgers: {why}.", with_process(state, index, _idle(checked))
        if now.epoch == 0:
            return f"{_who(index)} checks the ledgers: no credit is listed.", with_process(state, index, checked)
        again = read | told.before == told.before
        if self._is_vouched(state, now, checked) or self._is_unused(state, checked) or is_proven(again, self.rules):
            text = f"{_who(index)} checks the ledgers: no credit is there, which is proven."
            return text, with_process(state, index, checked)
        text = f"{_who(index)} checks the ledgers: no credit, told once."
        return text, with_process(state, index, _idle(checked))

    def _is_vouched(self, state: State, now: Position, process: Process) -> bool:
        of_this_epoch = state.vouched == now.epoch + 1 or Rule.VOUCHED_FOR_ONE_EPOCH not in self.rules
        return bool(state.vouched) and of_this_epoch and not ORDERS[process.orders].named

    def _is_unused(self, state: State, process: Process) -> bool:
        """Whether the only customer looked at never had an entry: that needs no second telling."""
        return self.scene.new_customers and not ORDERS[process.orders].named and not people.is_credited_on(state, 0)

    def _look(self, state: State, process: Process, *, flawed: bool, cut: bool) -> tuple[str, int, int]:
        """What forbids the write, if anything; whose ledgers were read; whose showed something. The latter as bits."""
        now = PHASES[state.phase].position
        if self.scene.cursor and state.cursor > process.payment and state.payments[process.payment].final:
            return "the cursor covers it", 0, 0
        blocked = "the list of orders contradicts its balance" if now.epoch > 0 and flawed else ""
        read = shown = 0
        for customer in self._places(process):
            if state.deleted == customer + 1:
                if self._deleted_holds(state, process, customer):
                    blocked = f"{CUSTOMERS[customer]} was deleted and may have carried the credit"
                continue
            if now.epoch > 0 and self._lie_is_seen(state) and not self._is_vouched(state, now, process):
                blocked = blocked or "the list contradicts its balances"
                continue
            finding = judge_entries(self._shown(state, process, customer, cut=cut), self.rules)
            read |= 1 << customer
            if finding is not Finding.NOTHING:
                shown |= 1 << customer
            if finding is Finding.CREDITED:
                return "the credit is there", read, shown
            if finding is Finding.STRIPPED:
                blocked = blocked or "a credit of these cents without its metadata is there"
        return blocked, read, shown

    def _places(self, process: Process) -> tuple[int, ...]:
        """The customers that may carry the credit, the event's own first."""
        named = ORDERS[process.orders].named
        if Rule.ALL_TARGETS not in self.rules:
            named = named[-1:]
        return tuple(dict.fromkeys((self.scene.owners[process.payment], *named)))

    def _deleted_holds(self, state: State, process: Process, customer: int) -> bool:
        target = ORDERS[process.orders].target
        is_target = customer == (self.scene.owners[process.payment] if target is None else target)
        epoch = PHASES[state.phase].position.epoch
        return is_target or deleted_blocks(epoch, acknowledged=bool(state.gone), rules=self.rules)

    def _lie_is_seen(self, state: State) -> bool:
        """Whether balances contradict what the listings show."""
        rule = _SEEN_BY.get(state.lie)
        return rule is not None and rule in self.rules

    def _shown(self, state: State, process: Process, customer: int, *, cut: bool) -> Iterator[Shown]:
        """What a listing shows of a customer's ledger."""
        if cut or state.lie in (Lie.GAP, Lie.NEWEST, Lie.END):
            return
        for number, payment in enumerate(state.payments):
            credit = payment.credit
            if not credit or credit.customer != customer or credit.hidden:
                continue
            if credit.stripped:
                yield self._bare(state, process, number, after_order=bool(credit.after_order))
            elif number != process.payment:
                yield Shown.UNRELATED
            elif credit.name == process.name:
                yield Shown.ITS_NAME
            else:
                is_own = customer == self.scene.owners[process.payment]
                yield Shown.FORMER_NAME if is_own else Shown.UNRELATED

    def _bare(self, state: State, process: Process, number: int, *, after_order: bool) -> Shown:
        """An order excuses the entries that its admin saw; without the rule, every entry."""
        excused = ORDERS[process.orders].stands and not (
            (after_order or number != process.payment) and Rule.ORDER_SAW_OLDER_ONLY in self.rules
        )
        return Shown.UNRELATED if excused else Shown.BARE

    def send(self, state: State, index: int) -> Iterator[Step]:
        """It sends the credit, unless too much time has passed."""
        process = state.processes[index]
        idle = _idle(process)
        believed = state.phase
        if process.asleep in (Asleep.CLOCKS_STOOD_STILL, Asleep.ONE_CLOCK_STOOD_STILL):
            rule = Rule.SAME_CONNECTION if process.asleep == Asleep.CLOCKS_STOOD_STILL else Rule.BOTH_CLOCKS
            if rule in self.rules:
                yield f"{_who(index)} wakes and sends nothing: {_REFUSALS[rule]}.", with_process(state, index, idle)
                return
            believed = process.orders_at if process.checked_at == NOT_CHECKED else process.checked_at
        evidence = None if process.checked_at == NOT_CHECKED else PHASES[process.checked_at].position
        now, young = PHASES[believed].position, believed == 0
        if not may_send(evidence, now, young=young, rules=self.rules):
            yield f"{_who(index)} sends nothing: its check is of another time.", with_process(state, index, idle)
            return
        if process.request:
            return  # one at a time: the earlier one may arrive first
        orders = ORDERS[process.orders]
        customer = self.scene.owners[process.payment] if orders.target is None else orders.target
        epoch = now.epoch if Rule.KEY_PER_EPOCH in self.rules else 0
        number = process.payment
        request = Request(number, customer, process.name, epoch, process.other_keys[number], 0)
        key = f"the key of epoch {epoch}" if not request.other_key else "another key"
        yield (
            f"{_who(index)} sends the credit of {which(number)} to {CUSTOMERS[customer]} under {key}.",
            with_process(state, index, idle._replace(request=request)),
        )

    def _cursor(self, state: State) -> Iterator[Step]:
        """The sweep moves the cursor over a payment whose credit a listing shows."""
        if state.cursor == len(state.payments):
            return
        candidates = [state.cursor]
        if Rule.CURSOR_WITHOUT_HOLES not in self.rules:
            candidates += range(state.cursor + 1, len(state.payments))
        for number in candidates:
            payment = state.payments[number]
            shown = payment.credit and not payment.credit.hidden and not payment.credit.stripped
            listed = payment.credit and shown and payment.credit.customer == self.scene.owners[number]
            if payment.final and (listed or Rule.CURSOR_AFTER_LISTING not in self.rules) and not state.deleted:
                covered = all(earlier.credit for earlier in state.payments[: number + 1])
                yield (
                    f"The sweep moves the cursor over {which(number)}.",
                    state._replace(cursor=number + 1, wrong=0 if covered else 2),
                )


@cache
def _aged(process: Process, *, same_epoch: bool) -> Process:
    told = tuple(Told(0, known.before | known.now) if same_epoch else Told() for known in process.told)
    request = process.request and process.request._replace(border=1)
    border = 1 if process.step and not process.asleep else 0
    return process._replace(told=told, request=request, border=border)  # type: ignore[arg-type]


@cache
def _restarted(process: Process) -> Process:
    """Its memory is gone; what it sent is not."""
    return Process(request=process.request)


@cache
def _idle(process: Process) -> Process:
    return Process(told=process.told, other_keys=process.other_keys, request=process.request)


def _set(pair: tuple, index: int, value: object) -> tuple:  # type: ignore[type-arg]
    return (value, *pair[1:]) if index == 0 else (pair[0], value)


def _who(index: int) -> str:
    return f"Process {index + 1}"


_NOTHING_TOLD = Process().told
_SEEN_BY = {Lie.GAP: Rule.GAPLESS, Lie.NEWEST: Rule.NEWEST_FITS_BALANCE, Lie.END: Rule.REACHES_BACK}
_SLEEPS = {
    Asleep.CLOCKS_STOOD_STILL: "with both its clocks, and its connection is closed meanwhile",
    Asleep.ONE_CLOCK_STOOD_STILL: "with one of its clocks, and its connection stays open",
    Asleep.BEFORE_ITS_LAST_READ: "before its next read, which will tell it the time",
}
_REFUSALS = {
    Rule.SAME_CONNECTION: "its connection is gone",
    Rule.BOTH_CLOCKS: "one of its clocks says that the last answer is too old",
}
