"""Customer search, bad input, orders, the manual rate, and the list of grants, over real processes."""

import csv
import io
import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.conftest import SETTINGS
from tests.integration.operators import ADMIN, AUDITOR, MODERATOR, TOKENS, WHY, Operator
from tests.integration.shop import Customer, Shop, problem, wait_until

TOKEN = 10**18
HOUR = 3600


def assert_nothing_given(shop: Shop, customer: Customer) -> None:
    """Check that nothing was given."""
    assert shop.stack.balance(customer.id) == 0


@pytest.mark.parametrize(
    ("text", "cents"),
    [("7", 700), ("7.5", 750), ("7.50", 750), ("$7.50", 750), (" 7.50 ", 750), ("0.01", 1), ("1,000.25", None)]
    + [(bad, None) for bad in ("", "0", "0.00", "-5", "+5", "7,50", "7.505", "1e3", "0x10", "\u0667", "7 50", "NaN")]
    + [(bad, None) for bad in ("seven", "$", ".", ".5", "5.", "20.01", "99999999999", "7.50; DROP", "<b>5</b>")],
)
def test_amounts_in_every_notation(shop: Shop, service: Service, text: str, cents: int | None) -> None:
    customer, operator = shop.customer(), Operator()
    answer = operator.post(service, "/api/admin/grants/check", operator.grant_form(service, customer.id, text))
    if cents:
        assert answer.json()["cents"] == cents
    else:
        assert answer.status_code in (409, 422)
        assert "Nothing was given" in answer.json()["detail"]
    assert_nothing_given(shop, customer)


@pytest.mark.parametrize(
    ("note", "sentence"),
    [
        ("", "at least 10"),
        ("short", "at least 10"),
        (" " * 40, "at least 10"),
        ("\x00\x07" * 20, "at least 10"),
        ("n" * 401, "401 characters. At most 400 fit"),
        ("n" * 10_000, "10,000 characters. At most 400 fit"),
        ("م" * 10_000, "10,000 characters. At most 400 fit"),
    ],
)
def test_notes_that_do_not_fit(shop: Shop, service: Service, note: str, sentence: str) -> None:
    customer, operator = shop.customer(), Operator()
    answer = operator.post(service, "/api/admin/grants", operator.grant_form(service, customer.id, note=note))
    assert sentence in problem(answer, 422, "invalid_input")["detail"]
    assert_nothing_given(shop, customer)


@pytest.mark.parametrize(
    "bad", [b'"\\ud800 and so on, and on"', b'"\xff\xfe and so on"', b"NaN", b'{"a": 1}', b"[" * 50_000]
)
def test_malformed_bodies_are_rejected_and_give_nothing(shop: Shop, service: Service, bad: bytes) -> None:
    customer, operator = shop.customer(), Operator()
    for name in ("note", "amount", "reason", "form"):
        wish = {**operator.grant_form(service, customer.id), name: "here"}
        body = json.dumps(wish).encode().replace(b'"here"', bad)
        for path in ("/api/admin/grants/check", "/api/admin/grants"):
            answer = operator.post_bytes(service, path, body)
            assert answer.status_code in (400, 401, 422), answer.text
    assert_nothing_given(shop, customer)


@pytest.mark.parametrize(
    "note", ["انتظر العميل ساعة كاملة", "המתינו שעה שלמה", "<script>alert(1)</script> & co.", "=1+1; it's “quoted”"]
)
def test_notes_in_any_script_are_kept_and_shown_as_text(shop: Shop, service: Service, note: str) -> None:
    customer, operator = shop.customer(), Operator()
    operator.give(service, customer.id, note=note)
    [row] = shop.stack.stripe(f"customers/{customer.id}/balance_transactions")["data"]
    assert row["metadata"]["note"] == note
    page = operator.get(service, f"/admin/customers/{customer.id}").text
    assert "<script>alert" not in page
    assert 'class="note" dir="auto"' in page


