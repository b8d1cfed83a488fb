"""Grants over real processes: never above a cap, never twice, on whichever process, whatever dies in between."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.operators import ADMIN, MODERATOR, WHY, Operator, mail_to, token_in
from tests.integration.shop import Shop, wait_until

FAST = {"STRIPE_RATE": "100"}


@pytest.fixture(scope="module", autouse=True)
def many_mails(stack: Stack) -> Iterator[None]:
    """Resend's two mails a second are for the tests of signing in."""
    stack.control("POST", "mails/settings", {"per_second": None})
    yield
    stack.control("POST", "mails/settings", {"per_second": 2})


def record(stack: Stack) -> list[dict[str, Any]]:
    """The grants record, oldest first."""
    service = stack.stripe(f"customers/{stack.settings['SERVICE_CUSTOMER_ID']}")
    rows: list[dict[str, Any]] = []
    while True:
        more = {"starting_after": rows[-1]["id"]} if rows else {}
        page = stack.stripe(f"customers/{service['metadata']['grants']}/balance_transactions", limit="100", **more)
        rows += page["data"]
        if not page["has_more"]:
            return rows[::-1]


def rows_of(stack: Stack, customer: str, kind: str) -> list[dict[str, Any]]:
    rows = stack.stripe(f"customers/{customer}/balance_transactions", limit="100")["data"]
    return [row for row in rows if row["metadata"].get("kind") == kind]


def test_two_hundred_at_once_over_three_processes_never_pass_a_cap(shop: Shop, stack: Stack) -> None:
    limits = {"MAX_GRANT_CENTS": "500", "MAX_GRANTS_PER_DAY_CENTS": "3700", "MAX_GRANTS_ALL_CENTS": "14003"}
    names = [f"m{number}@example.org" for number in range(4)]
    roster = {"OPERATORS": ",".join(f"{name}=moderator" for name in names)}
    services = [stack.serve(**FAST, **limits, **roster) for _ in range(3)]
    customers = [shop.customer().id for _ in range(20)]
    operators = [Operator(name) for name in names]
    before = len(record(stack))
    used = sum(-row["amount"] for row in record(stack))
    with ThreadPoolExecutor(100) as threads:
        wishes = list(
            threads.map(
                lambda n: operators[n % 4].wish(services[n % 3], customers[n % 20], f"{3 + n % 3}.{n % 100:02d}"),
                range(200),
            )
        )
        begun = time.monotonic()
        answers = list(
            threads.map(
                lambda n: operators[n % 4].post(
                    services[(n + 1) % 3], "/api/admin/grants", {**wishes[n], "again": True}
                ),
                range(200),
            )
        )
        seconds = time.monotonic() - begun
    told = Counter(
        answer.json()["state"] if answer.is_success else answer.json()["type"].split("/")[-1] for answer in answers
    )
    for service in services:
        assert Operator(names[0]).get(service, "/admin/grants").is_success  # a look completes what is open
    given = [row for customer in customers for row in rows_of(stack, customer, "grant")]
    by_operator = Counter[str]()
    for row in given:
        by_operator[row["metadata"]["operator"]] -= row["amount"]
    total = sum(by_operator.values())
    rows = record(stack)[before:]
    print(
        f"\n200 grants at once over 3 processes in {seconds:.1f} s: {dict(told)}; given {len(given)}, {total} of 14003"
        f" cents; by operator {dict(by_operator)} of 3700; {len(rows)} rows on the grants record"
    )
    assert total + used <= 14_003
    left = min(14_003 - total - used, 3_700 - min(by_operator.values()))
    assert left < 600, "what is left could hardly have held another grant"
    assert all(cents <= 3_700 for cents in by_operator.values())
    assert max(-row["amount"] for row in given) <= 500
    assert len({row["metadata"]["grant"] for row in given}) == len(given)
    living = {row["metadata"]["grant"] for row in rows if row["metadata"]["kind"] == "reservation"} - {
        next(one for one in rows if one["id"] == row["metadata"]["reverses"])["metadata"]["grant"]
        for row in rows
        if row["metadata"]["kind"] == "reversal"
    }
    assert living == {row["metadata"]["grant"] for row in given}
    assert sum(-row["amount"] for row in rows) == total
    told_given = {
        answer.json()["grant"] for answer in answers if answer.is_success and answer.json()["state"] == "given"
    }
    assert told_given <= {row["metadata"]["grant"] for row in given}


