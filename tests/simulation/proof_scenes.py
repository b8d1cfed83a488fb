"""Directed scenes of keys and proofs, without admins: when a payment may be written under a later key."""

import random
from dataclasses import replace

from tests.simulation.draws import calm
from tests.simulation.order_scenes import CENTS, Scene, claims, into, paid
from tests.simulation.plan import EPOCH, HOUR, Event, Plan


def burnt_key(rng: random.Random, plan: Plan) -> Scene:
    """Stripe saves a 500 under the first epoch's key for weeks; the next epoch's key must write the credit."""
    at = rng.uniform(60, HOUR)
    seen = at + plan.finality + rng.uniform(200, HOUR)
    base = calm(plan, replicas=2, customers=1, gateways=1, list_lag=0.0, key_life=900 * HOUR)
    events = [paid(at), Event(seen, "claim", (0, 0))]
    return replace(base, faults=("saved_500",), writes=rng.choice((0.7, 1.0))), [
        *events,
        Event(seen + 100, "claim", (1, 0)),
    ]


def late_over_border(rng: random.Random, plan: Plan) -> Scene:
    """The first entry of a customer is sent right before an epoch boundary and arrives right after it."""
    at = rng.uniform(60, HOUR)
    border = at + EPOCH
    events = [paid(at, cents=rng.choice((0, CENTS)))]
    events += [
        Event(border - rng.uniform(1.5, 20), "claim", (0, 0)),
        Event(border + rng.uniform(0.5, 30), "claim", (1, 0)),
    ]
    base = calm(plan, replicas=2, customers=1, gateways=1, list_lag=0.0, nodes=1, lags=((0.0, 0.0),), ahead=0)
    return replace(base, faults=("slow_answer",), writes=0.9), events


def behind_the_block(rng: random.Random, plan: Plan) -> Scene:
    """A credit and later charges appear older than the block, whose time is ahead of Stripe's clock."""
    at = rng.uniform(HOUR, 2 * HOUR)
    charged = at + rng.uniform(45, 70)
    events = [paid(at), Event(at + rng.uniform(17, 25), "claim", (0, 0))]
    events += [Event(charged + 5 * index, "cents", (0, 2, 300)) for index in (0, 1)]
    for index in range(2):
        events += claims(into(rng, at, 1), index)
    base = calm(plan, replicas=2, customers=1, gateways=1, list_lag=0.0, nodes=1, lags=((0.0, 0.0),), page=2)
    return replace(base, ahead=rng.randrange(100, 116)), events


PROOF_SCENES = {scene.__name__: scene for scene in (burnt_key, late_over_border, behind_the_block)}
OLD_RULES = {
    "one_key_for_ever": ("cut_list",),
    "key_without_epoch": ("burnt_key",),
    "no_quiet_zone": ("late_over_border",),
    "cursor_before_finality": ("mixed",),
    "partial_listing_counts": ("cut_list", "zero_crossing"),
    "look_back_too_short": ("behind_the_block",),
}
"""Mutants of the rules about keys and listings, and the themes whose seeds detect them fastest."""
