"""What each mode of the audit claims beside a planted fault: verdict, exit code and the independent script."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.signatures import keccak_of_text
from stateless_billing.sandbox import processes
from stateless_billing.sandbox.localchain import encode_call
from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.shop import Customer, Shop, next_second
from tests.integration.test_audit import (
    NEEDED,
    OLD,
    SETTINGS,
    TOKEN,
    Json,
    copy_entry,
    credit_of,
    make_final,
    only_row,
    reversal,
    write_entry,
)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Run a chain that lags the clock, so that every payment is old at once."""
    with Stack.start(settings=SETTINGS, timestamp=int(time.time()) - OLD) as running:
        yield running


@pytest.fixture(scope="module")
def service(stack: Stack) -> Service:
    """Start a service that does not sweep."""
    return stack.serve()


@pytest.fixture(scope="module")
def payer(stack: Stack, service: Service) -> Customer:
    """Set up a customer whose only payment is final and credited."""
    shop = Shop(stack)
    customer = shop.customer()
    shop.claimed(service, shop.pay(service, customer))
    make_final(shop)
    return customer


def run(stack: Stack, *arguments: str, **settings: str) -> tuple[int, str, Json]:
    """Run `audit`; return its exit code, the first line of the table, and the report."""
    next_second()
    with tempfile.TemporaryDirectory() as folder:
        done = stack.run("audit", "--progress", "none", "--out", folder, *arguments, **settings)
        report = json.loads(Path(folder, "report.json").read_text())
    return done.returncode, done.stdout.partition("\n")[0], report


def recompute(stack: Stack) -> "subprocess.CompletedProcess[str]":
    """Run the independent script."""
    environment = {name: stack.settings[name] for name in NEEDED}
    return processes.run([sys.executable, "-I", Path("docs/audit/recompute.py")], env=environment)


NEVER_PAID = "ledgers of customers that never paid were not read"
STRAIGHT = "transfers to the treasury in blocks without a payment were not read"


def test_a_forged_credit_on_a_customer_that_never_paid(stack: Stack, payer: Customer) -> None:
    """The cheap audit says where it did not look; the deep one and the independent script find the credit."""
    credit, victim = credit_of(stack, payer.id), Shop(stack).customer()
    chain_and_gateway = credit["metadata"]["payment"].split(":")[:2]
    metadata = credit["metadata"] | {"payment": ":".join([*chain_and_gateway, "0x" + "fe" * 32, "0"])}
    forged = copy_entry(stack, credit, victim.id, amount=-99_900, metadata=metadata)
    code, verdict, report = run(stack)
    assert code == 0
    assert verdict.startswith(f"CLEAN OF WHAT WAS READ: {NEVER_PAID}; ")
    assert report["coverage"]["scope"]["ledgers"] == "payers"
    assert report["coverage"]["scope"]["not_read"][0] == NEVER_PAID
    code, verdict, report = run(stack, "--deep", "--treasury")
    assert (code, verdict) == (1, "1 EXCEPTION")
    assert only_row(report, "missing_payment")["stripe_txn"] == forged
    script = recompute(stack)
    assert script.returncode == 1
    assert f"{metadata['payment']}', 99900" in script.stderr
    assert "NOT SEEN: forged grants" in script.stderr
    assert json.loads(script.stdout)["credited_cents"] == report["totals"]["credited_cents"]
    write_entry(stack, victim.id, **reversal(forged, 99_900))


def test_tokens_sent_straight_to_the_treasury(stack: Stack, payer: Customer) -> None:
    """Without `--treasury` the verdict says that nobody looked. With it they are a warning, or a known contract's."""
    sender = stack.chain.accounts[0]
    stack.chain.mint(stack.token, sender, 777 * TOKEN)
    data = encode_call("transfer(address,uint256)", stack.treasury, 777 * TOKEN)
    stack.chain.send(sender, stack.token, data)
    make_final(Shop(stack))
    code, verdict, _ = run(stack, "--deep")
    assert (code, verdict) == (0, f"CLEAN OF WHAT WAS READ: {STRAIGHT}")
    code, verdict, report = run(stack, "--deep", "--treasury")
    assert code == 0
    assert verdict.endswith("no exception, everything was read")
    row = only_row(report, "stray_transfer")
    assert (row["amount_raw"], row["payer"], row["row_id"][:4]) == (str(777 * TOKEN), sender.lower(), "R18-")
    [statement] = report["totals"]["treasury"]["accounts"].values()
    held = stack.chain.balance(stack.token, stack.treasury)
    assert int(statement["closing_raw"]) == held
    assert int(statement["received_raw"]) == held + int(statement["sent_raw"])
    code, verdict, report = run(stack, "--treasury", KNOWN_SOURCES=f"{stack.token}=The token itself")
    assert code == 0
    assert verdict.startswith(f"CLEAN OF WHAT WAS READ: {NEVER_PAID}; ")
    assert STRAIGHT not in verdict
    assert report["totals"]["treasury"]["known"] == {"The token itself": {"transfers": 1, "raw": str(777 * TOKEN)}}
    assert "stray_transfer" not in report["summary"]["statuses"]
    script = recompute(stack)
    assert script.returncode == 0
    assert "stray transfers" in script.stderr
    refused = stack.run("audit", "--treasury", "--customer", payer.id)
    assert (refused.returncode, refused.stdout) == (2, "")


