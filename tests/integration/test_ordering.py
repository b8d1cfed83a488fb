"""Orders about stuck payments over real processes: replacement, two admins, and confirmations."""

import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.conftest import SETTINGS
from tests.integration.operators import ADMIN, AUDITOR, MODERATOR, Operator
from tests.integration.shop import Customer, Shop, problem, wait_until

HOUR = 3600
VERSION = {"authorization": "Bearer sk_test_sandbox", "stripe-version": "2026-10-28.endive"}
BETH = "beth@example.org"


def card_of(service: Service, tx_hash: str, who: str = ADMIN) -> str:
    """Return the card of a stuck payment once it is final."""
    cards: list[str] = []

    def is_shown() -> bool:
        page = Operator(who).get(service, "/admin/stuck")
        assert page.status_code == 200, page.text
        cards[:] = [card for card in page.text.split('<li class="card">') if tx_hash in card]
        return bool(cards) and "as soon as it is final" not in cards[0]

    wait_until(is_shown)
    return cards[0]


def form_in(card: str, kind: str) -> str:
    """Return the form for a kind of order on a card."""
    match = re.search(rf'data-order="([^"]+)" data-kind="{kind}"', card)
    assert match, card
    return match[1]


def order(service: Service, tx_hash: str, kind: str, text: str, who: str = ADMIN) -> dict[str, Any]:
    """Give an order with the page's form."""
    body = {"form": form_in(card_of(service, tx_hash, who), kind), "order": text, "reason": "asked the payer"}
    answer = Operator(who).decide(service, "/api/admin/orders", body)
    assert answer.is_success, answer.text
    answer_body: dict[str, Any] = answer.json()
    return answer_body


def confirm(service: Service, tx_hash: str, row: str, who: str, form: str = "") -> httpx.Response:
    """Confirm an order with the page's form, or another one."""
    if not form:
        match = re.search(rf'data-confirm="([^"]+)" data-row="{row}"', card_of(service, tx_hash, who))
        assert match, "the page offers to confirm it"
        form = match[1]
    body = {"form": form, "confirms": row, "reason": "looked at it too"}
    return Operator(who).decide(service, "/api/admin/orders", body)


def delete(stack: Stack, customer: Customer) -> None:
    assert stack.http.delete(f"{stack.sandbox}/v1/customers/{customer.id}", headers=VERSION).is_success


def cause(shop: Shop, service: Service, tx_hash: str, state: str = "held") -> str:
    return str(shop.claimed(service, tx_hash, state)["payments"][0]["cause"])


@pytest.fixture(scope="module")
def roster(stack: Stack) -> dict[str, str]:
    """Return settings with two admins who may each order up to ten dollars alone."""
    return {"OPERATORS": f"{stack.settings['OPERATORS']},{BETH}=admin", "MAX_ORDER_CENTS": "1000"}


@pytest.fixture(scope="module")
def strict(stack: Stack, roster: dict[str, str]) -> Service:
    return stack.serve(MAX_PAYMENT_CENTS="4000", **roster)


@pytest.fixture(scope="module")
def payee(stack: Stack) -> Service:
    """Start a service that quotes without a low limit."""
    return stack.serve()


def over_limit(shop: Shop, payee: Service, strict: Service) -> tuple[Customer, str]:
    customer = shop.customer()
    tx_hash = shop.pay(payee, customer)
    shop.finalize()
    assert cause(shop, strict, tx_hash) == "over_limit"
    return customer, tx_hash


