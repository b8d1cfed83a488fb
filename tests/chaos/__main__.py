"""`python -m tests.chaos [--seed N] [--payments N]`: exits 1 unless chain and Stripe agree at the end."""

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
BATCH_SIZE = 30  # payments per block
CONCURRENT_PAGES = 12  # that wait for their credit
SETTLE_SECONDS = 150
SETTINGS = {
    "CONFIRMATIONS": "10000:3s,100000:safe,finalized",
    "MAX_UNFINALIZED_CENTS": "100000000",
    "MAX_PAYMENT_CENTS": "100000000",
    "SWEEP_SECONDS": "1",
    "PROCESSES": "2",
}
FAULTS = [  # effect, probability; the last applies otherwise: 150 ms of latency
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
    """Run once; 0 if every payment was credited exactly once and no secret was logged."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--payments", type=int, default=500)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    started = time.monotonic()
    with Stack.start(block_time=1, slots_in_an_epoch=5, gateways=2, settings=SETTINGS, rates=True) as stack:
        payers = Payers(stack, options.seed, CUSTOMERS)
        monkey = Monkey(stack, options.seed)
        set_faults(stack)
        claims = ThreadPoolExecutor(CONCURRENT_PAGES)
        with monkey:
            pay(stack, payers, monkey, claims, options.payments)
            claims.shutdown(
                cancel_futures=True
            )  # pages not opened by now are not needed: the sweep credits their payments
        stack.control("DELETE", "faults")
        stack.control("POST", "settings", {"limits": False})  # for the comparison
        monkey.restart_all()
        balance = settled(stack)
        leaks = secrets_logged(stack, monkey)
    seconds = int(time.monotonic() - started)
    counts = " ".join(f"{name}={number}" for name, number in sorted(monkey.counts.items()))
    print(
        f"payments={balance.payments} credits={balance.credits} twice={balance.twice} missing={balance.missing}"
        f" wrong={balance.wrong} orphaned={balance.orphaned} secrets={leaks} {counts} seconds={seconds}"
        f" load={os.getloadavg()[0]:.1f}"
    )
    bad = balance.twice + balance.missing + balance.wrong + balance.orphaned + leaks
    return 1 if bad or balance.payments < options.payments * 9 // 10 else 0


def set_faults(stack: Stack) -> None:
    """Enable Stripe's faults for every request."""
    for effect, probability in FAULTS:
        arguments = {"before": 0.15} if effect == "slow" else {}
        fault = {"effect": effect, "with": arguments, "times": None, "probability": probability}
        stack.control("POST", "faults", fault)


def pay(stack: Stack, payers: Payers, monkey: Monkey, claims: ThreadPoolExecutor, number: int) -> None:
    """Send the payments in batches, claim some of them, and cause a reorg halfway."""
    sent, reorganized = 0, False
    while sent < number:
        hashes, count = payers.send_batch(min(BATCH_SIZE, number - sent))
        sent += count
        for tx_hash in hashes[::2]:
            claims.submit(claim, monkey, tx_hash)
        time.sleep(2.5)
        if sent > number // 2 and not reorganized:
            reorganized = True
            stack.chain.reorg(2)
            monkey.counts["reorganisations"] += 1
            time.sleep(2)
            payers.recount()


def claim(monkey: Monkey, tx_hash: str) -> None:
    """Claim repeatedly like a page, at a random service."""
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
    """Compare until nothing is missing, or nothing changed for SETTLE_SECONDS."""
    balance, changed = compare(stack), time.monotonic()
    while balance.missing and time.monotonic() - changed < SETTLE_SECONDS:
        time.sleep(5)
        previous, balance = balance, compare(stack)
        if balance != previous:
            changed = time.monotonic()
    return balance


def secrets_logged(stack: Stack, monkey: Monkey) -> int:
    """The number of logs that contain a secret."""
    secrets = (KEY, stack.settings["SIGNER_KEY"])
    logs = [service.log() for service in (*monkey.processes, *monkey.dead)]
    return sum(any(secret in log for secret in secrets) for log in logs)


if __name__ == "__main__":
    sys.exit(main())
