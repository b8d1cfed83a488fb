"""Directed scenes: a few events around the step at which a rule matters, and little else."""

import random
from collections.abc import Callable
from dataclasses import replace

from tests.simulation.draws import calm
from tests.simulation.plan import EPOCH, HOUR, Event, Plan

Scene = Callable[[random.Random, Plan], tuple[Plan, list[Event]]]

LOOKED, READ = ("answered", 5), ("answered", 6)
"""The steps of a new process's first claim after its check, and after its last read.

Two reads belong to the startup; the check reads the newest entries, then the service record and its orders.
"""


def _payment(rng: random.Random, *, quoted: bool, gateway: int = 0) -> Event:
    return Event(rng.uniform(60, HOUR), "pay", (0, ((gateway, 0, 9_000, 5_400 if quoted else 0),)))


def next_to_a_border(rng: random.Random, plan: Plan) -> tuple[Plan, list[Event]]:
    """One process writes just before an epoch boundary; others check just after it, with a lagging list."""
    paid = _payment(rng, quoted=rng.random() < 0.5)
    border = paid.at + EPOCH * rng.choice((1, 2))
    visits = []
    for slot in range(4):
        before = -1 if slot % 2 == 0 else 1
        at = border + before * (rng.uniform(2, 900) if rng.random() < 0.7 else rng.uniform(1700, 1900))
        visits.append(Event(at, rng.choice(("sweep", "claim")), (slot, 0)))
    faults = ("lost_after", "saved_500_done", "cut_answer") if rng.random() < 0.3 else ()
    quiet = calm(plan, replicas=4, list_lag=1500.0)
    return replace(quiet, faults=faults, writes=0.5, late=rng.choice((0.0, 0.5))), [paid, *visits]


def _asleep(
    paid: Event, at: float, step: tuple[str, int, int], length: float, missed: tuple[bool, bool]
) -> list[Event]:
    return [
        paid,
        Event(at, "harm", (0, step, "sleep", length, missed)),
        Event(at + 0.001, "claim", (0, 0)),
        Event(at + 300, "claim", (1, 0)),
    ]


def dead_key(rng: random.Random, plan: Plan) -> tuple[Plan, list[Event]]:
    """A process sleeps between its last read and its write until Stripe drops the key that another process used."""
    paid = _payment(rng, quoted=rng.random() < 0.7)
    at = paid.at + rng.uniform(2000, 20 * HOUR)
    stays = rng.random() < 0.6
    missed = rng.choice(((True, False), (False, True), (False, False))) if stays else (True, True)
    step = rng.choice(((*READ, rng.randrange(9)), ("begin_write", 1, rng.randrange(3)), ("before_write", 1, 0)))
    life = rng.uniform(24, 26) * HOUR
    quiet = calm(plan, replicas=2, idle_timeout=1e12 if stays else 75.0, key_life=life)
    return quiet, _asleep(paid, at, step, rng.uniform(26.2, 40) * HOUR, missed)


def old_look(rng: random.Random, plan: Plan) -> tuple[Plan, list[Event]]:
    """A process sleeps right after its check, into another epoch, on a connection that stays open."""
    paid = _payment(rng, quoted=True)
    at = paid.at + rng.uniform(1700, 20 * HOUR)
    missed = (False, rng.random() < 0.5)
    length = rng.uniform(23.6, 40) * HOUR
    quiet = calm(plan, replicas=2, idle_timeout=1e12, key_life=rng.choice((24.0, 44.0)) * HOUR)
    return quiet, _asleep(paid, at, (*LOOKED, rng.randrange(7)), length, missed)


def stripped(rng: random.Random, plan: Plan) -> tuple[Plan, list[Event]]:
    """A credit loses its metadata before a cursor covers it; a day later a new process checks."""
    paid = _payment(rng, quoted=rng.random() < 0.5)
    at = paid.at + (0 if paid.args[1][0][3] else plan.finality)
    return calm(plan), [
        paid,
        Event(at + rng.uniform(130, 300), "claim", (0, 0)),
        Event(at + rng.uniform(310, 900), rng.choice(("strip", "strip", "opposite")), (0, 0)),
        Event(at + rng.uniform(20, 22) * HOUR, "restart", (0,)),
        Event(at + rng.uniform(24, 44) * HOUR, rng.choice(("claim", "sweep")), (0, 0)),
    ]


def many_rows(rng: random.Random, plan: Plan) -> tuple[Plan, list[Event]]:
    """A credit is followed by more than a page of newer rows when a new process checks a day later."""
    paid = _payment(rng, quoted=True)
    charges = [Event(paid.at + 400 + number, "charge", (0, 300)) for number in range(4)]
    faults = ("page_fault", "rows_while_paging") if rng.random() < 0.5 else ()
    visits = [
        Event(paid.at + rng.uniform(130, 300), "claim", (0, 0)),
        Event(paid.at + 1000, "restart", (0,)),
        Event(paid.at + rng.uniform(24, 44) * HOUR, rng.choice(("claim", "sweep")), (0, 0)),
    ]
    return replace(calm(plan, page=2), faults=faults, reads=0.3), [paid, *charges, *visits]


