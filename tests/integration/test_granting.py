"""Grants over several processes: never above a cap and never twice, even with crashes."""

import secrets
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.operators import ADMIN, MODERATOR, TOKENS, WHY, Operator, mail_to, token_in
from tests.integration.shop import Shop, wait_until

FAST = {"STRIPE_RATE": "100", "STRIPE_TOTAL_RATE": "400"}


@pytest.fixture(scope="module", autouse=True)
def many_mails(stack: Stack) -> Iterator[None]:
    """Disable Resend's limit of two mails a second."""
    stack.control("POST", "mails/settings", {"per_second": None})
    yield
    stack.control("POST", "mails/settings", {"per_second": 2})


def record(stack: Stack) -> list[dict[str, Any]]:
    """Return the grants record, oldest first."""
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


LIMITS = {"MAX_GRANT_CENTS": "500", "MAX_GRANTS_PER_DAY_CENTS": "3700"}


def outcome_of(answer: httpx.Response | None) -> str:
    """Return the state of a grant or the reason against it; `lost` without an answer."""
    if answer is None:
        return "lost"
    return str(answer.json()["state"] if answer.is_success else answer.json()["type"].split("/")[-1])


class GrantBurst:
    """Two hundred forms of four operators for twenty customers, submitted at once on three processes.

    `most` is the cap for all operators; `name` prefixes the operators' names, since grants count for a day.
    """

    def __init__(self, shop: Shop, name: str, most: int = 14_003) -> None:
        self.stack = shop.stack
        self.names = [f"{name}{number}@example.org" for number in range(4)]
        roster = {"OPERATORS": ",".join(f"{name}=moderator" for name in self.names)}
        used = sum(-row["amount"] for row in record(self.stack))
        settings = {**FAST, **LIMITS, **roster, "MAX_GRANTS_ALL_CENTS": str(used + most)}
        self.most, self.settings = most, settings
        self.services = [self.stack.serve(**settings) for _ in range(3)]
        self.customers = [shop.customer().id for _ in range(20)]
        self.before = len(record(self.stack))
        self.wishes = [self._wish(number) for number in range(200)]

    def _wish(self, number: int) -> dict[str, Any]:
        """Return a form as any process would create it: they share the signing secret."""
        made = {"grant": f"{int(time.time())}-{secrets.token_hex(8)}", "operator": self.names[number % 4]}
        form = TOKENS.seal("grant", {**made, "customer": self.customers[number % 20]})
        amount = f"{3 + number % 3}.{number % 100:02d}"
        return {"form": form, "amount": amount, "reason": "goodwill", "note": WHY, "again": True}

    def press(self, number: int, service: Service | None = None) -> httpx.Response | None:
        """Submit a form; returns None if the process died."""
        service = service or self.services[number % 3]
        try:
            return Operator(self.names[number % 4]).post(service, "/api/admin/grants", self.wishes[number])
        except httpx.TransportError:
            return None

    def judge(self, answers: list[httpx.Response | None], seconds: float) -> None:
        """Check that no cap is exceeded, every grant is reserved once, and every reported grant exists."""
        given = [row for customer in self.customers for row in rows_of(self.stack, customer, "grant")]
        by_operator = Counter[str]()
        for row in given:
            by_operator[row["metadata"]["operator"]] -= row["amount"]
        total, rows = sum(by_operator.values()), record(self.stack)[self.before :]
        outcomes = dict(Counter(map(outcome_of, answers)))
        print(
            f"\n200 grants at once over 3 processes in {seconds:.1f} s: {outcomes}; given"
            f" {len(given)}, {total} of {self.most} cents; by operator {dict(by_operator)} of 3700; {len(rows)} rows on"
            " the grants record"
        )
        assert total <= self.most
        assert all(cents <= 3_700 for cents in by_operator.values())
        assert max(-row["amount"] for row in given) <= 500
        remaining = min(self.most - total, 3_700 - min(by_operator.values()))
        assert remaining < 600, "the remainder leaves hardly room for another grant"
        assert len({row["metadata"]["grant"] for row in given}) == len(given)
        reversed_ = {row["metadata"]["reverses"] for row in rows if row["metadata"]["kind"] == "reversal"}
        living = [row for row in rows if row["metadata"]["kind"] == "reservation" and row["id"] not in reversed_]
        assert sorted(row["metadata"]["grant"] for row in living) == sorted(row["metadata"]["grant"] for row in given)
        assert sum(-row["amount"] for row in rows) == total
        promised = {
            answer.json()["grant"] for answer in answers if answer is not None and outcome_of(answer) == "given"
        }
        assert promised <= {row["metadata"]["grant"] for row in given}


def test_two_hundred_at_once_over_three_processes_never_pass_a_cap(shop: Shop, stack: Stack) -> None:
    storm = GrantBurst(shop, "storm")
    with ThreadPoolExecutor(100) as threads:
        begun = time.monotonic()
        answers = list(threads.map(storm.press, range(200)))
        seconds = time.monotonic() - begun
    for service in storm.services:
        assert (
            Operator(storm.names[0]).get(service, "/admin/grants").is_success
        )  # loading the page completes open reservations
    storm.judge(answers, seconds)