def test_a_failure_older_than_its_time_is_no_held_payment(stack: Stack, service: Service, payer: Customer) -> None:
    """A recorded failure of ours excuses nothing; a cause of `held` does."""
    shop = Shop(stack)
    customer = shop.customer()
    tx_hash = shop.pay(service, customer)
    make_final(shop)
    key = f"open:{stack.chain.chain_id}:{stack.gateways[0][2:10].lower()}:{keccak_of_text(customer.id).hex()[:8]}"
    record = stack.settings["SERVICE_CUSTOMER_ID"]
    metadata = stack.control("GET", f"customers/{record}")["metadata"]
    modes: dict[str, list[list[str]]] = {"stripe_unclear": [[], ["--deep"], ["--customer", customer.id]], "paid": [[]]}
    for cause in modes:
        stack.control("POST", f"customers/{record}", {"metadata": metadata | {key: f"{customer.id}:0:{cause}"}})
        for mode in modes[cause]:
            code, verdict, report = run(stack, *mode)
            assert (code, verdict) == (1, "1 EXCEPTION"), (cause, mode)
            assert (
                f"the sweep recorded '{cause}', which holds no payment" in only_row(report, "missing_credit")["reason"]
            )
    done = stack.run("explain", tx_hash, "--progress", "none")
    assert done.returncode == 1
    assert "Verdict: missing_credit." in done.stdout
    stack.control("POST", f"customers/{record}", {"metadata": metadata | {key: f"{customer.id}:0:over_limit"}})
    code, _, report = run(stack)
    assert code == 0
    assert only_row(report, "held")["reason"] == "held: over_limit"
    script = recompute(stack)
    assert script.returncode == 1  # it knows no causes: whatever is not credited counts
    assert f"{tx_hash}:0', 0" in script.stderr
    stack.control("POST", f"customers/{record}", {"metadata": metadata})
    shop.claimed(service, tx_hash)


def test_one_customers_report_beside_others_reservations(stack: Stack, service: Service, payer: Customer) -> None:
    """Reservations of others are not in it; its own without a grant is an exception once its time is over."""
    shop = Shop(stack)
    service_record = stack.control("GET", f"customers/{stack.settings['SERVICE_CUSTOMER_ID']}")
    grants_record = service_record["metadata"]["grants"]
    caps = f"{10**9}:{10**9}:{10**9}"
    reserved = {}
    for customer in (shop.customer(), shop.customer(), payer):
        metadata = {"kind": "reservation", "grant": f"form-{customer.id}", "operator": "mo@example.org"}
        metadata |= {"reason": "goodwill", "customer": customer.id, "caps": caps}
        reserved[customer.id] = write_entry(stack, grants_record, amount=-500, metadata=metadata)
    code, verdict, report = run(stack, "--customer", payer.id)
    assert code == 0
    assert verdict.startswith("CLEAN OF WHAT WAS READ: other customers were not read; ")
    assert only_row(report, "pending")["stripe_txn"] == reserved[payer.id]
    assert not {row["stripe_txn"] for row in report["rows"]} & {reserved[name] for name in reserved if name != payer.id}
    stack.control("POST", f"customers/{grants_record}/age", {"seconds": 24 * 3600})
    code, verdict, report = run(stack, "--customer", payer.id)
    assert (code, verdict) == (1, "1 EXCEPTION")
    assert only_row(report, "grant_over_cap")["stripe_txn"] == reserved[payer.id]
    assert run(stack, "--deep")[:2] == (1, "3 EXCEPTIONS")
    script = recompute(stack)
    assert script.returncode == 0
    assert "NOT SEEN: forged grants" in script.stderr
    for entry in reserved.values():
        write_entry(stack, grants_record, **reversal(entry, 500))
    assert run(stack)[0] == 0
