"""The kit's own Stripe does what Stripe's documentation says."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.outsider.stripe.account import Account
from tests.outsider.stripe.desk import Answer, Desk, Request
from tests.outsider.stripe.faults import Kind
from tests.outsider.stripe.idempotency import LIFE_SECONDS

KEY, READING = "sk_test_all", "rk_test_reads"
ENTRIES = "/v1/customers/:id/balance_transactions"


def form(parameters: dict[str, Any]) -> Any:
    """Return parameters whose names are no names of Python."""
    return parameters


@dataclass
class Client:
    """Asks a desk whose clock stands still until a test moves it; a second passes before each request."""

    now: float = 1_800_000_000

    def __post_init__(self) -> None:
        self.account = Account(lambda: self.now)
        self.desk = Desk(self.account, {KEY: None, READING: {"rak_customer_read"}})

    def answer(self, method: str, path: str, secret: str = KEY, key: str = "", **parameters: Any) -> Answer:
        encoded = urlencode(parameters)
        headers = {"authorization": f"Bearer {secret}"} | ({"idempotency-key": key} if key else {})
        self.now += 1
        if method == "POST":
            return asyncio.run(self.desk.answer(Request(method, path, headers, encoded.encode())))
        return asyncio.run(self.desk.answer(Request(method, f"{path}?{encoded}", headers)))

    def ask(self, method: str, path: str, *, status: int = 200, **parameters: Any) -> dict[str, Any]:
        answer = self.answer(method, path, **parameters)
        assert answer.status == status, answer.body
        result: dict[str, Any] = json.loads(answer.body)
        return result

    def refusal(
        self, method: str, path: str, status: int = 400, **parameters: Any
    ) -> tuple[str, str | None, str | None]:
        error = self.ask(method, path, status=status, **parameters)["error"]
        return error["type"], error.get("code"), error.get("param")

    def customer(self, **parameters: Any) -> str:
        customer_id: str = self.ask("POST", "/v1/customers", **parameters)["id"]
        return customer_id

    def credit(self, customer: str, cents: int = 100, **parameters: Any) -> dict[str, Any]:
        fields = {"amount": -cents, "currency": "usd", **parameters}
        return self.ask("POST", f"/v1/customers/{customer}/balance_transactions", **fields)


@pytest.fixture
def client() -> Client:
    return Client()


def test_a_ledger_counts_by_currency_and_locks_the_customers_currency(client: Client) -> None:
    customer = client.customer()
    entries = [client.credit(customer, cents) for cents in (100, 250)]
    other = client.credit(customer, 70, currency="EUR")
    assert [entry["ending_balance"] for entry in entries] == [-100, -350]
    assert (other["currency"], other["ending_balance"]) == ("eur", -70)
    shown = client.ask("GET", f"/v1/customers/{customer}", **form({"expand[]": "invoice_credit_balance"}))
    assert (shown["balance"], shown["currency"]) == (-350, "usd")
    assert shown["invoice_credit_balance"] == {"usd": 350, "eur": 70}


def test_a_key_replays_its_answer_for_a_day_and_refuses_another_request(client: Client) -> None:
    customer, other = client.customer(), client.customer()
    path = f"/v1/customers/{customer}/balance_transactions"
    terms = form({"amount": -100, "currency": "usd", "key": "k"})
    first, again = client.answer("POST", path, **terms), client.answer("POST", path, **terms)
    assert (again.body, again.headers["Idempotent-Replayed"]) == (first.body, "true")
    assert client.refusal("POST", path, **form({**terms, "amount": -200})) == ("idempotency_error", None, None)
    elsewhere = path.replace(customer, other)
    assert client.refusal("POST", elsewhere, **terms) == ("idempotency_error", None, None)
    client.now += LIFE_SECONDS
    assert client.ask("POST", path, **terms)["ending_balance"] == -200


@pytest.mark.parametrize(("kind", "rows"), [(Kind.SAVED_500, 0), (Kind.EXECUTED_500, 1)])
def test_a_500_is_saved_whether_it_was_executed_or_not(client: Client, kind: Kind, rows: int) -> None:
    customer = client.customer()
    client.desk.faults.plant(kind, "POST", ENTRIES)
    path = f"/v1/customers/{customer}/balance_transactions"
    for _ in range(2):
        assert client.refusal("POST", path, 500, amount=-1, currency="usd", key="k")[0] == "api_error"
    assert len(client.account.customers[customer].ledger) == rows


def test_what_is_refused_before_execution_is_not_saved(client: Client) -> None:
    customer = client.customer()
    path = f"/v1/customers/{customer}/balance_transactions"
    assert client.refusal("POST", path, currency="usd", key="k")[1] == "parameter_missing"
    client.desk.faults.plant(Kind.LOCKED, "POST", ENTRIES)
    assert client.refusal("POST", path, 429, amount=-1, currency="usd", key="k")[1] == "lock_timeout"
    client.desk.faults.plant(Kind.RATE_LIMITED, "POST", ENTRIES)
    assert client.refusal("POST", path, 429, amount=-1, currency="usd", key="k")[1] == "rate_limit"
    assert client.ask("POST", path, amount=-1, currency="usd", key="k")["amount"] == -1


def test_a_key_in_use_is_refused(client: Client) -> None:
    customer = client.customer()
    client.desk.faults.plant(Kind.SLOW_BEFORE, "POST", ENTRIES, seconds=0.2)
    headers = {"authorization": f"Bearer {KEY}", "idempotency-key": "k"}
    request = Request("POST", f"/v1/customers/{customer}/balance_transactions", headers, b"amount=-1&currency=usd")

    async def both() -> tuple[Answer, Answer]:
        return await asyncio.gather(client.desk.answer(request), client.desk.answer(request))

    first, second = asyncio.run(both())
    assert (first.status, second.status) == (200, 409)
    assert json.loads(second.body)["error"]["code"] == "idempotency_key_in_use"


def test_pages_go_both_ways_and_say_whether_more_follow(client: Client) -> None:
    customer = client.customer()
    path = f"/v1/customers/{customer}/balance_transactions"
    ids = [client.credit(customer)["id"] for _ in range(5)][::-1]

    def page(**parameters: Any) -> tuple[list[str], bool]:
        shown = client.ask("GET", path, **parameters)
        return [entry["id"] for entry in shown["data"]], shown["has_more"]

    assert page() == (ids, False)
    assert page(limit=2) == (ids[:2], True)
    assert page(limit=3, starting_after=ids[1]) == (ids[2:], False)
    assert page(limit=2, ending_before=ids[3]) == (ids[1:3], True)
    assert page(limit=2, ending_before=ids[1]) == (ids[:1], False)
    middle = client.account.customers[customer].ledger[2].created
    assert page(**{"created[gte]": middle}) == (ids[:3], False)
    assert page(**{"created[lt]": middle}) == (ids[3:], False)
    for parameters in (
        {"limit": 0},
        {"limit": 101},
        {"limit": "x"},
        {"starting_after": "cbtxn_none"},
        {"metadata": "x"},
    ):
        client.refusal("GET", path, **parameters)


def test_metadata_merges_and_keeps_its_limits(client: Client) -> None:
    customer = client.customer(**{"metadata[a]": "1", "metadata[b]": "2"})
    path = f"/v1/customers/{customer}"
    assert client.ask("POST", path, **form({"metadata[b]": "", "metadata[c]": "3"}))["metadata"] == {"a": "1", "c": "3"}
    client.refusal("POST", path, **form({"metadata[d]": "x" * 501}))
    client.refusal("POST", path, **form({f"metadata[{'k' * 41}]": "x"}))
    client.refusal("POST", path, **form({f"metadata[k{number}]": "x" for number in range(50)}))
    assert client.ask("POST", path, metadata="")["metadata"] == {}


def test_a_deleted_customer_is_in_no_list_and_has_no_ledger(client: Client) -> None:
    customer = client.customer(email="a@example.org")
    client.credit(customer)
    assert client.ask("DELETE", f"/v1/customers/{customer}") == {"id": customer, "object": "customer", "deleted": True}
    assert client.ask("GET", f"/v1/customers/{customer}")["deleted"] is True
    assert client.ask("GET", "/v1/customers")["data"] == []
    path = f"/v1/customers/{customer}/balance_transactions"
    assert client.refusal("POST", path, 404, amount=-1, currency="usd")[1] == "resource_missing"
    assert client.refusal("GET", path, 404)[1] == "resource_missing"
    assert client.ask("GET", "/v1/events", type="customer.deleted")["data"][0]["data"]["object"]["id"] == customer


def test_search_lags_and_reads_its_language(client: Client) -> None:
    customer = client.customer(email="Ann@example.org", **{"metadata[wallet]": 'a"b'})

    def search(query: str) -> list[str]:
        return [shown["id"] for shown in client.ask("GET", "/v1/customers/search", query=query)["data"]]

    assert search('email:"ann@example.org"') == []
    client.now += client.account.search_delay
    for query in (
        'email:"ann@example.org"',
        "email~'EXAMPLE'",
        r'metadata["wallet"]:"a\"b"',
        'metadata["wallet"]:"none" OR email:"ann@example.org"',
        '-metadata["other"]:"x" AND created>0',
        'metadata["other"]:null',
    ):
        assert search(query) == [customer], query
    for query in ("", "balance:1", 'email:"a" AND name:"b" OR phone:"c"', 'email~"ab"', 'email:"a', 'email:"a" AND'):
        client.refusal("GET", "/v1/customers/search", query=query)


def test_rates_name_their_reason(client: Client) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    answers = [asyncio.run(client.desk.answer(Request("GET", "/v1/customers", headers))) for _ in range(26)]
    assert [answer.status for answer in answers] == [200] * 25 + [429]
    assert answers[-1].headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    client.now += 1
    assert client.answer("GET", "/v1/customers").status == 200


@pytest.mark.parametrize(
    ("request_of", "status", "code"),
    [
        (lambda client: client.answer("GET", "/v1/customers", secret=""), 401, None),
        (lambda client: client.answer("GET", "/v1/customers", secret="sk_test_other"), 401, None),
        (lambda client: client.answer("POST", "/v1/customers", secret=READING), 403, None),
        (lambda client: client.answer("GET", "/v1/charges", secret=READING), 403, None),
        (lambda client: client.answer("GET", "/v1/nothing"), 404, None),
        (lambda client: client.answer("GET", "/v1/customers/cus_none"), 404, "resource_missing"),
        (lambda client: client.answer("POST", "/v1/customers", nonsense="x"), 400, "parameter_unknown"),
        (lambda client: client.answer("POST", "/v1/customers", email="nobody"), 400, "email_invalid"),
    ],
)
def test_refusals(client: Client, request_of: Callable[[Client], Answer], status: int, code: str | None) -> None:
    answer = request_of(client)
    error = json.loads(answer.body)["error"]
    assert (answer.status, error.get("code"), error["type"]) == (status, code, "invalid_request_error")
    assert answer.headers["Request-Id"].startswith("req_")


@pytest.mark.parametrize(("kind", "sent", "rows"), [(Kind.LOST_BEFORE, "nothing", 0), (Kind.LOST_AFTER, "nothing", 1)])
def test_an_answer_is_lost_before_or_after_the_execution(client: Client, kind: Kind, sent: str, rows: int) -> None:
    customer = client.customer()
    client.desk.faults.plant(kind, "POST", ENTRIES)
    answer = client.answer("POST", f"/v1/customers/{customer}/balance_transactions", amount=-1, currency="usd")
    assert (answer.sent, len(client.account.customers[customer].ledger)) == (sent, rows)
