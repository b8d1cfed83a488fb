"""What Stripe does with a request: its keys, its saved answers, and the entries that it lists late."""

from collections.abc import Collection, Iterator
from functools import cache

from tests.model.rules import Rule
from tests.model.scene import Step
from tests.model.state import (
    CUSTOMERS,
    FORGOTTEN_FROM,
    Credit,
    Fault,
    Key,
    Payment,
    Request,
    State,
    which,
    with_payment,
    with_process,
)


def deliver(state: State, index: int, rules: Collection[Rule], *, last_epoch: int) -> Iterator[Step]:
    """A request arrives."""
    request = state.processes[index].request
    assert request
    after = _without_request(state, index)
    payment = state.payments[request.payment]
    key = payment.keys[request.epoch]
    if state.deleted == request.customer + 1:
        yield "Stripe refuses the request: the customer was deleted.", after
        return
    other_key = request.other_key or (
        Rule.KEY_NAMES_THE_PAYMENT not in rules and key and not key.burnt and key.customer != request.customer
    )
    if key and not other_key:
        yield _replayed(after, index, request, key, rules)
        return
    yield from _executed(state, after, index, request, rules)
    if state.faults & Fault.BURN and not key and request.epoch < last_epoch:
        burnt = after._replace(faults=state.faults & ~Fault.BURN)
        yield (
            "Stripe answers 500, saves it under the key and writes nothing.",
            _reacts(_with_key(burnt, request, Key(1)), index, request, Rule.KEY_KEPT_AFTER_500, rules),
        )
        later = Key(1, request.customer, request.name, 1)
        yield (
            "Stripe answers 500, saves it under the key and will write the credit later.",
            _reacts(_with_key(burnt, request, later), index, request, Rule.KEY_KEPT_AFTER_500, rules),
        )
        written = _write(burnt, request)
        yield (
            "Stripe answers 500, saves it under the key, and has written the credit all the same.",
            _reacts(_with_key(written, request, Key(1)), index, request, Rule.KEY_KEPT_AFTER_500, rules),
        )


def late_steps(state: State) -> Iterator[Step]:
    """What Stripe does on its own: lists an entry at last, completes a request, forgets a key."""
    for number, payment in enumerate(state.payments):
        if payment.credit and payment.credit.hidden:
            listed = payment._replace(credit=payment.credit._replace(hidden=0))
            yield f"The list shows the credit of {which(number)} at last.", with_payment(state, number, listed)
        for epoch, key in enumerate(payment.keys):
            if key and key.later:
                request = Request(number, key.customer, key.name, epoch, 0, 0)
                done = _write(_with_key(state, request, Key(1)), request)
                yield (
                    f"Stripe completes the request that it had answered with a 500, for {CUSTOMERS[key.customer]}.",
                    done,
                )
            if key and not key.later and state.phase >= FORGOTTEN_FROM[epoch]:
                keys = (*payment.keys[:epoch], (), *payment.keys[epoch + 1 :])
                yield (
                    f"Stripe forgets the key of epoch {epoch} of {which(number)}.",
                    with_payment(state, number, payment._replace(keys=keys)),
                )


@cache
def aged(payment: Payment, *, same_epoch: bool) -> Payment:
    """A payment after half an hour; no 500 of an ended epoch is completed."""
    if payment.credit and payment.credit.hidden:
        payment = payment._replace(credit=payment.credit._replace(hidden=2))
    if not same_epoch and any(key and key.later for key in payment.keys):
        payment = payment._replace(
            keys=tuple(key and key._replace(customer=0, name=0, later=0) for key in payment.keys)
        )
    return payment


def _replayed(after: State, index: int, request: Request, key: Key, rules: Collection[Rule]) -> Step:
    if key.burnt:
        return "Stripe replays the 500 that it saved.", _reacts(after, index, request, Rule.KEY_KEPT_AFTER_500, rules)
    if (key.customer, key.name) == (request.customer, request.name):
        return "Stripe replays its answer: the credit was written before.", after
    return "Stripe refuses: the key was used with other parameters.", _reacts(
        after, index, request, Rule.KEY_KEPT_AFTER_MISMATCH, rules
    )


def _executed(state: State, after: State, index: int, request: Request, rules: Collection[Rule]) -> Iterator[Step]:
    saved = after if request.other_key else _with_key(after, request, Key(0, request.customer, request.name))
    written = _write(saved, request)
    yield f"Stripe writes the credit for {CUSTOMERS[request.customer]}.", written
    if state.faults & Fault.LAG and not written.wrong:
        number = request.payment
        credit = written.payments[number].credit
        assert credit
        hidden = written.payments[number]._replace(credit=credit._replace(hidden=1 + request.border))
        yield (
            f"Stripe writes the credit for {CUSTOMERS[request.customer]}, and its list does not show it yet.",
            with_payment(written, number, hidden)._replace(faults=state.faults & ~Fault.LAG),
        )


def _write(state: State, request: Request) -> State:
    payment = state.payments[request.payment]
    if payment.credit:
        return state._replace(wrong=1)
    credit = Credit(request.customer, request.name, 0, 0, int(payment.order > 0))
    return with_payment(state, request.payment, payment._replace(credit=credit))


def _with_key(state: State, request: Request, key: Key) -> State:
    payment = state.payments[request.payment]
    keys = (*payment.keys[: request.epoch], key, *payment.keys[request.epoch + 1 :])
    return with_payment(state, request.payment, payment._replace(keys=keys))


def _reacts(state: State, index: int, request: Request, rule: Rule, rules: Collection[Rule]) -> State:
    """Without the rule, the process takes another key for its next attempt."""
    if rule in rules:
        return state
    process = state.processes[index]
    first, second = process.other_keys
    others = (1, second) if request.payment == 0 else (first, 1)
    return with_process(state, index, process._replace(other_keys=others))


def _without_request(state: State, index: int) -> State:
    return with_process(state, index, state.processes[index]._replace(request=()))
