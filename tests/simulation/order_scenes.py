"""Directed scenes with admins, in which a rule about orders or proofs matters."""

import random
from dataclasses import replace

from tests.simulation.draws import calm
from tests.simulation.plan import EPOCH, HOUR, Event, Plan

Scene = tuple[Plan, list[Event]]
T1, T2, T3 = 3, 4, 5  # indexes of TARGETS in `truth.PEOPLE`
AGAIN = 2400.0  # seconds until a second reading can prove an absence
CENTS = 5_400


def quiet(plan: Plan, **changes: object) -> Plan:
    """A plan with admins and without random faults."""
    base = calm(plan, admins=True, nodes=1, lags=((0.0, 0.0),), ahead=0, caps=None, page=100)
    return replace(base, gateways=1, customers=1, replicas=3, list_lag=0.0, save_refusals=True, **changes)  # type: ignore[arg-type]


def paid(at: float, customer: int = 0, number: int = 0, cents: int = CENTS) -> Event:
    """A payment, quoted if it has cents."""
    return Event(at, "pay", (number, ((0, customer, 9_000, cents),)))


def order(
    at: float,
    form: int,
    slot: int,
    what: str = "redirect",
    target: int = T1,
    *,
    number: int = 0,
    admin: int = 0,
    acks: bool = False,
    how: str = "desk",
) -> Event:
    """An admin writes an order."""
    return Event(at, "order", (form, slot, number, admin, what, target, acks, how))


def claims(at: float, slot: int, number: int = 0) -> list[Event]:
    """A new process checks a payment twice, as proving an absence requires."""
    again = [Event(at, "claim", (slot, number)), Event(at + AGAIN, "claim", (slot, number))]
    return [Event(at - 1, "restart", (slot,)), *again]


def into(rng: random.Random, at: float, epoch: int) -> float:
    """A time in an epoch of a payment, outside the quiet zone and early enough for two readings."""
    return at + epoch * EPOCH + rng.uniform(2000, 15 * HOUR)


def late(rng: random.Random, at: float, epoch: int = 1) -> float:
    """A time minutes before the end of an epoch."""
    return at + epoch * EPOCH - rng.uniform(60, 3 * HOUR)


def currency_back(rng: random.Random, plan: Plan) -> Scene:
    """A payment is redirected; minutes before the epoch ends its own customer is billed in dollars again."""
    at = rng.uniform(60, HOUR)
    ordered = at + plan.finality + rng.uniform(60, HOUR)
    events = [Event(1, "bill", (0, "eur")), paid(at), paid(at + 20, number=1)]
    events += [order(ordered, 0, 0, number=1), Event(late(rng, at), "bill", (0, "usd"))]
    events += claims(into(rng, at, 1), 1, 1)
    return quiet(plan), [*events, paid(at + EPOCH + 100, number=2)]


def same_sequence(rng: random.Random, plan: Plan) -> Scene:
    """Two payments of the same sequence are redirected to a customer whose own payment has that sequence."""
    at = rng.uniform(60, HOUR)
    ordered = at + plan.finality + rng.uniform(60, HOUR)
    events = [Event(1, "bill", (customer, "eur")) for customer in (0, 2)]
    events += [paid(at + customer, customer, customer) for customer in (0, 1, 2)]
    events += [order(ordered + rng.uniform(0, 60), index, index, "redirect", 1, number=index) for index in (0, 2)]
    return replace(quiet(plan), customers=3), [*events, Event(ordered + 100, "sweep", (1, 0))]


