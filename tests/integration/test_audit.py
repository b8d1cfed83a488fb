"""The audit of a whole system finds exactly the planted faults, with the right status."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.localchain import encode_call
from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.shop import Customer, Shop, next_second

SETTINGS = {"CONFIRMATIONS": "10000:1s,100000:safe,finalized", "SWEEP": "off"}
HOUR = 3600
OLD = 3 * 3600  # the chain's age: its payments are past the grace period for crediting
TOKEN = 10**18
READ_ONLY = ["rak_customer_read", "rak_customer_balance_transaction_read"]
NEEDED = ("STRIPE_API_KEY", "STRIPE_API_BASE", "RPC_URLS", "GATEWAY_ADDRESSES")
Json = dict[str, Any]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Run a chain that lags the clock, so that every payment is old at once."""
    with Stack.start(gateways=2, settings=SETTINGS, timestamp=int(time.time()) - OLD) as running:
        yield running


@pytest.fixture(scope="module")
def service(stack: Stack) -> Service:
    """Start a service that does not sweep."""
    return stack.serve()


@pytest.fixture
def shop(stack: Stack) -> Shop:
    """Return the steps on the stack."""
    return Shop(stack)


def audit(stack: Stack, *arguments: str, code: int | None = None, **settings: str) -> Json:
    """Audit everything so far and return the report."""
    next_second()
    done = stack.run("audit", "--format", "json", "--progress", "none", *arguments, **settings)
    assert code is None or done.returncode == code, (done.returncode, done.stdout, done.stderr)
    report: Json = json.loads(done.stdout)
    return report


def findings(report: Json) -> Counter[str]:
    """Return the exceptions of a report by status."""
    return Counter(row["status"] for row in report["rows"] if row["exception"])


def only_row(report: Json, status: str) -> Json:
    """Return the only row with a status."""
    [row] = [row for row in report["rows"] if row["status"] == status]
    return dict(row)


def make_final(shop: Shop) -> None:
    """Make everything so far final and more than ten minutes old."""
    shop.stack.chain.advance(700)
    shop.stack.chain.mine(4, interval=1)


def catch_up(shop: Shop) -> None:
    """Advance the chain to the present, all final: a payment absent now will never appear."""
    behind = int(time.time()) - int(shop.stack.chain.block()["timestamp"], 16)
    shop.stack.chain.advance(behind)
    shop.stack.chain.mine(4, interval=1)


def write_entry(stack: Stack, customer: str, **entry: object) -> str:
    """Write an entry as another system or a person would; return its id."""
    made: Json = stack.control("POST", f"customers/{customer}/rows", entry)
    return str(made["first"])


def credit_of(stack: Stack, customer: str) -> Json:
    """Return the only credit of a customer."""
    [found_] = stack.credits(customer)
    return found_


def copy_entry(stack: Stack, entry: Json, customer: str, **changes: object) -> str:
    """Write a copy of an entry and return its id."""
    names = ("amount", "currency", "description", "metadata")
    return write_entry(stack, customer, **({name: entry[name] for name in names} | changes))


def reversal(entry_id: str, amount: int) -> Json:
    """Return the reversal of an entry."""
    metadata = {"kind": "reversal", "reverses": entry_id, "operator": "0xadmin", "reason": "double"}
    return {"amount": amount, "currency": "usd", "description": "Reversal", "metadata": metadata}


@pytest.fixture(scope="module")
def planted(stack: Stack, service: Service) -> dict[str, Customer]:
    """Set up a settled system with one customer per fault, and no fault yet."""
    shop = Shop(stack)
    names = ("missing", "double", "wrong", "other", "reversed", "gone", "altered", "hand", "grant", "euro", "cursor")
    customers = {name: shop.customer() for name in (*names, "plain", "dust", "fine")}
    for name, customer in customers.items():
        if name not in ("missing", "wrong"):
            shop.claimed(service, shop.pay(service, customer))
    shop.claimed(service, shop.pay_plainly(customers["plain"], 1_000 * TOKEN))
    shop.claimed(service, shop.pay_plainly(customers["dust"], TOKEN))
    make_final(shop)
    assert stack.run("sweep", "--once").returncode == 0
    return customers