@pytest.mark.parametrize("bad", ["another's", "another customer's order", "altered", "old", "none", "future"])
def test_foreign_forms_give_nothing(shop: Shop, service: Service, bad: str) -> None:
    customer, operator = shop.customer(), Operator()
    wish = operator.grant_form(service, customer.id)
    now = int(time.time())
    made = {"grant": f"{now}-abc", "operator": MODERATOR, "customer": customer.id}
    form = {
        "another's": Operator(ADMIN).form(service, customer.id),
        "another customer's order": TOKENS.seal("order", made),
        "altered": wish["form"][:-2] + "xx",
        "old": TOKENS.seal("grant", made | {"grant": f"{now - 22 * HOUR}-abc"}, now - 22 * HOUR - 1),
        "none": "",
        "future": TOKENS.seal("grant", made, now + 999),
    }[bad]
    answer = operator.post(service, "/api/admin/grants", wish | {"form": form})
    assert answer.json()["type"].split("/")[-1] in ("form_invalid", "form_dead")
    assert "Load the page again" in answer.json()["detail"]
    assert_nothing_given(shop, customer)


@pytest.mark.parametrize(
    "changes",
    [{"reason": ""}, {"reason": "bribe"}, {"customer": "cus_Other"}, {"grant": "1-1"}, {"cents": 5}, {"note": None}],
)
def test_other_faults_in_a_form(shop: Shop, service: Service, changes: dict[str, Any]) -> None:
    customer, operator = shop.customer(), Operator()
    answer = operator.post(service, "/api/admin/grants", operator.grant_form(service, customer.id) | changes)
    problem(answer, 422, "invalid_input")
    assert_nothing_given(shop, customer)


BODIES: dict[str, dict[str, Any]] = {
    "/api/admin/grants/check": {"form": "", "amount": "1", "reason": "goodwill", "note": WHY},
    "/api/admin/grants": {"form": "", "amount": "1", "reason": "goodwill", "note": WHY, "again": True},
    "/api/admin/grants/status": {"form": ""},
    "/api/admin/grants/undo": {"reservation": "cbtxn_Nobody", "reason": "because they asked"},
    "/api/admin/orders": {"form": "", "order": "release", "confirms": "", "reason": "because they asked", "shown": ""},
    "/api/admin/payments/retry": {"payment": "8453:0x0:0x0:0"},
    "/api/admin/rate": {"rate": "0", "hours": 1, "reason": "because they asked", "shown": ""},
    "/api/admin/rate/confirm": {"proposal": "", "reason": "because they asked", "shown": ""},
    "/api/admin/rate/end": {"reason": "because they asked", "shown": ""},
    "/login/wallet/message": {"address": "0x", "next": "/admin"},
    "/login/wallet": {"signature": "0x"},
}
HOSTILE: list[Any] = [
    *(None, True, -1, 10**400, 1.5, [], {}, [[]], {"a": {"b": []}}, "", " ", "\0", "\n", "x" * 9000, "\u202eabc"),
    *("../../v1/customers", "cbtxn_../x", "cbtxn_", "cus_Nobody", ":::::", "a:b:0x" + "0" * 64 + ":0", "'; --", "%00"),
    *(
        "8453:0x0:0x" + "9" * 64 + ":-1",
        "redirect:cus_" + "x" * 99,
        "release:1e9",
        "release:9999999.9",
        "\U0001f4a9" * 300,
    ),
]


@pytest.fixture(scope="module")
def behind(stack: Stack) -> Service:
    """Start a service that takes client addresses from a header, so that tests do not share a rate limit."""
    return stack.serve(CLIENT_IP_HEADER="x-ip")


@pytest.mark.parametrize("path", BODIES)
def test_no_value_of_any_field_is_an_error_of_ours(shop: Shop, stack: Stack, behind: Service, path: str) -> None:
    service, operator, whole = behind, Operator(ADMIN), BODIES[path]
    if path.endswith("/check"):
        whole = operator.grant_form(service, shop.customer().id)
    stack.control("DELETE", "state")
    for field in whole:
        for number, value in enumerate(HOSTILE):
            address = {"x-ip": f"10.1.{number}.{len(field)}"}
            answer = operator.post(service, path, {**whole, field: value}, **address)
            assert 200 <= answer.status_code < 500, (field, value, answer.text)
            assert answer.status_code != 429, "the value itself was looked at"
            if answer.is_success:
                assert (path.rpartition("/")[2], field) == ("check", "note"), (value, answer.text)
            else:
                assert answer.json()["detail"]
    writes = [name for name in stack.control("GET", "state")["counts"] if name.startswith("POST")]
    assert writes == [], "nothing was written"


