"""Stripe fails: at each write an answer is lost, cut off, late, or an error."""

import time
from typing import Any

from tests.outsider.stripe.faults import Fault, Kind
from tests.outsider.world import ENTRIES, Payer, World, require, state_of

CREDITED = (
    Kind.LOST_BEFORE,
    Kind.LOST_AFTER,
    Kind.CUT,
    Kind.SLOW_BEFORE,
    Kind.SLOW_AFTER,
    Kind.EXECUTED_500,
    Kind.HTML_502,
    Kind.RATE_LIMITED,
    Kind.LOCKED,
)


def plant(world: World, payer: Payer, kind: Kind, **details: Any) -> Fault:
    """Plant a fault at the write of a payer's credit."""
    wallet = payer.wallet.lower()

    def fits(parameters: dict[str, Any]) -> bool:
        return isinstance(told := parameters.get("metadata"), dict) and told.get("wallet") == wallet

    return world.at_stripe(lambda: world.desk.faults.plant(kind, "POST", ENTRIES, fits=fits, **details))


def keys_of(world: World, payer: Payer) -> set[str]:
    """Return the keys of all writes for a payer."""
    return {seen.key for seen in world.desk.seen if seen.key and payer.customer.id in seen.key}


def scenario_every_way_to_fail(world: World) -> str:
    """Whatever happens to the answer, the credit is written once, under one key."""
    payers = [(kind, world.create_payer()) for kind in CREDITED]
    faults = [plant(world, payer, kind, times=2, seconds=3) for kind, payer in payers]
    paid = [(kind, payer, world.pay_quoted(payer, 1100)) for kind, payer in payers]
    for kind, payer, hash_ in paid:
        world.service.follow(hash_, "credited", seconds=120)
        world.require_credited_once(payer, hash_, 1100)
        require(len(keys_of(world, payer)) == 1, f"{kind}: one key, not {keys_of(world, payer)}")
    require(all(fault.struck for fault in faults), "each fault met a request")
    return f"{len(CREDITED)} failures, {sum(fault.struck for fault in faults)} requests met, each credited once"


def scenario_saved_500(world: World) -> str:
    """A 500 saved under the key, with nothing executed: the payment waits with its cause, under the same key."""
    payer = world.create_payer()
    fault = plant(world, payer, Kind.SAVED_500)
    hash_ = world.pay_quoted(payer, 1300)
    claim = world.service.follow(hash_, "pending", seconds=90)
    end = time.monotonic() + 12
    while time.monotonic() < end:
        claim = world.service.claim(hash_)
        require(claim["state"] == "pending", f"a payment behind a saved 500 is pending, not {claim}")
        time.sleep(1)
    require(state_of(claim)[1] == "stripe_unclear", f"its cause is stripe_unclear, not {state_of(claim)}")
    require(fault.struck == 1 and not world.credits(payer.customer, hash_), "nothing was credited")
    require(len(keys_of(world, payer)) == 1, f"the key does not change: {keys_of(world, payer)}")
    return "pending, stripe_unclear, one key, no credit"


def scenario_500_and_a_late_list(world: World) -> str:
    """A 500 whose request was executed, while lists are late: no second credit; adopted once it is listed."""
    payer = world.create_payer()
    world.account.ledger_lag = 15
    try:
        plant(world, payer, Kind.EXECUTED_500)
        hash_ = world.pay_quoted(payer, 1700)
        world.service.follow(hash_, "pending", seconds=90)
        claim = world.service.follow(hash_, "credited", seconds=150)
    finally:
        world.account.ledger_lag = 0
    entry = world.require_credited_once(payer, hash_, 1700)
    require(claim["payments"][0]["credit"] == entry.id, "the claim names the entry that the 500 hid")
    return "one credit, adopted from the list"


def scenario_stripe_refuses_everybody(world: World) -> str:
    """While Stripe answers 503 to everything, payments wait and say so; they are credited when it answers again."""
    payer = world.create_payer()
    quote = world.service.quote(payer.wallet, 1400, payer.wallet)
    addresses = (("GET", "/v1/customers/:id"), ("GET", ENTRIES), ("POST", ENTRIES), ("POST", "/v1/customers/:id"))
    world.at_stripe(lambda: [world.desk.faults.plant(Kind.HTML_502, *endpoint, times=10_000) for endpoint in addresses])
    hash_ = ""
    for call in quote["calls"]:
        hash_ = world.chain.send(payer.key, call["to"], call["data"])["transactionHash"]
    claim = world.service.follow(hash_, "pending", seconds=90)
    require(state_of(claim)[1] in ("stripe_down", "stripe_unclear"), f"the cause names Stripe: {claim}")
    time.sleep(5)
    world.at_stripe(world.desk.faults.clear)
    began = time.monotonic()
    world.service.follow(hash_, "credited", seconds=90)
    world.require_credited_once(payer, hash_, 1400)
    return f"credited {time.monotonic() - began:.0f} s after Stripe answered again"