def test_a_settled_system_is_clean_in_both_modes(stack: Stack, planted: dict[str, Customer]) -> None:
    for mode in ([], ["--deep"]):
        report = audit(stack, *mode, code=0)
        assert report["summary"]["clean"]
        assert report["coverage"]["complete"]
        assert report["summary"]["statuses"] == {"matched": 14}
        totals = report["totals"]
        assert totals["expected_cents"] == totals["credited_cents"] == 12 * 5000 + 600
        assert totals["paid_raw"] == totals["treasury_received_raw"]
        assert totals["sent_straight_raw"] == "0"


def test_the_audit_only_reads(stack: Stack, planted: dict[str, Customer]) -> None:
    stack.control("POST", "api_keys", {"secret": "rk_test_auditor", "permissions": READ_ONLY})
    stack.control("DELETE", "state")
    audit(stack, "--deep", code=0, STRIPE_API_KEY="rk_test_auditor", SIGNER_KEY="", SERVICE_CUSTOMER_ID="")
    state = stack.control("GET", "state")
    assert state["writes"] == 0
    assert set(state["counts"]) == {
        "GET /v1/customers",
        "GET /v1/customers/{customer}",  # a balance, to prove an absence
        "GET /v1/customers/{customer}/balance_transactions",
    }


def test_the_same_block_and_time_give_the_same_bytes(
    stack: Stack, planted: dict[str, Customer], tmp_path: Path
) -> None:
    first = stack.run("audit", "--format", "json", "--out", str(tmp_path / "one"))
    at = json.loads(first.stdout)["inputs"]["at"]
    stack.chain.mine(5)
    write_entry(stack, planted["fine"].id, amount=700, description="Usage")
    for form in ("json", "csv", "jsonl", "table"):
        again = [stack.run("audit", "--format", form, "--at", at).stdout for _ in range(2)]
        assert again[0] == again[1]
        if form == "json":
            assert again[0] == first.stdout
    sums = (tmp_path / "one" / "SHA256SUMS").read_text()
    assert {line.split()[1] for line in sums.splitlines()} >= {"report.json", "report.csv", "dollars.svg"}
    verified = stack.run("audit", "verify", str(tmp_path / "one"))
    assert (verified.returncode, verified.stdout.split(":")[0]) == (0, "SAME")


def test_the_independent_script_computes_the_same_totals(stack: Stack, planted: dict[str, Customer]) -> None:
    script = Path("docs/audit/recompute.py")
    assert len(script.read_text().splitlines()) <= 80
    assert "stateless_billing" not in script.read_text().replace("stateless-billing", "")
    environment = {name: stack.settings[name] for name in NEEDED}
    done = processes.run([sys.executable, "-I", script], env=environment)
    assert done.returncode == 0, done.stderr
    totals = audit(stack, "--deep", code=0)["totals"]
    recomputed: Json = json.loads(done.stdout)
    assert recomputed == {name: totals[name] for name in recomputed}
    assert len(recomputed) == 4


def test_explain_prints_the_history_of_each_payment(stack: Stack, planted: dict[str, Customer]) -> None:
    credit = credit_of(stack, planted["fine"].id)
    tx_hash = credit["metadata"]["payment"].split(":")[2]
    for what in (tx_hash, credit["id"], planted["fine"].wallet):
        done = stack.run("explain", what, "--progress", "none")
        assert done.returncode == 0, done.stderr
        for part in (tx_hash, credit["id"], "promised $50.00", "Verdict: matched"):
            assert part in done.stdout
    assert stack.run("explain", "0x" + "00" * 32).returncode == 1
    assert stack.run("explain", "nonsense").returncode == 2