def matches(service: Service, query: str) -> tuple[dict[str, Any], list[str]]:
    answer = Operator(AUDITOR).search(service, query)
    return answer, [match["customer"] for match in answer["matches"]]


def test_one_box_finds_by_all_five(shop: Shop, stack: Stack, service: Service) -> None:
    wallet = "0x00000000000000000000000000000000ABCDEF01".lower()
    first = stack.add_customer("O'Neil.Mac+tag@Example.org", wallet)
    second = stack.add_customer("o'neil.mac+tag@example.org", "0x" + "7" * 40)
    customer = Customer(first, wallet)
    tx_hash = shop.pay(service, customer)
    credit = shop.claimed(service, tx_hash)["payments"][0]["credit"]
    for query in ("o'neil.mac+TAG@example.org", "  O'Neil.Mac+tag@Example.org "):
        answer, customers = matches(service, query)
        assert sorted(customers) == sorted([first, second])
        assert "within the last minute" in answer["note"]
        page = Operator().get(service, "/admin?" + urlencode({"q": query})).text
        assert "2 customers: choose the right one" in page
    for query in (wallet, wallet.upper().replace("0X", "0x"), first, tx_hash, credit):
        assert matches(service, query)[1] == [first], query
    [match] = matches(service, first)[0]["matches"]
    assert (match["balance_cents"], match["email"]) == (5000, "O'Neil.Mac+tag@Example.org")
    assert match["wallets"][0].lower() == wallet
    assert match["last_activity"] >= match["created"]


def test_a_truncated_result_says_so(stack: Stack, service: Service) -> None:
    made = [stack.add_customer("many@example.org", "0x" + f"{number:02x}" * 20) for number in range(1, 23)]
    answer, customers = matches(service, "MANY@example.org")
    assert len(customers) == 20
    assert set(customers) < set(made)
    assert "22 customers match and 20 are shown" in answer["note"]


def test_unknown_values_match_nobody(shop: Shop, stack: Stack, service: Service) -> None:
    bookkeeping = stack.settings["SERVICE_CUSTOMER_ID"]
    for query in (
        "nobody@nowhere.example",
        "0x" + "9" * 40,
        "cus_Nobody",
        "0x" + "9" * 64,
        "cbtxn_Nobody",
        bookkeeping,
    ):
        assert matches(service, query)[1] == [], query
        page = Operator().get(service, f"/admin?q={query}")
        assert page.status_code == 200
        assert "No customer found" in page.text
    assert Operator().get(service, f"/admin/customers/{bookkeeping}").status_code == 404
    assert Operator().get(service, "/admin/customers/cus_Nobody").status_code == 404
    assert Operator().get(service, "/admin/customers/..%2F..").status_code == 404


@pytest.mark.parametrize(
    "query", ["alice", "0x12", "cus_", '" OR email~"@', "<script>", "'", "x" * 5000, "٣@", "ch_123"]
)
def test_invalid_searches_are_explained(service: Service, query: str) -> None:
    page = Operator().get(service, "/admin?" + urlencode({"q": query}))
    assert page.status_code == 200
    assert "Type an email address, a wallet" in page.text
    assert "<script>" not in page.text.replace('<script type="module"', "")


def test_a_reservations_id_leads_to_its_customer(shop: Shop, service: Service) -> None:
    customer, operator = shop.customer(), Operator()
    given = operator.give(service, customer.id)
    for entry in (given["reservation"], given["credit"]):
        assert matches(service, entry)[1] == [customer.id]