def one_second(rng: random.Random, plan: Plan) -> Scene:
    """Two admins write orders in one second, on two processes, for two targets."""
    at = rng.uniform(60, HOUR)
    ordered = at + plan.finality + rng.uniform(60, HOUR)
    second = [order(ordered + rng.choice((0.0, rng.uniform(0.4, 2))), 1, 1, target=T2, admin=1)]
    events = [Event(1, "bill", (0, "eur")), paid(at), order(ordered, 0, 0), *second]
    events += [Event(ordered + rng.uniform(1, 90), "claim", (slot, 0)) for slot in (0, 1, 2)]
    lag = rng.choice((0.0, 0.0, 0.0, 60.0, 1500.0))
    changed = replace(quiet(plan), list_lag=lag, oldest_first=rng.random() < 0.5)
    return replace(changed, faults=("slow_answer",), writes=rng.choice((0.0, 0.4))), [
        *events,
        *claims(into(rng, at, 1), 2),
    ]


def dead_target(rng: random.Random, plan: Plan) -> Scene:
    """The first order names a customer that cannot be credited; a newer one names a customer that can."""
    at = rng.uniform(60, HOUR)
    ordered = at + plan.finality + rng.uniform(60, HOUR)
    held = rng.choice((Event(2, "bill", (T1, "eur")), Event(2, "mark", (T1, "off")), Event(2, "test_clock", (T1,))))
    events = [Event(1, "bill", (0, "eur")), held, paid(at), order(ordered, 0, 0)]
    return quiet(plan), [*events, order(ordered + rng.uniform(5, HOUR), 1, 1, target=T2)]


def newer_target(rng: random.Random, plan: Plan) -> Scene:
    """While one order is applied, a newer one is written; a day later everything is checked again."""
    at = rng.uniform(60, HOUR)
    ordered = at + plan.finality + rng.uniform(60, HOUR)
    newer = order(ordered + rng.uniform(0.1, 3), 1, 1, target=T2, admin=1, how="direct")
    events = [Event(1, "bill", (0, "eur")), paid(at), order(ordered, 0, 0), newer]
    return quiet(plan), [*events, *claims(into(rng, at, 1), 2)]


def vouched_then_lied(rng: random.Random, plan: Plan) -> Scene:
    """An admin vouches for a ledger, the payment is credited there, and one epoch later listings lie."""
    at = rng.uniform(60, HOUR)
    events = [Event(1, "bill", (0, "eur")), paid(at), Event(late(rng, at), "bill", (0, "usd"))]
    events.append(order(into(rng, at, 1), 0, 0, "release", acks=True))
    for index in range(8):
        second = into(rng, at, 2)
        events += [Event(second - 1, "restart", (index,)), Event(second, "claim", (index, 0))]
    return replace(quiet(plan), lies=0.6, lie_kinds=("listing_ends_empty",)), events


def vouched_then_deleted(rng: random.Random, plan: Plan) -> Scene:
    """An admin vouches for a target, which is credited and deleted; a newer order names another target."""
    at = rng.uniform(60, HOUR)
    ordered = into(rng, at, 1)
    newer = order(ordered + rng.uniform(0.1, 3), 1, 1, target=T2, admin=1, how="direct")
    events = [Event(1, "bill", (0, "eur")), paid(at), order(ordered, 0, 0, acks=True), newer]
    events.append(Event(ordered + rng.uniform(60, HOUR), "remove", (T1,)))
    return quiet(plan), [*events, *claims(into(rng, at, 2), 2)]


def zero_crossing(rng: random.Random, plan: Plan) -> Scene:
    """After a credit the balance crosses zero repeatedly, and listings end at such a point."""
    at = rng.uniform(HOUR, 2 * HOUR)
    seen = at + rng.uniform(200, 400)
    events = [Event(2, "ledger", (0, rng.choice(("old", "young", "initial")), 4, 1))] if rng.random() < 0.5 else []
    events += [paid(at), Event(seen, "claim", (0, 0)), Event(seen + 60, "charge", (0, CENTS))]
    events += [Event(seen + 100 + index, "cents", (0, 2, 1)) for index in range(rng.choice((2, 3, 5)))]
    for index in range(3):
        events += claims(into(rng, at, 1) + index * 0.1, index)
    return replace(quiet(plan), page=2, lies=0.5, lie_kinds=("listing_cut",)), events