def test_verify_lists_the_changes(stack: Stack, planted: dict[str, Customer], tmp_path: Path) -> None:
    folder = tmp_path / "one"
    assert stack.run("audit", "--out", str(folder)).returncode == 0
    credit = credit_of(stack, planted["fine"].id)
    stack.control("POST", f"rows/{credit['id']}", {"metadata": credit["metadata"] | {"block": "7"}})
    (folder / "report.csv").write_text("altered")
    done = stack.run("audit", "verify", str(folder))
    assert done.returncode == 1
    assert "report.csv: not the file" in done.stdout
    assert "status was 'matched', is 'metadata_altered'" in done.stdout
    stack.control("POST", f"rows/{credit['id']}", {"metadata": credit["metadata"]})


def test_every_planted_fault_is_found_and_nothing_else(
    stack: Stack, service: Service, planted: dict[str, Customer]
) -> None:
    shop, expected = Shop(stack), Counter[str]()

    shop.pay(service, planted["missing"])
    make_final(shop)
    report = audit(stack, code=1)
    expected["missing_credit"] += 1
    assert findings(report) == expected
    assert only_row(report, "missing_credit")["wallet"] == planted["missing"].wallet

    double = credit_of(stack, planted["double"].id)
    copy_entry(stack, double, planted["double"].id)
    expected["duplicate_credit"] += 1
    assert findings(audit(stack, code=1)) == expected

    tx_hash = shop.pay(service, planted["wrong"])
    make_final(shop)
    claimed = stack.http.get(f"{service.url}/api/payments/{tx_hash}").json()["payments"][0]
    copy_entry(
        stack,
        credit_of(stack, planted["other"].id),
        planted["other"].id,
        metadata=credit_of(stack, planted["other"].id)["metadata"]
        | {"payment": claimed["payment"], "block": str(claimed["block"]), "wallet": planted["wrong"].wallet},
        description=f"LITKEY payment {tx_hash}",
    )
    expected["wrong_customer"] += 1
    report = audit(stack, code=1)
    assert findings(report) == expected
    assert only_row(report, "wrong_customer")["stripe_customer"] == planted["other"].id

    surplus = copy_entry(stack, credit_of(stack, planted["reversed"].id), planted["reversed"].id)
    write_entry(stack, planted["reversed"].id, **reversal(surplus, 5000))
    assert findings(audit(stack, code=1)) == expected  # one reversal of a duplicate settles it
    write_entry(stack, planted["reversed"].id, **reversal(surplus, 5000))
    expected["reversed"] += 1
    report = audit(stack, code=1)
    assert findings(report) == expected
    assert only_row(report, "reversed")["delta_cents"] == -5000

    gone = shop.customer()
    tx_hash = shop.pay(service, gone, deep=False)
    shop.deepen()
    shop.claimed(service, tx_hash)
    stack.chain.reorg(2)
    make_final(shop)
    expected["missing_payment"] += 1
    assert "missing_payment" not in findings(audit(stack, code=1))  # it never paid: only --deep reads it
    report = audit(stack, "--deep", code=1)
    assert findings(report) == expected
    assert only_row(report, "missing_payment")["tx_hash"] == tx_hash

    altered = credit_of(stack, planted["altered"].id)
    stack.control("POST", f"rows/{altered['id']}", {"metadata": altered["metadata"] | {"amount": "1"}})
    expected["metadata_altered"] += 1
    write_entry(stack, planted["hand"].id, amount=-1234, description="a gift")
    expected["unexplained_credit"] += 1
    grant = {"kind": "grant", "grant": "g1", "operator": "support@example.org", "reason": "goodwill"}
    write_entry(stack, planted["grant"].id, amount=-999_900, metadata=grant)
    expected["grant_over_cap"] += 1
    euro = credit_of(stack, planted["euro"].id)
    write_entry(stack, planted["euro"].id, **reversal(euro["id"], 5000))
    copy_entry(stack, euro, planted["euro"].id, currency="eur")
    expected["wrong_currency"] += 1
    key = f"gateway:{stack.chain.chain_id}:{stack.gateways[0][2:10].lower()}"
    customer = stack.control("GET", f"customers/{planted['cursor'].id}")
    stack.control(
        "POST", f"customers/{planted['cursor'].id}", {"metadata": customer["metadata"] | {key: f"7:0x{'ab' * 32}"}}
    )
    expected["cursor_ahead"] += 1
    owner = encode_call("correctCustomer(address,bytes32)", planted["fine"].wallet, planted["other"].id.encode())
    stack.chain.send(stack.chain.accounts[0], stack.gateways[0], owner)
    expected["identity_drift"] += 1
    report = audit(stack, "--deep", code=1)
    assert findings(report) == expected, [entry for entry in report["rows"] if entry["exception"]]
    assert len(expected) == 11
    for entry in report["rows"]:
        assert entry["fingerprint"]
        assert entry["rule"]
        assert entry["reason"]
        assert entry["next_action"]


