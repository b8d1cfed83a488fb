"""What people do, and what else happens to payments and lists."""

from collections.abc import Iterator

from tests.model.scene import Scene, Step
from tests.model.state import (
    CUSTOMERS,
    NEXT_ORDERS,
    ORDERS,
    PHASES,
    Fault,
    Lie,
    State,
    which,
    with_payment,
)

_LIES = {
    Lie.GAP: "From now on lists omit a row in the middle.",
    Lie.NEWEST: "From now on lists omit the newest rows.",
    Lie.END: "From now on lists end early.",
}


def steps(scene: Scene, state: State) -> Iterator[Step]:
    """What people, reorganisations and lists do next."""
    faults = state.faults
    if faults & Fault.LIE:
        for lie, what in _LIES.items():
            yield what, state._replace(lie=lie, faults=faults & ~Fault.LIE)
    if faults & Fault.HIDE_ORDER and any(payment.order for payment in state.payments):
        hidden = state._replace(lie=Lie.ORDERS, faults=faults & ~Fault.HIDE_ORDER)
        yield "From now on the list of orders omits its newest row.", hidden
    if state.lie:
        yield "The lists are complete again.", state._replace(lie=0)
    if faults & Fault.DELETE:
        for customer in (0, 1) if scene.orders else (0,):
            deleted = state._replace(deleted=customer + 1, faults=faults & ~Fault.DELETE)
            yield f"A person deletes {CUSTOMERS[customer]}, whose entries vanish.", deleted
    if state.deleted and not state.gone and state.orders_left and not is_credited_on(state, state.deleted - 1):
        yield (
            "An admin states, truthfully, that the deleted customer was not credited.",
            state._replace(gone=1, orders_left=state.orders_left - 1),
        )
    if scene.vouching and not state.vouched and not is_credited_on(state, 0):
        epoch = PHASES[state.phase].position.epoch
        yield (
            "An admin who saw Alice's ledger vouches, truthfully, that no credit is there.",
            state._replace(vouched=epoch + 1),
        )
    for index in range(len(state.payments)):
        yield from _about(scene, state, index, faults)


def is_credited_on(state: State, customer: int) -> bool:
    """Whether a customer has a credit, listed or not."""
    return any(payment.credit and payment.credit.customer == customer for payment in state.payments)


def _about(scene: Scene, state: State, index: int, faults: int) -> Iterator[Step]:
    payment = state.payments[index]
    if payment.credit and not payment.credit.stripped and faults & Fault.STRIP:
        stripped = with_payment(state, index, payment._replace(credit=payment.credit._replace(stripped=1)))
        yield (
            f"A person removes the metadata of the credit of {which(index)}.",
            stripped._replace(faults=faults & ~Fault.STRIP),
        )
    if not payment.final:
        final = with_payment(state, index, payment._replace(final=1))
        yield f"{which(index).capitalize()} becomes final.", final
        if faults & Fault.RENAME:
            renamed = with_payment(state, index, payment._replace(name=1))._replace(faults=faults & ~Fault.RENAME)
            yield f"A reorganisation moves {which(index)} to another EVM transaction.", renamed
    elif state.orders_left and not (payment.credit and scene.faults & Fault.STRIP):
        for order in NEXT_ORDERS.get(payment.order, ()):
            older = payment.credit and payment.credit._replace(after_order=0)
            ordered = with_payment(state, index, payment._replace(order=order, credit=older))
            yield (
                f"An admin orders about {which(index)}: {ORDERS[order].text}.",
                ordered._replace(orders_left=state.orders_left - 1),
            )