def hidden_newest(rng: random.Random, plan: Plan) -> Scene:
    """The newest entry, the credit, is omitted, and the balance had the same value before."""
    at = rng.uniform(HOUR, 2 * HOUR)
    seen = at + rng.uniform(200, 400)
    events = [Event(2, "ledger", (0, "old", 3, CENTS)), paid(at), Event(seen, "claim", (0, 0))]
    for index in range(3):
        events += claims(into(rng, at, 1), index)
    return replace(quiet(plan), page=2, lies=0.6, lie_kinds=("listing_hole",)), events


def orders_hidden(rng: random.Random, plan: Plan) -> Scene:
    """The order that redirected a payment is not listed once its own customer can be credited again."""
    changed, events = currency_back(rng, plan)
    kinds = ("listing_cut", "listing_ends_empty", "listing_hole")
    return replace(changed, lies=rng.choice((0.3, 0.6)), lie_kinds=kinds), events


def record_anew(rng: random.Random, plan: Plan) -> Scene:
    """The service record is recreated between an order and the next check of its payment."""
    changed, events = currency_back(rng, plan)
    done = next(event.at for event in events if event.kind == "order")
    return changed, [*events, Event(done + rng.uniform(600, 20 * HOUR), "record_anew", ())]


def slept_over_orders(rng: random.Random, plan: Plan) -> Scene:
    """A process reads the orders and sleeps into another epoch; its clock does not notice."""
    at = rng.uniform(60, HOUR)
    first = at + plan.finality + rng.uniform(60, 600)
    length = at + EPOCH + rng.uniform(2000, 10 * HOUR) - first
    events = [Event(1, "mark", (customer, "off")) for customer in (0, 1)]
    events += [paid(at), paid(at + 0.1, 1, 1)]
    where = ("answered", rng.randrange(5, 11), 0)
    events += [Event(first - 0.001, "harm", (0, where, "sleep", length, (False, True))), Event(first, "claim", (0, 1))]
    events += [order(first + 300, 0, 1), Event(late(rng, at), "mark", (0, ""))]
    again = [Event(first + length + after, "claim", (0, 0)) for after in (4, 10, 16, 25)]
    return replace(quiet(plan), customers=2, idle_timeout=75.0), [*events, *again]


def self_confirmed(rng: random.Random, plan: Plan) -> Scene:
    """An order above one admin's limit is confirmed by the same admin, and perhaps later by another."""
    at = rng.uniform(60, HOUR)
    ordered = at + plan.finality + rng.uniform(60, HOUR)
    events = [Event(1, "bill", (0, "eur")), paid(at), paid(at + 5, number=1)]
    events += [order(ordered, 0, 0), order(ordered + 30, 1, 0, number=1, target=rng.choice((T1, T2)))]
    for index, number in enumerate((0, 1)):
        events.append(Event(ordered + 60 + index, "confirm", (1, number, 0)))
    if rng.random() < 0.5:
        events.append(Event(ordered + rng.uniform(100, HOUR), "confirm", (2, rng.choice((0, 1)), 1)))
    return replace(quiet(plan), order_cap=rng.choice((3_000, 8_000))), events


def too_dear(rng: random.Random, plan: Plan) -> Scene:
    """A plain payment is priced by an order far above the market rate, which needs a second admin."""
    at = rng.uniform(60, HOUR)
    ordered = at + plan.finality + rng.uniform(60, HOUR)
    events = [Event(1, "mark", (0, "off")), paid(at, cents=0), order(ordered, 0, 0, "release@dear")]
    events.append(Event(ordered + 60, "confirm", (1, 0, rng.choice((0, 0, 1)))))
    return quiet(plan), events