def blocks_ahead(rng: random.Random, plan: Plan) -> tuple[Plan, list[Event]]:
    """A block's time is ahead of Stripe's clock, so the credit appears older than its payment."""
    paid = _payment(rng, quoted=True)
    return calm(plan, ahead=rng.randrange(100, 116)), [
        paid,
        Event(paid.at + rng.uniform(17, 40), "claim", (0, 0)),
        Event(paid.at + 1000, "restart", (0,)),
        Event(paid.at + rng.uniform(24, 44) * HOUR, rng.choice(("claim", "sweep")), (0, 0)),
    ]


def reorganized_while_asleep(rng: random.Random, plan: Plan) -> tuple[Plan, list[Event]]:
    """A process reads a plain payment and sleeps until its block number is final, but the block was reorged away."""
    paid = _payment(rng, quoted=False)
    length = plan.finality + rng.uniform(60, 3000)
    where = rng.randrange(20, 70)
    return calm(plan, nodes=1, lags=((0.0, 0.0),), ahead=0), [
        paid,
        Event(paid.at + 20, "claim", (0, 0)),
        Event(paid.at + 29.9, "harm", (0, where, "sleep", length, (False, False))),
        Event(paid.at + 30, "claim", (0, 0)),
        Event(paid.at + 60, "reorg", (300, ("dropped",))),
    ]


def other_version(rng: random.Random, plan: Plan) -> tuple[Plan, list[Event]]:
    """Two versions write one payment within a list's lag, or Stripe answers 500 and executes anyway."""
    paid = _payment(rng, quoted=rng.random() < 0.5, gateway=rng.randrange(2))
    at = paid.at + plan.finality + plan.ahead + 60
    quiet = calm(plan, replicas=3, gateways=2, list_lag=rng.choice((600.0, 1500.0)))
    visits = [Event(at + 90 * number + rng.uniform(0, 60), "claim", (number % 3, 0)) for number in range(6)]
    late = [Event(at + rng.uniform(24, 30) * HOUR, "sweep", (1, 0))]
    faults = ("saved_500_done",) if rng.random() < 0.4 else ()
    return replace(quiet, two_versions=True, faults=faults, writes=0.7), [paid, *visits, *late]


def stalled(rng: random.Random, plan: Plan) -> tuple[Plan, list[Event]]:
    """`finalized` stalls for more than an epoch; a new process reads a quoted payment that is still not final."""
    paid = _payment(rng, quoted=True)
    return calm(plan), [
        Event(paid.at - 5, "stall", ("finalized", rng.uniform(26, 44) * HOUR)),
        paid,
        Event(paid.at + rng.uniform(130, 300), "claim", (0, 0)),
        Event(paid.at + 1000, "restart", (0,)),
        Event(paid.at + rng.uniform(23.6, 25.9) * HOUR, "claim", (0, 0)),
    ]


def renamed(rng: random.Random, plan: Plan) -> tuple[Plan, list[Event]]:
    """A credited payment moves to another EVM transaction; a day later a new process checks."""
    paid = _payment(rng, quoted=True)
    return calm(plan, ahead=0, lags=((0.0, 0.0),), nodes=1), [
        paid,
        Event(paid.at + rng.uniform(17, 40), "claim", (0, 0)),
        Event(paid.at + rng.uniform(41, 100), "reorg", (600, ("renamed",))),
        Event(paid.at + 1000, "restart", (0,)),
        Event(paid.at + rng.uniform(24, 44) * HOUR, "sweep", (0, 0)),
    ]


def left_out(rng: random.Random, plan: Plan) -> tuple[Plan, list[Event]]:
    """A block holds several payments, and the only node omits logs now and then."""
    at = rng.uniform(60, HOUR)
    calls = tuple((0, customer, 9_000, 0) for customer in (0, 1, 0))
    sweeps = [Event(at + plan.finality + plan.ahead + 60 * number, "sweep", (0, 0)) for number in range(2, 8)]
    quiet = calm(plan, nodes=1, customers=2, gateways=1, lags=((0.0, 0.0),))
    return replace(quiet, omits=0.3), [Event(at, "pay", (0, calls)), *sweeps]


def invented(rng: random.Random, plan: Plan) -> tuple[Plan, list[Event]]:
    """A credit fails and stays open; then one of two nodes inserts a forged payment, shifting the indexes.

    What is paid after the lie has the index at which the liar's last payment was.
    """
    at = rng.uniform(60, HOUR)
    paid = [Event(at + 60 * number, "pay", (number, ((0, number, 9_000, 0),))) for number in (0, 1)]
    final = at + plan.finality + plan.ahead + 180
    early = [Event(final + 20 * number, "sweep", (0, 1)) for number in range(2)]
    lie = final + rng.uniform(100, 3000)
    late = [Event(lie + 60 * number, "sweep", (0, 1)) for number in range(1, 4)]
    late.append(Event(lie + 200, "pay", (2, ((0, 0, 9_000, 0),))))
    quiet = calm(plan, nodes=2, lags=((0.0, 0.0), (0.0, 0.0)), customers=2, gateways=1, replicas=1)
    forged = Event(lie, "forge", (0, 0, lie - at + rng.uniform(10, 50)))
    events = [*paid, *early, forged, Event(lie + 1, "restart", (0,)), *late]
    return replace(quiet, faults=("unsaved_500",), writes=rng.uniform(0.3, 0.9)), events


DIRECTED: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        next_to_a_border,
        dead_key,
        old_look,
        stripped,
        many_rows,
        blocks_ahead,
        reorganized_while_asleep,
        other_version,
        stalled,
        renamed,
        left_out,
        invented,
    )
}