def test_a_repair_is_printed_first_and_applied_only_by_an_admin(
    stack: Stack, service: Service, planted: dict[str, Customer]
) -> None:
    before = findings(audit(stack, "--deep"))
    two_nodes = f"{stack.chain.url},{stack.chain.url.replace('127.0.0.1', 'localhost')}"
    admin = {"OPERATORS": "root@example.org=admin,mo@example.org=moderator", "SESSION_SECRETS": "s" * 32}
    admin["RPC_URLS"] = two_nodes
    stack.control("DELETE", "state")
    dry_run = stack.run("audit", "--deep", "repair", **admin)
    assert dry_run.returncode == 1
    assert dry_run.stdout.count("take back ") == 4
    assert dry_run.stdout.count("credit $50.00 to ") == 1
    assert stack.control("GET", "state")["writes"] == 0
    for name in ("mo@example.org", "nobody@example.org"):
        assert stack.run("audit", "repair", "--apply", "--operator", name, **admin).returncode == 2
    assert stack.control("GET", "state")["writes"] == 0
    apply = ("audit", "--deep", "repair", "--apply", "--operator", "root@example.org")
    young = stack.run(*apply, **admin)
    assert young.stdout.count("younger than an hour") == 2, young.stdout  # the double credit and the double reversal
    for name in ("double", "reversed"):
        stack.control("POST", f"customers/{planted[name].id}/age", {"seconds": 2 * HOUR})
    next_second()
    done = stack.run(*apply, **admin)
    assert done.returncode == 1, done.stdout
    assert done.stdout.count("taken back by ") == 2
    assert done.stdout.count("credit $50.00 to ") == 1  # the credit on another customer is missing now
    assert done.stdout.count("may yet become final") == 1  # the chain's clock lags the orphaned credit
    catch_up(Shop(stack))
    next_second()
    again = stack.run(*apply, **admin)
    assert again.returncode == 0, again.stdout
    assert again.stdout.count("taken back by ") == 1
    mended = ("missing_credit", "duplicate_credit", "wrong_customer", "reversed", "missing_payment")
    report = audit(stack, "--deep", code=1)
    assert findings(report) == Counter({name: count for name, count in before.items() if name not in mended})
    settled = [entry for entry in report["rows"] if entry["status"] == "reversed"]
    assert {entry["exception"] for entry in settled} == {False}
    assert len(settled) == 2  # the orphaned credit and the one on the wrong customer, both reversed
    assert stack.balance(planted["missing"].id) == 5000
    assert stack.balance(planted["wrong"].id) == 5000
    assert stack.balance(planted["double"].id) == 5000
    assert stack.balance(planted["reversed"].id) == 5000