def test_sign_in_on_one_process_grant_on_another_undo_on_a_third_all_restarted(shop: Shop, stack: Stack) -> None:
    customer, operator = shop.customer(), Operator(cookie="none")
    public = {"PUBLIC_URL": "http://billing.test"}
    here = {"origin": "http://billing.test"}
    first = stack.serve(**public)
    operator.send(first, "/login", {"email": MODERATOR}, **here)
    mail = mail_to(stack, MODERATOR)
    first.kill()
    second = stack.serve(**public)
    assert operator.send(second, "/login/link", {"token": token_in(mail)}, **here).headers["location"] == "/admin"
    wish = operator.wish(second, customer.id)
    second.kill()
    third = stack.serve(**public)
    given = operator.post(third, "/api/admin/grants", wish, **here).json()
    assert (given["state"], given["after_cents"]) == ("given", 750)
    third.kill()
    fourth = stack.serve(**public)
    undo = {"reservation": given["reservation"], "reason": "wrong customer"}
    undone = operator.post(fourth, "/api/admin/grants/undo", undo, **here).json()
    assert undone["state"] == "undone"
    fourth.kill()
    fifth = stack.serve(**public)
    again = operator.post(fifth, "/api/admin/grants", wish, **here).json()
    assert (again["state"], again["taken_back"]) == ("undone", undone["taken_back"])
    assert stack.balance(customer.id) == 0
    assert len(rows_of(stack, customer.id, "grant")) == 1


def test_a_crash_between_reservation_and_grant_is_completed_when_a_process_starts(shop: Shop, stack: Stack) -> None:
    customer, operator = shop.customer(), Operator()
    dying = stack.serve()
    wish = operator.wish(dying, customer.id, "3.21")
    before = len(record(stack))
    stack.control(
        "POST",
        "faults",
        {
            "effect": "slow",
            "with": {"before": 8},
            "method": "POST",
            "path": f"/v1/customers/{customer.id}/balance_transactions",
        },
    )
    with ThreadPoolExecutor(1) as thread:
        press = thread.submit(operator.post, dying, "/api/admin/grants", wish)
        wait_until(lambda: len(record(stack)) == before + 1)
        time.sleep(0.5)
        dying.kill()
        assert press.exception() is not None
    stack.control("DELETE", "faults")
    assert rows_of(stack, customer.id, "grant") == []
    other = stack.serve()
    assert stack.balance(customer.id) == 321
    status = operator.post(other, "/api/admin/grants/status", {"form": wish["form"]}).json()["grant"]
    assert status["state"] == "given"
    assert operator.post(other, "/api/admin/grants", wish).json()["credit"] == status["credit"]
    assert stack.balance(customer.id) == 321


def test_a_lost_answer_is_unclear_to_the_page_and_the_ledger_tells(shop: Shop, stack: Stack, service: Service) -> None:
    customer, operator = shop.customer(), Operator()
    wish = operator.wish(service, customer.id, "4.44")
    shop.fault("lost_before")
    refused = operator.post(service, "/api/admin/grants", wish)
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unclear")
    assert "look before you press again" in refused.json()["detail"]
    assert operator.post(service, "/api/admin/grants/status", {"form": wish["form"]}).json() == {"grant": None}
    assert operator.post(service, "/api/admin/grants", wish).json()["state"] == "given"
    assert stack.balance(customer.id) == 444


def test_the_step_before_says_what_it_would_do_and_asks_again_about_a_grant_alike(
    shop: Shop, stack: Stack, service: Service
) -> None:
    customer, operator = shop.customer(), Operator()
    stack.control("POST", f"customers/{customer.id}/rows", {"amount": -310, "currency": "usd"})
    wish = operator.wish(service, customer.id)
    facts = operator.post(service, "/api/admin/grants/check", wish).json()
    assert (facts["cents"], facts["before_cents"], facts["after_cents"]) == (750, 310, 1060)
    assert facts["email"].startswith("p")
    assert facts["wallet"].lower() == customer.wallet
    assert (facts["note"], facts["alike"]) == (WHY, None)
    assert stack.balance(customer.id) == 310
    operator.give(service, customer.id)
    again = operator.wish(service, customer.id)
    assert operator.post(service, "/api/admin/grants/check", again).json()["alike"] is not None
    refused = operator.post(service, "/api/admin/grants", again)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/look_alike")
    assert operator.post(service, "/api/admin/grants", {**again, "again": True}).json()["state"] == "given"
    assert stack.balance(customer.id) == 310 + 1500


def test_undoing_is_the_givers_for_ten_minutes_and_an_admins_for_ever(
    shop: Shop, stack: Stack, service: Service
) -> None:
    customer, operator = shop.customer(), Operator()
    given = operator.give(service, customer.id, "5")
    body = {"reservation": given["reservation"], "reason": "wrong customer"}
    other = Operator("0x" + "9" * 40, cookie=None)
    assert other.post(service, "/api/admin/grants/undo", body).status_code == 401
    admin = Operator(ADMIN)
    undone = admin.post(service, "/api/admin/grants/undo", body).json()
    assert undone["state"] == "undone"
    page = operator.get(service, f"/admin/customers/{customer.id}").text
    assert f'href="#{undone["taken_back"]}"' in page
    assert f'href="#{given["credit"]}"' in page
    assert stack.balance(customer.id) == 0
