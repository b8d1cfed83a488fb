"""Processes: killed in the middle, two at once, stopped."""

import time

from tests.outsider.scenarios.failing_stripe import keys_of, plant
from tests.outsider.stripe.faults import Kind
from tests.outsider.world import World, require


def scenario_killed_while_writing(world: World) -> str:
    """A process is killed while Stripe executes its write; another start finds the credit and writes no second."""
    told = []
    for kind in (Kind.SLOW_BEFORE, Kind.SLOW_AFTER):
        payer = world.create_payer()
        fault = plant(world, payer, kind, seconds=4)
        hash_ = world.pay_quoted(payer, 1600)
        end = time.monotonic() + 20
        while not fault.struck and time.monotonic() < end:
            time.sleep(0.05)
        require(fault.struck, "the sweep writes what nobody claims")
        world.service.kill()
        world.service.start()
        world.service.follow(hash_, "credited", seconds=90)
        time.sleep(4)
        world.require_credited_once(payer, hash_, 1600)
        require(len(keys_of(world, payer)) == 1, f"one key, not {keys_of(world, payer)}")
        told.append(kind.name.lower())
    return f"killed during {' and '.join(told)}: one credit each"


def scenario_two_processes(world: World) -> str:
    """Two processes that sweep and are asked at once credit ten payments once each."""
    payers = [world.create_payer() for _ in range(5)]
    services = [world.service, world.second]
    paid = []
    for number in range(10):
        payer = payers[number % 5]
        paid.append((payer, 600 + number, world.pay_quoted(payer, 600 + number, services[number % 2])))
    for payer, cents, hash_ in paid:
        for service in services:
            service.follow(hash_, "credited", seconds=60)
        world.require_credited_once(payer, hash_, cents)
    total = sum(-payer.customer.balances["usd"] for payer in payers)
    require(total == sum(cents for _, cents, _ in paid), f"the balances are the sum of the payments, not {total}")
    return f"10 payments of 5 payers, {total} cents in all"


def scenario_restart_with_nothing(world: World) -> str:
    """A stopped process ends with 0; one started anew on nothing answers for old payments, and writes no credit."""
    payer = world.create_payer()
    hash_ = world.pay_quoted(payer, 1900)
    world.service.follow(hash_, "credited")
    code = world.service.stop()
    require(code == 0, f"SIGTERM ends a process with 0, not {code}")
    written = sum(len(customer.ledger) for customer in world.account.customers.values())
    world.service.start()
    claim = world.service.follow(hash_, "credited", seconds=90)
    time.sleep(5)
    require(claim["payments"][0]["cents"] == 1900, "it knows the payment from chain and Stripe alone")
    again = sum(len(customer.ledger) for customer in world.account.customers.values())
    require(again == written, f"{again - written} entries were written by a restart")
    return f"exit code 0; {written} entries before and after"
