"""The audit: clean on what is right, and with the right verdict on what somebody planted."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.outsider import children
from tests.outsider.chain import ROOT
from tests.outsider.service import command_environment, run_command
from tests.outsider.stripe.account import Transaction
from tests.outsider.world import READ_KEY, Payer, World, require


def paid(world: World, cents: int) -> tuple[Payer, Transaction, str]:
    """Return a payer with one credited payment."""
    payer = world.create_payer()
    hash_ = world.pay_quoted(payer, cents)
    world.service.follow(hash_, "credited", seconds=60)
    return payer, world.require_credited_once(payer, hash_, cents), hash_


def audit(world: World, *options: str) -> tuple[int, dict[str, Any]]:
    """Run the audit with a key that can only read; returns exit code and report."""
    code, output = run_command(reading(world), "audit", "--format", "json", "--progress", "none", *options)
    start = output.find("{\n")
    require(start >= 0, f"the audit prints a report: {code} {output}")
    return code, json.JSONDecoder().raw_decode(output[start:])[0]


def reading(world: World) -> dict[str, str]:
    """Return the settings of an auditor."""
    return {**world.settings, "STRIPE_API_KEY": READ_KEY}


def make_final(world: World) -> None:
    """Wait until all that was paid is final."""
    world.chain.wait_until_final(int(world.chain.rpc("eth_blockNumber"), 16))


def recompute(world: World) -> tuple[int, str]:
    """Run the independent second program."""
    script = str(ROOT / "docs" / "audit" / "recompute.py")
    return children.run([sys.executable, script], command_environment(reading(world)), ROOT)


def scenario_clean_audit(world: World) -> str:
    """An audit of what is right ends with 0, is made again byte for byte, and equals the independent program."""
    paid(world, 1000)
    paid(world, 2000)
    payer, _, hash_ = paid(world, 3000)
    plain = world.chain.approve_and_pay(payer.key, payer.wallet, 4000)
    world.service.follow(plain, "credited", seconds=90)
    make_final(world)
    folder = children.directory_of_logs() / "clean"
    code, report = audit(world, "--deep", "--treasury", "--out", str(folder))
    require(code == 0 and report["summary"]["clean"], f"clean: {report['summary']}")
    totals = report["totals"]
    require(totals["credited_cents"] == totals["expected_cents"] == 11000, f"11000 cents: {totals}")
    verified, output = run_command(reading(world), "audit", "verify", str(folder))
    require(verified == 0 and "SAME" in output, f"verify ends with SAME: {verified} {output}")
    require_unchanged_sums(folder)
    code, output = recompute(world)
    require(code == 0 and '"credited_cents": 11000}' in output, f"the independent program says the same: {output}")
    code, output = run_command(reading(world), "explain", hash_)
    require(code == 0 and "matched" in output, f"explain: {code} {output}")
    code, output = run_command({}, "audit", "--self-test")
    require(code == 0, f"the self-test ends with 0: {code} {output}")
    return "CLEAN: 4 payments, 11000 cents, SAME when made again, recomputed alike"


def require_unchanged_sums(folder: Path) -> None:
    """Require that the folder's checksums fit. Raises: DoesNotHold."""
    environment = {"PATH": os.environ["PATH"]}
    code, output = children.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], environment, folder)
    require(code == 0, f"the checksums fit: {output}")


def scenario_planted_faults(world: World) -> str:
    """Stripped, forged, double, renamed and misplaced credits are found under their names: exit code 1."""
    account = world.account
    stripped, strip, _ = paid(world, 1010)
    forged, pattern, _ = paid(world, 1020)
    doubled, double, double_hash = paid(world, 1030)
    misplaced, copy, _ = paid(world, 1040)
    repeated, repeat, _ = paid(world, 1050)
    make_final(world)

    def plant() -> None:
        strip.metadata, strip.description = {}, None
        renamed = pattern.metadata | {"payment": forged_name(pattern.metadata["payment"])}
        account.add(forged.customer, -1021, "usd", metadata=renamed | {"sequence": "7"})
        named = repeat.metadata | {"payment": forged_name(repeat.metadata["payment"])}
        account.add(repeated.customer, -1050, "usd", metadata=named, description=repeat.description)
        account.add(doubled.customer, -1030, "usd", metadata=double.metadata, description=double.description)
        other = account.create_customer({"metadata": {"wallet_address": "0x" + "9" * 40}})
        account.add(other, copy.amount, "usd", metadata=copy.metadata, description=copy.description)

    world.at_stripe(plant)
    time.sleep(2)  # a report ends with the last whole second of Stripe's clock
    code, report = audit(world, "--deep")
    require(code == 1, f"exceptions end with 1, not {code}")
    verdicts = {(row["stripe_customer"], row["status"]) for row in report["rows"] if row["exception"]}
    expected = {
        "stripped": (stripped, {"unexplained_credit", "metadata_altered", "missing_credit"}),
        "forged": (forged, {"missing_payment"}),
        "double": (doubled, {"duplicate_credit"}),
        "repeated under another name": (repeated, {"duplicate_credit"}),
        "misplaced": (misplaced, {"duplicate_credit", "wrong_customer"}),
    }
    told = []
    for name, (payer, statuses) in expected.items():
        mine = {status for customer, status in verdicts if customer == payer.customer.id}
        require(mine & statuses, f"{name}: one of {statuses}, not {mine}; all are {verdicts}")
        told.append(f"{name}: {', '.join(sorted(mine))}")
    code, output = run_command(reading(world), "explain", double_hash)
    require(code == 1 and "duplicate_credit" in output.replace(" ", "_"), f"explain names it: {code} {output}")
    code, output = recompute(world)
    require(code == 1, f"the independent program ends with 1 too: {code} {output}")
    return "; ".join(told)


def forged_name(payment: str) -> str:
    """Return the name of a payment that never happened."""
    chain, gateway, hash_, ordinal = payment.split(":")
    return ":".join((chain, gateway, "0x" + hash_[:1:-1], ordinal))


def scenario_unreadable_stripe(world: World) -> str:
    """An audit that cannot read makes no claim: exit code 3; a wrong option is 2."""
    settings = {**world.settings, "STRIPE_API_KEY": "rk_test_nobodyKnowsThis"}
    unread, output = run_command(settings, "audit", "--progress", "none")
    require(unread == 3 and "CLEAN" not in output, f"an unreadable source is 3: {unread} {output}")
    usage, output = run_command(reading(world), "audit", "--from", "someday")
    require(usage == 2, f"a wrong option is 2: {usage} {output}")
    nothing, output = run_command(reading(world), "explain", "0x" + "7" * 64)
    require(nothing == 1, f"explaining what does not exist is 1: {nothing} {output}")
    return "unread 3, wrong option 2, nothing found 1"
