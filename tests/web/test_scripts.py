"""The pay page's scripts agree with the compiled contracts."""

import json
import re

from eth_utils.crypto import keccak

from stateless_billing.crediting.payment_status import (
    CONFIRMING_CAUSES,
    HELD_CAUSES,
    PENDING_CAUSES,
    STATES,
    UNRELATED_CAUSES,
)
from stateless_billing.support.uncredited_payments import ACTIONS
from stateless_billing.web.pages.assets import STATIC
from stateless_billing.web.pages.pages import TEMPLATES
from tests.test_architecture import ROOT


def selectors(kind: str) -> dict[str, str]:
    """Return the selectors of the gateway's and the token's functions or errors by name."""
    by_name = {}
    for name in ("PaymentGateway", "TestToken"):
        compiled = json.loads((ROOT / "contracts" / "out" / f"{name}.sol" / f"{name}.json").read_text())
        for item in compiled["abi"]:
            if item["type"] == kind:
                types = ",".join(argument["type"] for argument in item["inputs"])
                by_name[item["name"]] = "0x" + keccak(text=f"{item['name']}({types})")[:4].hex()
    return by_name


def test_refusals_have_the_contracts_selectors_and_a_sentence_each() -> None:
    named = re.findall(r'\["(0x[0-9a-f]{8})", "(\w+)"\]', (STATIC / "pay" / "simulate_call.js").read_text())
    errors = selectors("error")
    assert len(named) == 10
    assert all(errors[name] == selector for selector, name in named)
    sentences = (STATIC / "pay" / "strings.js").read_text()
    assert all(re.search(rf"^  {name}: {{$", sentences, re.MULTILINE) for _, name in named)


def test_calls_have_the_contracts_selectors() -> None:
    functions = selectors("function")
    script = "".join((STATIC / "pay" / name).read_text() for name in ("permit.js", "wallets.js"))
    named = {"NONCES": "nonces", "MULTICALL": "multicall", "PERMIT_CALL": "permit"}
    named |= {"ALLOWANCE_OF": "allowance", "BALANCE_OF": "balanceOf", "LATEST_ANSWER": "latestAnswer"}
    constants = dict(re.findall(r'const (\w+) = "(0x[0-9a-f]{8})";', script))
    gateway = json.loads((ROOT / "chain" / "abi" / "PaymentGateway.json").read_text())
    [permit] = [item for item in gateway if item.get("name") == "permit"]
    types = ",".join(given["type"] for given in permit["inputs"])
    functions["latestAnswer"] = "0x" + keccak(text="latestAnswer()")[:4].hex()  # of a Chainlink feed
    functions["permit"] = "0x" + keccak(text=f"permit({types})")[:4].hex()
    assert constants == {constant: functions[name] for constant, name in named.items()}


def test_every_cause_of_held_has_a_sentence_wherever_it_is_told() -> None:
    pay = (STATIC / "pay" / "strings.js").read_text().partition("export const heldCauses = {")[2].partition("};")[0]
    desk = (TEMPLATES / "admin_stuck_words.html").read_text().partition("{% set causes = {")[2].partition("} %}")[0]
    receipt = (TEMPLATES / "receipt_words.html").read_text().partition("{% set causes = {")[2]
    assert set(re.findall(r'^  "(\w+)": ', receipt, re.MULTILINE)) == {
        *HELD_CAUSES,
        *PENDING_CAUSES,
        *CONFIRMING_CAUSES,
    }
    for source in (pay, desk):
        assert set(re.findall(r'^  "?(\w+)"?: ', source, re.MULTILINE)) >= {*HELD_CAUSES}
    slow = (STATIC / "pay" / "strings.js").read_text().partition("export const confirmingCauses = {")[2]
    for source in (slow.partition("};")[0], desk):
        assert set(re.findall(r'^  "?(\w+)"?: ', source, re.MULTILINE)) >= {*CONFIRMING_CAUSES}
    for text in ("docs/api.md", "docs/runbook.md"):
        assert not [cause for cause in CONFIRMING_CAUSES if f"{cause}`" not in (ROOT / text).read_text()], text
    for text in ("docs/api.md", "docs/runbook.md", "docs/moderators.md"):
        assert not [cause for cause in HELD_CAUSES if f"{cause}`" not in (ROOT / text).read_text()], text
    waiting = re.findall(r'cause=~"([a-z_|]+)"', (ROOT / "deployments" / "alerts.yml").read_text())
    assert set(waiting[0].split("|")) == {*HELD_CAUSES} - {"rate_unavailable"}
    assert set(ACTIONS) == {*HELD_CAUSES}


def test_every_state_has_its_words() -> None:
    sentences, views = (STATIC / "pay" / "strings.js").read_text(), (STATIC / "pay" / "states.js").read_text()
    badges = sentences.partition("export const stateNames = {")[2].partition("};")[0]
    assert {*re.findall(r"(\w+): ", badges)} == {*STATES}
    assert {*re.findall(r"^  (\w+): \(", views.partition("const VIEWS = {")[2], re.MULTILINE)} == {*STATES}
    unrelated = sentences.partition("export const unrelatedTexts = {")[2].partition("};")[0]
    assert {*re.findall(r"^  (\w+): ", unrelated, re.MULTILINE)} == {"none", *UNRELATED_CAUSES}
    api = (ROOT / "docs" / "api.md").read_text()
    assert not [word for word in (*STATES, *UNRELATED_CAUSES) if f"`{word}`" not in api]
