"""Follows docs/migrating.md: a live service of another form is replaced while payers pay; nothing is credited twice."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from stateless_billing.sandbox.localchain import ROOT, encode_call
from stateless_billing.sandbox.stack import KEY, Service, Stack
from stateless_billing.sandbox.stripe_api import API_VERSION
from stateless_billing.settings import load
from tests.integration.shop import Customer, Shop, next_second

SETTINGS = {"CONFIRMATIONS": "10000:1s,100000:safe,finalized", "SWEEP": "off"}
AGE = 3 * 3600  # the chain lags the clock: every payment of ours is looked up before it is credited
TOKEN = 10**18
PAGE = (ROOT / "docs" / "migrating.md").read_text()
CLEAN, FINDINGS, USAGE, UNREAD = 0, 1, 2, 3


@dataclass(frozen=True)
class OldService:
    """The service that is replaced: its own gateway, which pays the same treasury, and its own form in Stripe."""

    stack: Stack
    gateway: str

    @classmethod
    def deploy(cls, stack: Stack) -> "OldService":
        """Deploy its gateway."""
        return cls(stack, stack.chain.deploy("PeerGateway", ["address", "address"], [stack.token, stack.treasury]))

    def pay(self, customer: Customer, amount: int) -> str:
        """Pay through its gateway, as its page does, and return the hash."""
        Shop(self.stack).approve(self.gateway, amount)
        pay = encode_call("pay(uint256,address)", amount, customer.wallet)
        return str(self.stack.chain.send(self.stack.payer, self.gateway, pay)["transactionHash"])

    def credit(self, customer: Customer, tx_hash: str, cents: int) -> str:
        """Credit a payment, as its claim and its repair job do, and return the balance transaction."""
        description = f"LITKEY payment tx={tx_hash} wallet={customer.wallet} payer={self.stack.payer.lower()}"
        return self.write(customer, cents, description, f"litkey:{self.stack.chain.chain_id}:{tx_hash}:1")

    def write(self, customer: Customer, cents: int, description: str, key: str) -> str:
        """Write an entry without metadata."""
        answer = self.stack.http.post(
            f"{self.stack.sandbox}/v1/customers/{customer.id}/balance_transactions",
            data={"amount": str(-cents), "currency": "usd", "description": description},
            headers={"authorization": f"Bearer {KEY}", "idempotency-key": key, "stripe-version": API_VERSION},
        )
        assert answer.is_success, answer.text
        return str(answer.json()["id"])


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Run a chain that lags the clock, our gateway, and the stand-ins."""
    with Stack.start(settings=SETTINGS, timestamp=int(time.time()) - AGE) as running:
        yield running


@pytest.fixture(scope="module")
def old(stack: Stack) -> OldService:
    """Deploy what is to be replaced."""
    return OldService.deploy(stack)


@pytest.fixture(scope="module")
def service(stack: Stack) -> Service:
    """Start ours, beside the old one."""
    return stack.serve()


@pytest.fixture
def shop(stack: Stack) -> Shop:
    """Return the steps on the stack."""
    return Shop(stack)


def texts() -> dict[str, str]:
    """Return the texts of the old service's credits, with the pattern of each, from the document."""
    rows = re.findall(r"^\| `([^`]+)` \| `(\^[^`]+)` \|", PAGE, re.MULTILINE)
    return {text.replace("\\|", "|"): pattern.replace("\\|", "|") for text, pattern in rows}


def audit(shop: Shop, code: int, *arguments: str, **settings: str) -> dict[str, Any]:
    """Audit everything so far, all of it final and old enough, and return the report."""
    shop.stack.chain.advance(700)
    shop.finalize()
    next_second()
    done = shop.stack.run("audit", "--format", "json", "--progress", "none", *arguments, **settings)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def statuses(report: dict[str, Any]) -> Counter[str]:
    """Return the rows of a report by status."""
    return Counter(row["status"] for row in report["rows"])


def test_the_document_knows_the_texts_of_the_old_service() -> None:
    assert len(texts()) >= 5
    default = load(frozenset(), {}).other_credits
    for text, pattern in texts().items():
        written = text.replace("…", "0xabc")
        assert re.search(pattern, written), text
        assert default.search(written), "the default knows it"


def test_the_old_gateway_is_not_taken_for_ours(old: OldService) -> None:
    done = old.stack.run("sweep", "--once", GATEWAY_ADDRESSES=f"{old.stack.gateways[0]},{old.gateway}")
    assert done.returncode in (USAGE, UNREAD)
    assert "GATEWAY_ADDRESSES" in done.stderr


def test_the_check_before_names_duplicates(shop: Shop, old: OldService) -> None:
    first = shop.customer()
    twin = shop.stack.add_customer("twin@example.org", first.wallet)
    done = shop.stack.run("register")
    assert done.returncode == FINDINGS
    assert f"finding wallet_of_several_customers: {', '.join(sorted((first.id, twin)))}" in done.stderr
    shop.stack.control("POST", f"customers/{twin}", {"metadata": {"wallet_address": ""}})
    assert shop.stack.run("register").returncode == CLEAN


