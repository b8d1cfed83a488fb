"""`python -m tests.chaos [--seed N] [--payments N]`: exits 1 unless the books agree at the end."""

import argparse
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from stateless_billing.sandbox.stack import KEY, Stack
from tests.chaos.books import Balance, compare
from tests.chaos.monkey import Monkey
from tests.chaos.payers import Payers

CUSTOMERS = 40
AT_ONCE = 30
PAGES = 12  # that wait for their credit at once
SETTLE_SECONDS = 150
SETTINGS = {
    "CONFIRMATIONS": "10000:3s,100000:safe,finalized",
    "MAX_UNFINALIZED_CENTS": "100000000",
    "MAX_PAYMENT_CENTS": "100000000",
    "SWEEP_SECONDS": "1",
    "PROCESSES": "2",
}
FAULTS = [  # effect, probability; the last one is what happens otherwise: 150 ms on the way
    ("lost_before", 0.02),
    ("lost_after", 0.02),
    ("cut", 0.01),
    ("error_unsaved", 0.01),
    ("error_saved_done", 0.005),
    ("gateway", 0.01),
    ("limited", 0.01),
    ("locked", 0.02),
    ("key_in_use", 0.01),
    ("slow", 1.0),
]


def main() -> int:
    """Run once; 0 where every payment was credited once and nothing secret was logged."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--payments", type=int, default=500)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()
    with Stack.start(block_time=1, slots_in_an_epoch=5, gateways=2, settings=SETTINGS, rates=True) as stack:
        payers = Payers(stack, options.seed, CUSTOMERS)
        monkey = Monkey(stack, options.seed)
        set_faults(stack)
        claims = ThreadPoolExecutor(PAGES)
        with monkey:
            pay(stack, payers, monkey, claims, options.payments)
            claims.shutdown(cancel_futures=True)  # pages that were not opened by now are not needed: the sweep is there
        stack.control("DELETE", "faults")
        stack.control("POST", "settings", {"limits": False})  # for reading the books
        monkey.restart_all()
        balance = settled(stack)
        leaks = secrets_logged(stack, monkey)
    seconds = int(time.monotonic() - began)
    done = " ".join(f"{name}={number}" for name, number in sorted(monkey.counts.items()))
    print(
        f"payments={balance.payments} credits={balance.credits} twice={balance.twice} missing={balance.missing}"
        f" wrong={balance.wrong} orphaned={balance.orphaned} secrets={leaks} {done} seconds={seconds}"
        f" load={os.getloadavg()[0]:.1f}"
    )
    bad = balance.twice + balance.missing + balance.wrong + balance.orphaned + leaks
    return 1 if bad or balance.payments < options.payments * 9 // 10 else 0


def set_faults(stack: Stack) -> None:
    """Put Stripe's ways to fail in force for every request."""
    for effect, probability in FAULTS:
        arguments = {"before": 0.15} if effect == "slow" else {}
        fault = {"effect": effect, "with": arguments, "times": None, "probability": probability}
        stack.control("POST", "faults", fault)


def pay(stack: Stack, payers: Payers, monkey: Monkey, claims: ThreadPoolExecutor, number: int) -> None:
    """Send the payments, a block's worth at a time, claim some of them, and drop a block half way."""
    sent, reorganised = 0, False
    while sent < number:
        hashes, more = payers.some(min(AT_ONCE, number - sent))
        sent += more
        for tx_hash in hashes[::2]:
            claims.submit(claim, monkey, tx_hash)
        time.sleep(2.5)
        if sent > number // 2 and not reorganised:
            reorganised = True
            stack.chain.reorg(2)
            monkey.counts["reorganisations"] += 1
            time.sleep(2)
            payers.recount()


def claim(monkey: Monkey, tx_hash: str) -> None:
    """Claim as a page would: again and again for a while, at whichever service answers."""
    for _ in range(5):
        try:
            answer = httpx.post(f"{monkey.url()}/api/payments", json={"tx_hash": tx_hash}, trust_env=False, timeout=10)
            if answer.is_success and answer.json()["state"] == "credited":
                monkey.counts["claims_credited"] += 1
                return
        except httpx.HTTPError:
            monkey.counts["claims_lost"] += 1
        time.sleep(2)


def settled(stack: Stack) -> Balance:
    """The books, once nothing is missing, or nothing changed for so long that nothing will."""
    balance, changed = compare(stack), time.monotonic()
    while balance.missing and time.monotonic() - changed < SETTLE_SECONDS:
        time.sleep(5)
        before, balance = balance, compare(stack)
        if balance != before:
            changed = time.monotonic()
    return balance


def secrets_logged(stack: Stack, monkey: Monkey) -> int:
    """How many logs hold something secret."""
    secrets = (KEY, stack.settings["SIGNER_KEY"])
    logs = [service.log() for service in (*monkey.processes, *monkey.dead)]
    return sum(any(secret in log for secret in secrets) for log in logs)


if __name__ == "__main__":
    sys.exit(main())