def test_above_the_bound_another_admin_confirms_word_for_word(shop: Shop, payee: Service, strict: Service) -> None:
    customer, tx_hash = over_limit(shop, payee, strict)
    assert "This is above what you may decide alone: $10.00 per order" in card_of(strict, tx_hash)
    done = order(strict, tx_hash, "release", "release")
    assert (done["waits"], done["state"], done["cause"]) == (True, "held", "over_limit")
    assert shop.stack.balance(customer.id) == 0
    mine = card_of(strict, tx_hash)
    assert "waits for another admin" in mine
    assert "This is your own order. Another admin must confirm it" in mine
    assert "data-confirm" not in mine
    for who in (MODERATOR, AUDITOR):
        page = card_of(strict, tx_hash, who)
        assert "An admin other than" in page
        assert "data-confirm" not in page
        assert "data-order" not in page
    own = confirm(strict, tx_hash, done["order"], ADMIN, form_in(mine, "release"))
    assert "your own" in problem(own, 403, "not_allowed")["detail"]
    assert shop.stack.balance(customer.id) == 0
    theirs = confirm(strict, tx_hash, done["order"], BETH)
    assert (theirs.status_code, theirs.json()["state"], theirs.json()["waits"]) == (200, "credited", False)
    [credit] = shop.stack.credits(customer.id)
    assert credit["metadata"]["order"] == done["order"], "the order is followed, not its confirmation"
    rows = shop.stack.stripe(
        f"customers/{shop.stack.settings['SERVICE_CUSTOMER_ID']}/balance_transactions", limit="100"
    )["data"]
    first, second = (
        next(row for row in rows if row["id"] == order_id)["metadata"]
        for order_id in (done["order"], theirs.json()["order"])
    )
    assert second["confirms"] == done["order"]
    assert [first[name] for name in ("payment", "order", "value")] == [
        second[name] for name in ("payment", "order", "value")
    ]
    assert (first["operator"], second["operator"]) == (ADMIN, BETH)


def test_nobody_confirms_himself_under_another_name(shop: Shop, stack: Stack, payee: Service, strict: Service) -> None:
    customer, tx_hash = over_limit(shop, payee, strict)
    done = order(strict, tx_hash, "release", "release")
    assert done["waits"] is True
    roles = stack.settings["OPERATORS"].replace(f"{ADMIN}=admin", f"{BETH}|{ADMIN}=admin")  # one person from now on
    joined = stack.serve(OPERATORS=roles, MAX_ORDER_CENTS="1000", MAX_PAYMENT_CENTS="4000")
    assert f'data-row="{done["order"]}"' not in card_of(joined, tx_hash, BETH), "the page offers no confirmation"
    form = form_in(card_of(joined, tx_hash, ADMIN), "release")
    problem(confirm(joined, tx_hash, done["order"], ADMIN, form), 403, "not_allowed")
    assert shop.stack.balance(customer.id) == 0


def test_invalid_confirmations(shop: Shop, payee: Service, strict: Service) -> None:
    customer, tx_hash = over_limit(shop, payee, strict)
    _, other = over_limit(shop, payee, strict)
    waiting = order(strict, tx_hash, "release", "release")["order"]
    elsewhere = form_in(card_of(strict, other, BETH), "release")
    form = form_in(card_of(strict, tx_hash, BETH), "release")
    problem(confirm(strict, tx_hash, waiting, BETH, elsewhere), 404, "not_found")
    problem(confirm(strict, tx_hash, "cbtxn_Nobody", BETH, form), 404, "not_found")
    both = {"form": form, "confirms": waiting, "order": "release", "reason": "because they asked"}
    problem(Operator(BETH).decide(strict, "/api/admin/orders", both), 422, "invalid_input")
    problem(confirm(strict, tx_hash, waiting, MODERATOR, form), 403, "not_allowed")
    assert shop.stack.balance(customer.id) == 0
    confirmed = confirm(strict, tx_hash, waiting, BETH)
    assert confirmed.json()["state"] == "credited"
    refusal = problem(confirm(strict, tx_hash, waiting, BETH, form), 409, "already_done")
    assert refusal["detail"] == "This payment is credited. Nothing was ordered."