def test_the_list_of_all_operators_its_totals_and_its_csv(shop: Shop, service: Service) -> None:
    customer = shop.customer()
    Operator().give(service, customer.id, "1.25", note='=HYPERLINK("http://evil.example","x")')
    Operator(ADMIN).give(service, customer.id, "2.50", reason="outage")
    page = Operator(AUDITOR).get(service, f"/admin/grants?customer={customer.id}").text
    assert MODERATOR in page
    assert ADMIN in page
    assert "$3.75" in page
    rows = csv_of(service, f"customer={customer.id}")
    assert [(row["operator"], row["cents"], row["reason"], row["state"]) for row in rows] == [
        (ADMIN, "250", "outage", "given"),
        (MODERATOR, "125", "goodwill", "given"),
    ]
    assert rows[1]["note"] == '\'=HYPERLINK("http://evil.example","x")'
    assert all(row["credit"].startswith("cbtxn_") and row["reservation"].startswith("cbtxn_") for row in rows)
    assert [row["operator"] for row in csv_of(service, f"customer={customer.id}&operator={MODERATOR}")] == [MODERATOR]
    assert csv_of(service, f"customer={customer.id}&state=undone") == []


@pytest.mark.parametrize(
    ("sort", "cents"),
    [
        ("newest", [300, 100, 200]),
        ("largest", [300, 200, 100]),
        ("operator", [300, 100, 200]),
        ("; DROP", [300, 100, 200]),
    ],
)
def test_the_list_sorted_every_way(shop: Shop, service: Service, sort: str, cents: list[int]) -> None:
    customer = shop.customer()
    for number, (name, amount) in enumerate([(MODERATOR, "2"), (MODERATOR, "1"), (ADMIN, "3")]):
        time.sleep(1 if number else 0)  # Stripe's times are in whole seconds
        Operator(name).give(service, customer.id, amount)
    query = urlencode({"customer": customer.id, "sort": sort})
    assert [int(row["cents"]) for row in csv_of(service, query)] == cents
    page = Operator(AUDITOR).get(service, f"/admin/grants?{query}").text
    places = [page.index(f">${amount}.00</td>") for amount in (amount_cents // 100 for amount_cents in cents)]
    assert places == sorted(places)


@pytest.mark.parametrize("after", ["<script>", "cbtxn_Nobody", "../x", "0", "cbtxn_" + "x" * 500, "'", "\0"])
def test_older_pages_without_entries_say_so(shop: Shop, service: Service, after: str) -> None:
    query = urlencode({"after": after})
    page = Operator().get(service, f"/admin/customers/{shop.customer().id}?{query}")
    assert (page.status_code, "no such entry" in page.text) == (404, True)


def test_older_pages_follow_each_other_and_leave_nothing_out(shop: Shop, service: Service) -> None:
    customer = shop.customer()
    for number in range(120):
        row = {"amount": 1, "currency": "usd", "description": f"Usage {number:03d}", "created": 1_700_000_000 + number}
        shop.stack.control("POST", f"customers/{customer.id}/rows", row)
    first = Operator().get(service, f"/admin/customers/{customer.id}").text
    [after] = re.findall(r'href="\?after=(cbtxn_\w+)"', first)
    second = Operator().get(service, f"/admin/customers/{customer.id}?after={after}").text
    numbers = [re.findall(r"Usage (\d+)", page) for page in (first, second)]
    assert numbers[0] + numbers[1] == [f"{number:03d}" for number in reversed(range(120))]
    assert "?after=" not in second


def csv_of(service: Service, query: str) -> list[dict[str, str]]:
    answer = Operator(AUDITOR).get(service, f"/admin/grants.csv?{query}")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


def card_of(service: Service, tx_hash: str, who: str = ADMIN) -> str:
    """Return the card of a stuck payment."""
    page = Operator(who).get(service, "/admin/stuck")
    assert page.status_code == 200, page.text
    return next(card for card in page.text.split('<li class="card">') if tx_hash in card)


def order_form(service: Service, tx_hash: str, who: str = ADMIN) -> str:
    """Return the order form of a stuck payment."""
    card = card_of(service, tx_hash, who)
    match = re.search(r'data-order="([^"]+)"', card)
    assert match, card
    return match[1]


def place_order(service: Service, tx_hash: str, text: str, who: str = ADMIN) -> dict[str, Any]:
    body = {"form": order_form(service, tx_hash, who), "order": text, "reason": "checked with the customer"}
    answer = Operator(who).decide(service, "/api/admin/orders", body)
    assert answer.is_success, answer.text
    answer_body: dict[str, Any] = answer.json()
    return answer_body


def orders_of(stack: Stack, order: str) -> dict[str, Any]:
    rows = stack.stripe(f"customers/{stack.settings['SERVICE_CUSTOMER_ID']}/balance_transactions", limit="100")["data"]
    return next(row for row in rows if row["id"] == order)


def test_a_payment_over_the_limit_is_released_by_an_admin_and_names_its_order(shop: Shop, stack: Stack) -> None:
    service = stack.serve(MAX_PAYMENT_CENTS="9000")
    customer = shop.customer()
    for tx_hash in (first := shop.pay(stack.serve(), customer), second := shop.pay(stack.serve(), customer)):
        shop.finalize()
        shop.claim(service, tx_hash)
    assert shop.claimed(service, second, "held")["payments"][0]["cause"] == "over_limit"
    page = Operator().get(service, "/admin/stuck").text
    assert "Ask an admin" in page
    assert "data-order" not in page
    done = place_order(service, second, "release")
    assert done["state"] == "credited"
    credit = next(row for row in stack.credits(customer.id) if row["id"] == done["credit"])
    assert credit["metadata"]["order"] == done["order"]
    row = orders_of(stack, done["order"])
    assert row["metadata"] == {
        "kind": "order",
        "payment": credit["metadata"]["payment"],
        "order": "release",
        "operator": ADMIN,
        "reason": "checked with the customer",
        "value": "5000",
        "caps": "100000:100000",
    }
    assert abs(row["amount"]) == 1
    assert shop.claimed(service, first)["state"] == "credited"
    assert stack.balance(customer.id) == 10_000
    assert second not in Operator(ADMIN).get(service, "/admin/stuck").text


def test_a_payment_of_a_deleted_customer_is_redirected(shop: Shop, stack: Stack, service: Service) -> None:
    gone, other = shop.customer(), shop.customer()
    tx_hash = shop.pay(service, gone)
    shop.finalize()
    headers = {"authorization": "Bearer sk_test_sandbox", "stripe-version": "2026-10-28.endive"}
    assert stack.http.delete(f"{stack.sandbox}/v1/customers/{gone.id}", headers=headers).is_success
    assert shop.claimed(service, tx_hash, "held")["payments"][0]["cause"] == "customer_deleted"
    form = order_form(service, tx_hash)
    admin = Operator(ADMIN)
    for order in (
        "redirect:cus_Nobody",
        f"redirect:{gone.id}",
        "redirect:x",
        "release:free",
        "refund",
        "",
        "redirect:",
    ):
        answer = admin.decide(
            service, "/api/admin/orders", {"form": form, "order": order, "reason": "because they asked"}
        )
        assert answer.status_code in (409, 422), order
        assert "Nothing was ordered" in answer.json()["detail"]
    done = place_order(service, tx_hash, f"redirect:{other.id}")
    assert done["state"] == "credited"
    assert stack.balance(other.id) == 5000
    late = admin.decide(service, "/api/admin/orders", {"form": form, "order": "release", "reason": "changed my mind"})
    assert problem(late, 409, "already_done")["detail"] == "This payment is credited. Nothing was ordered."
    assert stack.run("sweep", "--once").returncode == 0
    assert stack.run("sweep", "--once").returncode == 0
    elsewhere = stack.serve()
    assert shop.claimed(elsewhere, tx_hash)["payments"][0]["credit"] == done["credit"]
    assert len(stack.credits(other.id)) == 1
    service_record = stack.stripe(f"customers/{stack.settings['SERVICE_CUSTOMER_ID']}")["metadata"]
    assert not [name for name in service_record if name.startswith("open:")]
    own = shop.pay(service, other)
    shop.claimed(service, own)
    assert stack.balance(other.id) == 10_000, "the other customer's own payment of the same sequence has its own key"


def test_an_eligible_customer_cannot_be_redirected(shop: Shop, stack: Stack) -> None:
    service = stack.serve(MAX_PAYMENT_CENTS="4000")
    customer, other = shop.customer(), shop.customer()
    tx_hash = shop.pay(stack.serve(), customer)
    shop.finalize()
    shop.claimed(service, tx_hash, "held")
    body = {"form": order_form(service, tx_hash), "order": f"redirect:{other.id}", "reason": "as a favour"}
    problem(Operator(ADMIN).decide(service, "/api/admin/orders", body), 422, "invalid_input")
    assert stack.balance(other.id) == 0
    assert place_order(service, tx_hash, "release")["state"] == "credited"


def test_a_payment_that_is_credited_in_the_meantime_needs_no_order(shop: Shop, stack: Stack) -> None:
    service = stack.serve(MAX_PAYMENT_CENTS="4000")
    tx_hash = shop.pay(stack.serve(), customer := shop.customer())
    shop.finalize()
    shop.claimed(service, tx_hash, "held")
    form = order_form(service, tx_hash)
    shop.claimed(stack.serve(), tx_hash)
    fresh = stack.serve()
    body = {"form": form, "order": "release", "reason": "checked it twice"}
    refused = problem(Operator(ADMIN).decide(fresh, "/api/admin/orders", body), 409, "already_done")
    assert refused["detail"] == "This payment is credited. Nothing was ordered."
    rows = stack.stripe(f"customers/{stack.settings['SERVICE_CUSTOMER_ID']}/balance_transactions", limit="100")["data"]
    assert not [row for row in rows if tx_hash in row["metadata"].get("payment", "")]
    assert stack.balance(customer.id) == 5000


def test_a_plain_payment_without_a_price_is_credited_at_the_rate_of_an_order(shop: Shop, stack: Stack) -> None:
    service = stack.serve()
    customer = shop.customer()
    shop.register(service, customer)
    stack.control("POST", "price", {"price": "0"})
    try:
        tx_hash = shop.pay_plainly(customer, 1000 * TOKEN)
        fresh = stack.serve()
        shop.claimed(fresh, tx_hash, "held")
        done = place_order(fresh, tx_hash, "release:0.0065")
    finally:
        stack.control("POST", "price", {"price": "0.006"})
    assert (done["state"], done["cents"]) == ("credited", 650)
    credit = next(row for row in stack.credits(customer.id) if row["id"] == done["credit"])
    assert credit["metadata"]["rate"] == "0.006500000000000000"
    assert (credit["metadata"]["rate_source"], credit["metadata"]["order"]) == ("order", done["order"])


def test_a_credit_that_lost_its_metadata_holds_and_an_admin_who_saw_it_releases(shop: Shop, stack: Stack) -> None:
    customer = shop.customer()
    tx_hash = shop.pay(stack.serve(), customer)
    stack.control(
        "POST", f"customers/{customer.id}/rows", {"amount": -5000, "currency": "usd", "description": "a gift"}
    )
    shop.finalize()
    service = stack.serve()  # the other one may still know an older final block, and lists nothing before finality
    assert shop.claimed(service, tx_hash, "held")["payments"][0]["cause"] == "ledger_altered"
    assert place_order(service, tx_hash, "release")["state"] == "credited"
    assert stack.balance(customer.id) == 10_000


def quoted_rate(shop: Shop, service: Service, customer: Customer) -> tuple[str, str]:
    quote = shop.quote(service, customer)
    return quote["market_rate"][:7], quote["rate_source"]


@pytest.fixture
def young() -> Iterator[Shop]:
    """Run a separate system: in the shared one, fast blocks put the chain's clock up to a minute ahead."""
    with Stack.start(settings=SETTINGS) as stack:
        yield Shop(stack)


def test_a_rate_set_by_hand_prices_quotes_and_plain_payments_until_it_is_taken_back(young: Shop) -> None:
    shop, stack = young, young.stack
    setting, customer, admin = stack.serve(), shop.customer(), Operator(ADMIN)
    shop.register(setting, customer)
    assert quoted_rate(shop, setting, customer) == ("0.00600", "coingecko:lit-protocol")
    made = admin.decide(
        setting, "/api/admin/rate", {"rate": "0.0071", "hours": 2, "reason": "the feed is wrong"}
    ).json()
    assert made["until"] - made["from"] == 7200
    assert quoted_rate(shop, setting, customer) == ("0.00710", "override")
    other = stack.serve()
    assert quoted_rate(shop, other, customer) == ("0.00710", "override")
    shop.stack.chain.mine(1, interval=2)
    tx_hash = shop.pay_plainly(customer, 1000 * TOKEN)
    assert shop.claimed(other, tx_hash)["payments"][0]["cents"] == 710
    record = stack.stripe(f"customers/{stack.settings['SERVICE_CUSTOMER_ID']}")["metadata"]
    assert record["rate_override"] == f"0.007100000000000000:{ADMIN}:{made['from']}:{made['until']}"
    assert record["rate_override:0"] == record["rate_override"]
    page = Operator().get(setting, "/admin/rate").text
    assert "Set by hand" in page
    assert "the feed is wrong" in page
    assert "Take it back" not in page
    waiting = shop.pay_plainly(customer, 1000 * TOKEN)
    wait_until(lambda: int(stack.chain.block()["timestamp"], 16) < int(time.time()))
    assert admin.decide(setting, "/api/admin/rate/end", {"reason": "the feed is right"}).is_success
    assert quoted_rate(shop, setting, customer) == ("0.00600", "coingecko:lit-protocol")
    fresh = stack.serve()
    assert quoted_rate(shop, fresh, customer) == ("0.00600", "coingecko:lit-protocol")
    assert shop.claimed(fresh, waiting)["payments"][0]["cents"] == 710, "its block lies within the time it was set"
    record = stack.stripe(f"customers/{stack.settings['SERVICE_CUSTOMER_ID']}")["metadata"]
    assert "rate_override" not in record
    assert int(record["rate_override:0"].rpartition(":")[2]) < made["until"]


@pytest.mark.parametrize(
    "body",
    [
        {"rate": "", "hours": 1, "reason": "because they asked"},
        {"rate": "0", "hours": 1, "reason": "because they asked"},
        {"rate": "-1", "hours": 1, "reason": "because they asked"},
        {"rate": "1e-3", "hours": 1, "reason": "because they asked"},
        {"rate": "0,006", "hours": 1, "reason": "because they asked"},
        {"rate": "0.006", "hours": 25, "reason": "because they asked"},
        {"rate": "0.006", "hours": 0, "reason": "because they asked"},
        {"rate": "0.006", "hours": "1", "reason": "because they asked"},
        {"rate": "0.006", "hours": 1, "reason": " "},
        {"rate": "0.006", "hours": 1, "reason": "r" * 201},
        {"rate": "0.006", "hours": 1, "reason": "because they asked", "operator": "me"},
    ],
)
def test_bad_rates_change_nothing(stack: Stack, service: Service, body: dict[str, Any]) -> None:
    before = stack.stripe(f"customers/{stack.settings['SERVICE_CUSTOMER_ID']}")["metadata"]
    problem(Operator(ADMIN).decide(service, "/api/admin/rate", body), 422, "invalid_input")
    assert stack.stripe(f"customers/{stack.settings['SERVICE_CUSTOMER_ID']}")["metadata"] == before


def test_pages_say_so_when_stripe_is_unavailable(shop: Shop, stack: Stack) -> None:
    service, customer, operator = stack.serve(), shop.customer(), Operator()
    form = operator.form(service, customer.id)
    stack.control("POST", "faults", {"effect": "gateway", "times": None})
    try:
        for path in (f"/admin/customers/{customer.id}", "/admin/grants", "/admin/stuck", "/admin/rate"):
            page = operator.get(service, path)
            assert page.status_code == 503
            assert "Nothing was changed and no money moved" in page.text
        wish = {"form": form, "amount": "5", "reason": "goodwill", "note": WHY}
        assert "Try again" in operator.post(service, "/api/admin/grants/check", wish).json()["detail"]
    finally:
        stack.control("DELETE", "faults")
    assert operator.get(service, "/admin/grants").status_code == 200