def cut_list(rng: random.Random, plan: Plan) -> Scene:
    """A credit is followed by many debits of one second; a day later a new process checks, and listings lie."""
    at = rng.uniform(60, HOUR)
    seen = at + rng.uniform(200, 400)
    before = [Event(2, "ledger", (0, rng.choice(("old", "young")), 3, 300))] if rng.random() < 0.5 else []
    events = [*before, paid(at), Event(seen, "claim", (0, 0)), Event(seen + 60, "cents", (0, rng.choice((7, 20)), 300))]
    for index in range(3):
        events += claims(into(rng, at, 1), index)
    kinds = ("listing_cut", "listing_ends_empty", "listing_hole", "same_second_order")
    return replace(quiet(plan), page=3, lies=0.4, lie_kinds=kinds, oldest_first=rng.random() < 0.5), events


def reversed_later(rng: random.Random, plan: Plan) -> Scene:
    """A credit is reversed, at once or an epoch later, by several processes, while listings are truncated."""
    at = rng.uniform(60, HOUR)
    seen = at + rng.uniform(200, 400)
    first = seen + rng.uniform(10, HOUR)
    events = [
        paid(at),
        Event(seen, "claim", (0, 0)),
        Event(first, "reverse", (0, 0)),
        Event(first + 0.1, "reverse", (1, 0)),
    ]
    again = seen + EPOCH + rng.uniform(1900, 12 * HOUR)
    events += [Event(again + index * rng.uniform(0, 4000), "reverse", (index, 0)) for index in (0, 1, 2)]
    return replace(quiet(plan), lies=0.7, lie_kinds=("listing_ends_empty",)), events


def deleted_after_credit(rng: random.Random, plan: Plan) -> Scene:
    """A payment is credited, its customer is deleted before finality, and an admin redirects the payment."""
    at = rng.uniform(60, HOUR)
    seen = at + rng.uniform(100, 300)
    ordered = rng.choice((at + plan.finality + rng.uniform(60, HOUR), into(rng, at, 1)))
    events = [paid(at), Event(seen, "claim", (0, 0)), Event(seen + rng.uniform(5, 300), "remove", (0,))]
    events += [order(ordered, 0, 1, acks=rng.random() < 0.5, how=rng.choice(("desk", "page", "held")))]
    return quiet(plan), [*events, *claims(into(rng, at, rng.choice((1, 2))), 2)]


def vouched_in_sleep(rng: random.Random, plan: Plan) -> Scene:
    """A process sleeps between an admin's submission and the row that vouches, into another epoch."""
    at = rng.uniform(60, HOUR)
    pressed = at + 2 * EPOCH - rng.uniform(1900, 5 * HOUR)
    length = at + 2 * EPOCH + rng.uniform(1900, 5 * HOUR) - pressed
    name = rng.choice(("begin_write", "begin_write", "begin_read", "answered"))
    where = name, 1 if name == "begin_write" else rng.randrange(6, 10), 0
    events = [Event(1, "bill", (0, "eur")), paid(at), Event(pressed - 60, "bill", (0, "usd"))]
    events += [Event(pressed - 0.001, "harm", (0, where, "sleep", length, (False, False)))]
    events += [order(pressed, 0, 0, "release", acks=True), order(pressed + 30, 1, 1, "release", acks=True)]
    for index in range(3):
        events += claims(pressed + length + 100 + index * 2 * AGAIN, 2)
    return replace(quiet(plan), lies=0.6, lie_kinds=("listing_ends_empty",), idle_timeout=75.0), events


SCENES = {
    scene.__name__: scene
    for scene in (
        currency_back,
        same_sequence,
        one_second,
        dead_target,
        newer_target,
        vouched_then_lied,
        vouched_then_deleted,
        zero_crossing,
        hidden_newest,
        orders_hidden,
        record_anew,
        slept_over_orders,
        self_confirmed,
        too_dear,
        cut_list,
        reversed_later,
        deleted_after_credit,
        vouched_in_sleep,
    )
}