def test_the_newest_order_is_effective_and_withdrawing_ends_it(shop: Shop, stack: Stack, payee: Service) -> None:
    service, own, first, second = stack.serve(), shop.customer(), shop.customer(), shop.customer()
    tx_hash = shop.pay(payee, own)
    shop.finalize()
    delete(stack, own)
    assert cause(shop, service, tx_hash) == "customer_deleted"
    path = f"/v1/customers/{first.id}/balance_transactions"
    stack.control("POST", "faults", {"effect": "lost_before", "method": "POST", "path": path, "times": None})
    assert order(service, tx_hash, "redirect", f"redirect:{first.id}")["state"] == "pending"
    card = card_of(service, tx_hash)
    assert "It is followed at the next try" in card
    assert f'">stands</a> <code>redirect:{first.id}</code>' in card
    assert "Withdraw the order" in card
    withdrawn = order(service, tx_hash, "withdraw", "withdraw")
    assert (withdrawn["state"], withdrawn["cause"]) == ("held", "customer_deleted")
    card = card_of(service, tx_hash)
    assert "Withdraw the order" not in card
    assert ">withdrawn</a>" in card
    assert order(service, tx_hash, "redirect", f"redirect:{first.id}")["state"] == "pending"
    done = order(service, tx_hash, "redirect", f"redirect:{second.id}")
    assert done["state"] == "credited"
    stack.control("DELETE", "faults")
    assert shop.claimed(stack.serve(), tx_hash)["payments"][0]["credit"] == done["credit"]
    assert (stack.balance(first.id), stack.balance(second.id)) == (0, 5000)


def test_a_withdrawn_order_cannot_be_confirmed(shop: Shop, payee: Service, strict: Service) -> None:
    customer, tx_hash = over_limit(shop, payee, strict)
    waiting = order(strict, tx_hash, "release", "release")["order"]
    beths = card_of(strict, tx_hash, BETH)
    body = {"form": form_in(card_of(strict, tx_hash), "release"), "order": "withdraw", "reason": "it was a mistake"}
    assert Operator(ADMIN).decide(strict, "/api/admin/orders", body).json()["waits"] is False
    refused = confirm(strict, tx_hash, waiting, BETH, re.findall(r'data-confirm="([^"]+)"', beths)[0])
    assert "A newer order" in problem(refused, 409, "too_late")["detail"]
    assert shop.stack.balance(customer.id) == 0


def test_a_customer_that_takes_no_payments_is_held_until_an_admin_releases(
    shop: Shop, stack: Stack, payee: Service
) -> None:
    customer, service = shop.customer(), stack.serve()
    tx_hash = shop.pay(payee, customer)
    operator = Operator(ADMIN)
    form = operator.grant_form(service, customer.id)  # a page that was open before
    metadata = {"wallet_address": customer.wallet, "gateway_payments": "off"}
    stack.control("POST", f"customers/{customer.id}", {"metadata": metadata})
    shop.finalize()
    assert cause(shop, service, tx_hash) == "not_payable"
    assert "data-form=" not in operator.get(service, f"/admin/customers/{customer.id}").text
    refused = operator.post(service, "/api/admin/grants", form)
    assert "gateway_payments is off" in problem(refused, 409, "unusable_customer")["detail"]
    assert 'data-kind="redirect"' in card_of(service, tx_hash)
    assert order(service, tx_hash, "release", "release")["state"] == "credited"
    assert stack.balance(customer.id) == 5000


def test_a_customer_on_a_test_clock_is_held(shop: Shop, stack: Stack, payee: Service) -> None:
    customer, service = shop.customer(), stack.serve()
    tx_hash = shop.pay(payee, customer)
    operator = Operator(ADMIN)
    form = operator.grant_form(service, customer.id)  # a page that was open before
    stack.control("POST", "test_clocks", {"id": "clock_A", "frozen_time": int(time.time())})
    stack.control("POST", f"customers/{customer.id}", {"test_clock": "clock_A"})
    shop.finalize()
    assert cause(shop, service, tx_hash) == "test_clock"
    assert "data-form=" not in operator.get(service, f"/admin/customers/{customer.id}").text
    refused = operator.post(service, "/api/admin/grants", form)
    assert "test clock" in problem(refused, 409, "unusable_customer")["detail"]
    other = shop.customer()
    assert order(service, tx_hash, "redirect", f"redirect:{other.id}")["state"] == "credited"


