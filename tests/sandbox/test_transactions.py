"""Balance transactions: the ledger's rules and its list."""

import time
import timeit
from typing import Any

import pytest

from stateless_billing.sandbox import effects
from stateless_billing.sandbox.account import Entry
from tests.sandbox.in_process_client import START, InProcessClient, rows_path

FIELDS = {
    *(
        "id",
        "object",
        "amount",
        "checkout_session",
        "created",
        "credit_note",
        "currency",
        "customer",
        "customer_account",
    ),
    *("description", "ending_balance", "invoice", "livemode", "metadata", "type"),
}


def test_a_row_has_exactly_stripes_fields(ask: InProcessClient) -> None:
    customer = ask.customer()
    row = ask.credit(customer, 500, description="d", **{"metadata[kind]": "payment"}).body
    assert set(row) == FIELDS
    assert row["object"] == "customer_balance_transaction"
    assert (row["amount"], row["ending_balance"], row["created"]) == (-500, -500, START)
    assert (row["currency"], row["customer"], row["type"]) == ("usd", customer, "adjustment")
    assert (row["description"], row["metadata"], row["livemode"]) == ("d", {"kind": "payment"}, False)


def test_ending_balances_are_a_chain_and_end_in_the_customers_balance(ask: InProcessClient) -> None:
    customer = ask.customer()
    for cents in (500, -200, 1):
        ask.credit(customer, cents)
    assert [row["ending_balance"] for row in ask.rows(customer)] == [-301, -300, -500]
    assert ask("GET", f"/v1/customers/{customer}").body["balance"] == -301


def test_the_first_row_sets_an_unset_currency_and_others_have_balances_of_their_own(ask: InProcessClient) -> None:
    customer = ask.customer()
    assert ask("GET", f"/v1/customers/{customer}").body["currency"] is None
    ask.credit(customer, 5, currency="eur")
    row = ask.credit(customer, 7, currency="USD").body
    assert (row["currency"], row["ending_balance"]) == ("usd", -7)
    rendered = ask("GET", f"/v1/customers/{customer}", {"expand[]": "invoice_credit_balance"}).body
    assert (rendered["currency"], rendered["balance"]) == ("eur", -5)
    assert rendered["invoice_credit_balance"] == {"eur": 5, "usd": 7}


def test_an_update_reaches_the_texts_only(ask: InProcessClient) -> None:
    customer = ask.customer()
    path = f"{rows_path(customer)}/{ask.credit(customer, 5, description='d', **{'metadata[a]': '1'}).body['id']}"
    row = ask("POST", path, {"metadata[b]": "2", "description": ""}).body
    assert (row["metadata"], row["description"]) == ({"a": "1", "b": "2"}, None)
    assert ask("POST", path, {"metadata[a]": ""}).body["metadata"] == {"b": "2"}
    assert ask("POST", path, {"metadata": ""}).body["metadata"] == {}
    for name in ("amount", "currency", "customer"):
        assert ask("POST", path, {name: "1"}).error["code"] == "parameter_unknown"
    assert ask("GET", path).body["amount"] == -5
    assert ask("DELETE", path).status == 404


@pytest.mark.parametrize(
    ("form", "code", "param"),
    [
        ({"amount": ""}, "parameter_invalid_integer", "amount"),
        ({"amount": "1.5"}, "parameter_invalid_integer", "amount"),
        ({"amount": "0"}, "parameter_invalid_integer", "amount"),
        ({"amount": "100000000"}, "amount_too_large", "amount"),
        ({"currency": ""}, "parameter_invalid_empty", "currency"),
        ({"description": ""}, "parameter_invalid_empty", "description"),
        ({"colour": "red"}, "parameter_unknown", "colour"),
        ({"nested[a]": "red"}, "parameter_unknown", "nested[a]"),
    ],
)
def test_bad_parameters_are_refused_by_name(ask: InProcessClient, form: dict[str, Any], code: str, param: str) -> None:
    customer = ask.customer()
    answer = ask.credit(customer, 1, **form)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, code, param)
    assert answer.error["doc_url"] == "https://docs.stripe.com/error-codes/" + code.replace("_", "-")
    assert ask.rows(customer) == []


@pytest.mark.parametrize("missing", ["amount", "currency"])
def test_missing_parameters_are_named(ask: InProcessClient, missing: str) -> None:
    form = {"amount": "-1", "currency": "usd"}
    del form[missing]
    answer = ask("POST", rows_path(ask.customer()), form)
    assert (answer.error["code"], answer.error["param"]) == ("parameter_missing", missing)


def test_an_unknown_currency_is_refused(ask: InProcessClient) -> None:
    assert ask.credit(ask.customer(), 1, currency="xxx").error["param"] == "currency"


def test_the_list_is_newest_first_ten_by_default_and_pages_both_ways(ask: InProcessClient) -> None:
    customer = ask.customer()
    ids = [ask.credit(customer, cents).body["id"] for cents in range(1, 26)][::-1]
    first = ask("GET", rows_path(customer)).body
    assert [row["id"] for row in first["data"]] == ids[:10]
    assert (first["object"], first["has_more"], first["url"]) == ("list", True, rows_path(customer))
    last = ask("GET", rows_path(customer), {"starting_after": ids[19]}).body
    assert [row["id"] for row in last["data"]] == ids[20:]
    assert last["has_more"] is False
    back = ask("GET", rows_path(customer), {"ending_before": ids[19], "limit": 3}).body
    assert [row["id"] for row in back["data"]] == ids[16:19]
    assert back["has_more"] is True