def test_a_migration_credits_nothing_twice(shop: Shop, old: OldService, service: Service) -> None:
    stack = shop.stack
    both, grantee, late = (shop.customer() for _ in range(3))

    # What the old service left: credits, a grant, a top-up, and what its customers used.
    history = old.pay(both, 100 * TOKEN)
    old.credit(both, history, 60)
    for number, text in enumerate(texts()):
        old.write(grantee, 700 + number, text.replace("…", "0xabc"), f"text-{number}")
    old.write(both, -1, "API call", "use-1")

    # Its payments are not ours to credit, whoever claims them.
    assert shop.claim(service, history)["state"] == "unrelated"
    assert shop.claim(service, history)["cause"] == "treasury_transfer"

    # Both run. One customer pays both, the same cents; the old credit comes between our payment and our credit.
    shop.register(service, both)
    ours = shop.pay(service, both, 6000)
    old_payment = old.pay(both, 10_000 * TOKEN)
    old_credit = old.credit(both, old_payment, 6000)
    shop.finalize()
    claimed = shop.claimed(service, ours)["payments"][0]
    assert claimed["cents"] == 6000
    assert claimed["credit"] != old_credit
    assert old.credit(both, old_payment, 6000) == old_credit, "its repair job repeats its own key"

    # A plain payment at our gateway, and the old service's payment in the hours before its end.
    plain = shop.pay_plainly(both, 10_000 * TOKEN)
    shop.claimed(service, plain)
    last_old = old.pay(late, 10_000 * TOKEN)
    shop.finalize()

    # The old service is gone. Its gateway cannot be paused: nobody credits what is paid there.
    assert shop.claim(service, last_old)["state"] == "unrelated"
    first_of_late = shop.pay(service, late)
    shop.claimed(service, first_of_late)
    swept = stack.run("sweep", "--once")
    assert swept.returncode == CLEAN, swept.stderr

    report = audit(shop, CLEAN)
    assert statuses(report) == {"matched": 4}
    assert [-row["amount"] for row in stack.credits(both.id)] == [6000, 6000, 5000]
    assert [-row["amount"] for row in stack.credits(late.id)] == [5000]
    assert not stack.credits(grantee.id)
    assert stack.balance(both.id) == 60 - 1 + 6000 + 5000 + 6000 + 6000
    assert stack.balance(late.id) == 5000

    # Every token of the treasury came through one of the two gateways; every credit is a payment's or has a known text.
    report = audit(shop, CLEAN, "--deep", "--treasury", KNOWN_SOURCES=f"{old.gateway}=old gateway")
    assert statuses(report) == {"matched": 4}
    assert report["totals"]["treasury"]["known"] == {"old gateway": {"transfers": 3, "raw": str(20_100 * TOKEN)}}
    sums = {name: row["cents"] for name, row in report["totals"]["other_credits"].items() if row["cents"]}
    assert sums["old_litkey"] == 60 + 6000 + 700, "and the sample text"
    assert {"topup", "enterprise", "old_grants"} < set(sums)


def test_unknown_texts_hold_a_payment_and_are_exceptions(shop: Shop, old: OldService, service: Service) -> None:
    ignorant = {"OTHER_CREDITS": "none=^none$"}
    beside = shop.stack.serve(**ignorant)
    customer = shop.customer()
    shop.register(service, customer)
    ours = shop.pay(service, customer, 7000)
    old_payment = old.pay(customer, 10_000 * TOKEN)
    old.credit(customer, old_payment, 7000)
    shop.finalize()
    held = shop.claimed(beside, ours, state="held")
    assert held["payments"][0]["cause"] == "ledger_altered"
    assert not [row for row in shop.stack.credits(customer.id) if row["amount"] == -7000]
    shop.claimed(service, ours)
    beside.stop()
    assert statuses(audit(shop, FINDINGS, **ignorant))["unexplained_credit"]
    audit(shop, CLEAN)


def test_going_back_leaves_our_payments_to_our_sweep(shop: Shop, old: OldService, service: Service) -> None:
    stack = shop.stack
    customer = shop.customer()
    shop.register(service, customer)
    quote = shop.quote(service, customer)
    stack.stop_services()
    crossed = shop.send(quote)
    old_payment = old.pay(customer, 10_000 * TOKEN)
    old.credit(customer, old_payment, 5000)
    shop.finalize()
    assert len(stack.credits(customer.id)) == 1
    assert stack.run("sweep", "--once").returncode == CLEAN
    credited = [row["metadata"]["payment"].split(":")[2] for row in stack.credits(customer.id)]
    assert credited[0] == crossed
    assert len(credited) == 2
    assert stack.run("sweep", "--once").returncode == CLEAN
    assert len(stack.credits(customer.id)) == 2
    audit(shop, CLEAN)