@pytest.fixture(scope="module")
def old() -> Iterator[Shop]:
    """Run a chain 30 hours behind, with an older service record."""
    with Stack.start(timestamp=int(time.time()) - 30 * HOUR, settings=SETTINGS) as stack:
        grants = stack.stripe(f"customers/{stack.settings['SERVICE_CUSTOMER_ID']}")["metadata"]["grants"]
        metadata = {"stateless_billing": "service", "grants": grants}
        made = stack.control("POST", "customers", {"metadata": metadata, "created": int(time.time()) - 90 * HOUR})
        stack.settings["SERVICE_CUSTOMER_ID"] = made["id"]
        yield Shop(stack)


def old_payment(shop: Shop) -> tuple[Customer, str]:
    customer, signing = shop.customer(), shop.stack.serve(QUOTE_SECONDS="600")
    tx_hash = shop.pay(signing, customer)
    shop.finalize()
    return customer, tx_hash


def test_a_day_later_a_deleted_customer_needs_a_confirmation(old: Shop) -> None:
    service, (customer, tx_hash), other = old.stack.serve(), old_payment(old), old.customer()
    delete(old.stack, customer)
    assert cause(old, service, tx_hash) == "customer_deleted"
    card = card_of(service, tx_hash)
    assert "not credited yet" not in card
    assert "We are checking whether it was credited there before" in card
    [box] = re.findall(r"<input type=\"checkbox\"[^>]*>", card)
    assert box == f'<input type="checkbox" name="gone" value="{customer.id}" required>'
    unanswered = order(service, tx_hash, "redirect", f"redirect:{other.id}")
    assert (unanswered["state"], unanswered["cause"]) == ("held", "customer_deleted")
    assert old.stack.balance(other.id) == 0
    form = form_in(card_of(service, tx_hash), "redirect")
    lie = {"form": form, "order": f"redirect:{other.id};gone:{other.id}", "reason": "because they asked"}
    assert (
        "is not deleted"
        in problem(Operator(ADMIN).decide(service, "/api/admin/orders", lie), 422, "invalid_input")["detail"]
    )
    done = order(service, tx_hash, "redirect", f"redirect:{other.id};gone:{customer.id}")
    assert done["state"] == "credited"
    assert old.stack.balance(other.id) == 5000


def test_an_unproven_ledger_is_vouched_for(old: Shop) -> None:
    stack, service = old.stack, old.stack.serve()
    customer, tx_hash = old_payment(old)
    used = {"amount": 100, "currency": "usd", "description": "Usage", "count": 5, "every": HOUR}
    path = f"/v1/customers/{customer.id}/balance_transactions"
    stack.control("POST", f"customers/{customer.id}/rows", used | {"created": int(time.time()) - 20 * HOUR})
    stack.control("POST", "faults", {"effect": "listing_hole", "method": "GET", "path": path, "times": None})
    assert old.claimed(service, tx_hash, "pending")
    payment = old.claim(service, tx_hash)["payments"][0]["payment"]
    tried = Operator().post(service, "/api/admin/payments/retry", {"payment": payment})
    assert (tried.json()["state"], tried.json()["cause"]) == ("held", "ledger_unproven")
    card = card_of(service, tx_hash)
    assert f"Details: the ledger of {customer.id} does not prove that no credit is there" in card
    assert "not credited yet" not in card
    [box] = re.findall(r"<input type=\"checkbox\"[^>]*>", card)
    assert box == f'<input type="checkbox" name="unproven" value="{customer.id}" required>'
    assert stack.credits(customer.id) == []
    done = order(service, tx_hash, "vouch", f"unproven:{customer.id}")
    assert done["state"] == "credited"
    stack.control("DELETE", "faults")
    [credit] = stack.credits(customer.id)
    assert (credit["id"], "order" in credit["metadata"]) == (done["credit"], False)