def test_a_kill_amid_two_hundred_grants_loses_and_doubles_none(shop: Shop, stack: Stack) -> None:
    storm = GrantBurst(shop, "killed")
    with ThreadPoolExecutor(100) as threads:
        begun = time.monotonic()
        presses = [threads.submit(storm.press, number) for number in range(200)]
        wait_until(lambda: len(record(stack)) > storm.before + 6)
        storm.services[1].kill()
        answers = [press.result() for press in presses]
        lost = [number for number, answer in enumerate(answers) if outcome_of(answer) in ("lost", "unclear")]
        assert lost, "the killed process was at work"
        storm.services[1] = stack.serve(**storm.settings)
        again = list(threads.map(lambda number: storm.press(number, storm.services[number % 3]), lost))
        seconds = time.monotonic() - begun
    for service in storm.services:
        assert Operator(storm.names[0]).get(service, "/admin/grants").is_success
    print(f"\nkilled: {len(lost)} answers were lost, pressed again: {dict(Counter(map(outcome_of, again)))}")
    storm.judge([*answers, *again], seconds)


def test_sign_in_on_one_process_grant_on_another_undo_on_a_third_all_restarted(shop: Shop, stack: Stack) -> None:
    customer, operator = shop.customer(), Operator(cookie="none")
    public = {"PUBLIC_URL": "http://billing.test"}
    headers = {"origin": "http://billing.test"}
    first = stack.serve(**public)
    operator.send(first, "/login", {"email": MODERATOR}, **headers)
    mail = mail_to(stack, MODERATOR)
    first.kill()
    second = stack.serve(**public)
    assert operator.send(second, "/login/link", {"token": token_in(mail)}, **headers).headers["location"] == "/admin"
    wish = operator.grant_form(second, customer.id)
    second.kill()
    third = stack.serve(**public)
    given = operator.post(third, "/api/admin/grants", wish, **headers).json()
    assert (given["state"], given["after_cents"]) == ("given", 750)
    third.kill()
    fourth = stack.serve(**public)
    undo = {"reservation": given["reservation"], "reason": "wrong customer"}
    undone = operator.decide(fourth, "/api/admin/grants/undo", undo, **headers).json()
    assert undone["state"] == "undone"
    fourth.kill()
    fifth = stack.serve(**public)
    again = operator.post(fifth, "/api/admin/grants", wish, **headers).json()
    assert (again["state"], again["taken_back"]) == ("undone", undone["taken_back"])
    assert stack.balance(customer.id) == 0
    assert len(rows_of(stack, customer.id, "grant")) == 1


def test_a_crash_between_reservation_and_grant_is_completed_when_a_process_starts(shop: Shop, stack: Stack) -> None:
    customer, operator = shop.customer(), Operator()
    dying = stack.serve()
    wish = operator.grant_form(dying, customer.id, "3.21")
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
    wait_until(lambda: stack.balance(customer.id) == 321)
    status = operator.post(other, "/api/admin/grants/status", {"form": wish["form"]}).json()["grant"]
    assert status["state"] == "given"
    assert operator.post(other, "/api/admin/grants", wish).json()["credit"] == status["credit"]
    assert stack.balance(customer.id) == 321


def test_a_lost_answer_is_unclear_to_the_page_and_the_ledger_tells(shop: Shop, stack: Stack, service: Service) -> None:
    customer, operator = shop.customer(), Operator()
    wish = operator.grant_form(service, customer.id, "4.44")
    shop.fault("lost_before")
    refused = operator.post(service, "/api/admin/grants", wish)
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unclear")
    assert "Check the customer before you press again" in refused.json()["detail"]
    assert operator.post(service, "/api/admin/grants/status", {"form": wish["form"]}).json() == {"grant": None}
    assert operator.post(service, "/api/admin/grants", wish).json()["state"] == "given"
    assert stack.balance(customer.id) == 444


def test_the_step_before_says_what_it_would_do_and_asks_again_about_a_grant_alike(
    shop: Shop, stack: Stack, service: Service
) -> None:
    customer, operator = shop.customer(), Operator()
    stack.control("POST", f"customers/{customer.id}/rows", {"amount": -310, "currency": "usd"})
    wish = operator.grant_form(service, customer.id)
    facts = operator.post(service, "/api/admin/grants/check", wish).json()
    assert (facts["cents"], facts["before_cents"], facts["after_cents"]) == (750, 310, 1060)
    assert facts["email"].startswith("p")
    assert facts["wallet"].lower() == customer.wallet
    assert (facts["note"], facts["alike"]) == (WHY, None)
    assert stack.balance(customer.id) == 310
    operator.give(service, customer.id)
    again = operator.grant_form(service, customer.id)
    alike = operator.post(service, "/api/admin/grants/check", again).json()["alike"]
    assert alike["operator"] == operator.name
    refused = operator.post(service, "/api/admin/grants", again)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/look_alike")
    invalid = operator.post(service, "/api/admin/grants", {**again, "again": True, "alike": "x" * 600})
    assert (invalid.status_code, "cbtxn_" in invalid.json()["detail"]) == (422, True)
    confirmed = {**again, "again": True, "alike": alike["reservation"]}
    assert operator.post(service, "/api/admin/grants", confirmed).json()["state"] == "given"
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
    undone = admin.decide(service, "/api/admin/grants/undo", body).json()
    assert undone["state"] == "undone"
    page = operator.get(service, f"/admin/customers/{customer.id}").text
    assert f'href="#{undone["taken_back"]}"' in page
    assert f'href="#{given["credit"]}"' in page
    assert stack.balance(customer.id) == 0