def test_a_repair_skips_what_it_cannot_decide(stack: Stack, planted: dict[str, Customer]) -> None:
    other, credit = Shop(stack).customer(), credit_of(stack, planted["fine"].id)
    elsewhere = credit["metadata"]["payment"].replace(stack.gateways[0].lower(), "0x" + "ab" * 20)
    for payment in (elsewhere, "nonsense"):
        copy_entry(stack, credit, other.id, metadata=credit["metadata"] | {"payment": payment})
    next_second()
    done = stack.run("audit", "--deep", "repair", "--apply", "--operator", "admin@example.org")
    assert done.returncode == 1, done.stdout
    assert "not done: it names gateway 0xabab" in done.stdout
    assert "not done: it names no payment at all" in done.stdout
    assert stack.balance(other.id) == 10_000


def test_an_accepted_finding_is_no_exception(stack: Stack, planted: dict[str, Customer], tmp_path: Path) -> None:
    report = audit(stack, "--deep")
    lines = [
        json.dumps({"fingerprint": entry["fingerprint"], "note": "ticket 7"})
        for entry in report["rows"]
        if entry["exception"]
    ]
    (tmp_path / "accepted.jsonl").write_text("\n".join(lines))
    accepted = audit(stack, "--deep", "--accepted", str(tmp_path / "accepted.jsonl"), code=0)
    assert accepted["summary"]["statuses"]["accepted"] == len(lines)
    (tmp_path / "bad.jsonl").write_text('{"fingerprint": "x"}')
    assert stack.run("audit", "--accepted", str(tmp_path / "bad.jsonl")).returncode == 2


def test_an_incomplete_listing_is_never_clean(stack: Stack, planted: dict[str, Customer]) -> None:
    template = "/v1/customers/{customer}/balance_transactions"
    broken = {"effect": "error_unsaved", "method": "GET", "times": 12, "path": template}
    broken["path"] = f"/v1/customers/{planted['fine'].id}/balance_transactions"
    stack.control("POST", "faults", broken)
    report = audit(stack, code=3)
    stack.control("DELETE", "faults")
    assert not report["coverage"]["complete"]
    assert not report["summary"]["clean"]
    assert planted["fine"].id in report["coverage"]["missing"][0]


def test_one_customer_and_a_range(stack: Stack, planted: dict[str, Customer]) -> None:
    report = audit(stack, "--customer", planted["plain"].id, code=0)
    assert report["summary"]["statuses"] == {"matched": 2}
    assert {entry["stripe_customer"] for entry in report["rows"]} == {planted["plain"].id}
    blocks = sorted(entry["block_number"] for entry in report["rows"])
    part = audit(stack, "--from", str(blocks[1]), "--to", str(blocks[1]))
    assert [entry["block_number"] for entry in part["rows"] if entry["kind"] == "payment"] == [blocks[1]]


def test_the_self_test_finds_one_of_each(stack: Stack) -> None:
    done = stack.run("audit", "--self-test", "--progress", "none")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("found ") == 15


def test_an_interrupted_audit_is_not_clean(stack: Stack, planted: dict[str, Customer]) -> None:
    slow = {"effect": "slow", "with": {"before": 20.0}, "method": "GET", "times": 50, "path": "/v1/customers"}
    stack.control("POST", "faults", slow)
    environment = {name: stack.settings[name] for name in (*NEEDED, "CHAIN_ID")}
    command = [sys.executable, "-m", "stateless_billing", "audit", "--format", "json", "--at", f"1:{int(time.time())}"]
    begun = processes.start(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert begun.stderr
    begun.stderr.readline()  # it has started to read
    begun.send_signal(signal.SIGINT)
    out, errors = begun.communicate(timeout=60)
    stack.control("DELETE", "faults")
    assert (begun.returncode, out) == (3, "")
    assert "interrupted: the audit is incomplete" in errors


@pytest.mark.parametrize("arguments", [["--from", "yesterday"], ["--at", "7"], ["verify", "nowhere"]])
def test_usage(stack: Stack, arguments: list[str]) -> None:
    done = stack.run("audit", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "stateless_billing:" in done.stderr