def test_created_filters(ask: InProcessClient) -> None:
    customer = ask.customer()
    for _ in range(4):
        ask.credit(customer)
        ask.clock.now += 10
    for form, expected in (
        ({"created[gte]": START + 10}, [30, 20, 10]),
        ({"created[gt]": START + 10}, [30, 20]),
        ({"created[lt]": START + 20, "created[gt]": START}, [10]),
        ({"created[lte]": START + 20}, [20, 10, 0]),
        ({"created": START + 20}, [20]),
        ({"created[gte]": START + 100}, []),
    ):
        assert [row["created"] - START for row in ask.rows(customer, **form)] == expected
    assert ask("GET", rows_path(customer), {"created[near]": "1"}).error["param"] == "created[near]"
    assert ask("GET", rows_path(customer), {"created[gt]": "soon"}).error["code"] == "parameter_invalid_integer"


@pytest.mark.parametrize("cursor", ["starting_after", "ending_before"])
def test_an_unknown_cursor_is_a_400(ask: InProcessClient, cursor: str) -> None:
    first, other = ask.customer(), ask.customer()
    foreign = ask.credit(other).body["id"]
    for identifier in ("cbtxn_none", foreign):
        answer = ask("GET", rows_path(first), {cursor: identifier})
        assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "resource_missing", cursor)


@pytest.mark.parametrize("limit", ["0", "101", "-1", "ten"])
def test_a_limit_is_1_to_100(ask: InProcessClient, limit: str) -> None:
    assert ask("GET", rows_path(ask.customer()), {"limit": limit}).error["code"] == "parameter_invalid_integer"


def test_there_is_no_filter_by_metadata_or_type(ask: InProcessClient) -> None:
    for name in ("metadata[kind]", "type", "currency"):
        assert ask("GET", rows_path(ask.customer()), {name: "x"}).error["code"] == "parameter_unknown"


def test_expand_takes_only_what_can_be_expanded(ask: InProcessClient) -> None:
    customer = ask.customer()
    row = ask.credit(customer, 1, **{"expand[]": "customer"}).body
    assert row["customer"]["id"] == customer
    assert ask.rows(customer, **{"expand[]": "data.customer"})[0]["customer"]["object"] == "customer"
    answer = ask.credit(customer, 1, **{"expand[]": "ledger"})
    assert answer.error["message"] == "This property cannot be expanded (ledger)."


def test_a_lagging_list_lacks_the_young_rows_for_everybody(ask: InProcessClient) -> None:
    customer = ask.customer()
    ask.credit(customer)
    ask.stripe.list_lag = 60
    assert ask.rows(customer) == []
    ask.clock.now += 60
    assert len(ask.rows(customer)) == 1


def test_a_deleted_customer_takes_no_row_and_shows_none(ask: InProcessClient) -> None:
    customer = ask.customer()
    ask.credit(customer)
    ask("DELETE", f"/v1/customers/{customer}")
    for method in ("POST", "GET"):
        answer = ask(method, rows_path(customer), {"amount": -1, "currency": "usd"} if method == "POST" else {})
        assert (answer.status, answer.error["code"], answer.error["param"]) == (404, "resource_missing", "customer")
        assert answer.error["message"] == f"No such customer: '{customer}'"


def test_the_rows_of_a_deleted_customer_are_gone_one_by_one_too(ask: InProcessClient) -> None:
    customer = ask.customer()
    row = ask.credit(customer).body["id"]
    ask("DELETE", f"/v1/customers/{customer}")
    for method in ("GET", "POST"):
        answer = ask(method, f"{rows_path(customer)}/{row}")
        assert (answer.status, answer.error["code"]) == (404, "resource_missing")
    assert ask("GET", rows_path(ask.customer()), {"starting_after": row}).error["code"] == "resource_missing"


def test_deferred_work_is_never_written_to_a_deleted_customer(ask: InProcessClient) -> None:
    customer = ask.customer()
    ask.stripe.faults.add(effects.error_saved_late(60), method="POST")
    ask.credit(customer)
    ask("DELETE", f"/v1/customers/{customer}")
    ask.clock.now += 61
    ask.stripe.finish_late_work()
    assert ask.stripe.account.by_id[customer].rows == []


def test_rows_inserted_while_paging_do_not_move_the_pages(ask: InProcessClient) -> None:
    customer = ask.customer()
    ids = [ask.credit(customer).body["id"] for _ in range(5)][::-1]
    page = ask("GET", rows_path(customer), {"limit": 2}).body["data"]
    ask.credit(customer)
    rest = ask("GET", rows_path(customer), {"limit": 10, "starting_after": page[-1]["id"]}).body["data"]
    assert [row["id"] for row in page + rest] == ids


def test_a_page_of_a_long_ledger_costs_no_more_than_one_of_a_short(ask: InProcessClient) -> None:
    def seconds(customer: str, after: str) -> float:
        query = {"limit": 1, "starting_after": after, "created[gte]": 5}
        return min(timeit.repeat(lambda: ask("GET", rows_path(customer), query), timer=time.process_time, number=50))

    took = []
    for count in (100, 100_000):
        customer = ask.customer()
        rows = ask.stripe.account.add_past(
            ask.stripe.account.by_id[customer], ((number, Entry(1, "usd")) for number in range(count))
        )
        took.append(seconds(customer, rows[count // 2].id))
    assert took[1] < 10 * took[0] + 0.05
