"""Customers: objects, changes, deletion, list and search."""

from tests.sandbox.in_process_client import START, InProcessClient

FIELDS = {
    *("id", "object", "address", "balance", "created", "currency", "default_source", "delinquent", "description"),
    *(
        "discount",
        "email",
        "invoice_prefix",
        "invoice_settings",
        "livemode",
        "metadata",
        "name",
        "next_invoice_sequence",
    ),
    *("phone", "preferred_locales", "shipping", "tax_exempt", "test_clock"),
}


def test_a_customer_has_exactly_stripes_fields(ask: InProcessClient) -> None:
    made = ask("POST", "/v1/customers", {"email": "a@b.c", "name": "N", "metadata[a]": "1", "phone": "+1"}).body
    assert set(made) == FIELDS
    assert (made["email"], made["name"], made["phone"], made["metadata"]) == ("a@b.c", "N", "+1", {"a": "1"})
    assert (made["balance"], made["currency"], made["created"]) == (0, None, START)
    assert ask("GET", f"/v1/customers/{made['id']}").body == made
    rendered = ask("GET", f"/v1/customers/{made['id']}", {"expand[]": "invoice_credit_balance"}).body
    assert set(rendered) == FIELDS | {"invoice_credit_balance"}


def test_an_update_merges_metadata_key_by_key_and_leaves_the_rest(ask: InProcessClient) -> None:
    path = "/v1/customers/" + ask.customer(email="a@b.c", **{"metadata[a]": "1", "metadata[b]": "2"})
    changed = ask("POST", path, {"metadata[b]": "", "metadata[c]": "3", "name": "N"}).body
    assert (changed["metadata"], changed["email"], changed["name"]) == ({"a": "1", "c": "3"}, "a@b.c", "N")
    assert ask("POST", path, {"email": "", "description": "d"}).body["email"] is None
    assert ask("POST", path, {"metadata": ""}).body["metadata"] == {}
    assert ask("POST", path, {"description": ""}).body["description"] is None


def test_a_customer_holds_50_keys(ask: InProcessClient) -> None:
    customer = ask.customer(**{f"metadata[k{number}]": "v" for number in range(50)})
    path = f"/v1/customers/{customer}"
    assert ask("POST", path, {"metadata[k0]": "w"}).status == 200
    assert ask("POST", path, {"metadata[more]": "v"}).error["param"] == "metadata"
    assert ask("POST", path, {"metadata[k1]": "", "metadata[more]": "v"}).status == 200


def test_setting_the_balance_leaves_a_row_without_metadata(ask: InProcessClient) -> None:
    customer = ask.customer(balance="-100")
    path = f"/v1/customers/{customer}"
    assert ask("POST", path, {"balance": "-250"}).body["balance"] == -250
    rows = ask.rows(customer)
    assert [(row["type"], row["amount"], row["metadata"]) for row in rows] == [
        ("adjustment", -150, {}),
        ("initial", -100, {}),
    ]
    assert ask("POST", path, {"balance": "-250"}).status == 200
    assert len(ask.rows(customer)) == 2
    assert ask("POST", path, {"balance": "100000000"}).error["param"] == "balance"


def test_bad_texts_are_refused(ask: InProcessClient) -> None:
    assert ask("POST", "/v1/customers", {"email": "nobody"}).error["code"] == "email_invalid"
    assert ask("POST", "/v1/customers", {"email": ""}).error["code"] == "parameter_invalid_empty"
    assert ask("POST", "/v1/customers", {"name": "x" * 257}).error["param"] == "name"
    assert ask("POST", "/v1/customers", {"currency": "usd"}).error["code"] == "parameter_unknown"
    assert ask("GET", "/v1/customers/cus_none").error["message"] == "No such customer: 'cus_none'"


def test_a_deleted_customer_is_a_stub_and_in_no_list_or_search(ask: InProcessClient) -> None:
    customer = ask.customer(email="a@b.c")
    path = f"/v1/customers/{customer}"
    stump = {"id": customer, "object": "customer", "deleted": True}
    assert ask("DELETE", path).body == stump
    answer = ask("GET", path)
    assert (answer.status, answer.body) == (200, stump)
    assert ask("GET", "/v1/customers").body["data"] == []
    assert ask("GET", "/v1/customers/search", {"query": 'email:"a@b.c"'}).body["data"] == []
    gone = ask("POST", path, {"name": "N"})
    assert (gone.status, gone.error["code"]) == (404, "resource_missing")
    assert ask("DELETE", path).status == 404


def test_the_metadata_of_a_deleted_customer_is_found_no_more(ask: InProcessClient) -> None:
    ask.stripe.search_lag = 60
    remaining, gone = (ask.customer(name="Same Name", **{"metadata[a]": "1"}) for _ in range(2))
    ask.clock.now += 61
    ask("DELETE", f"/v1/customers/{gone}")
    rendered = ask("GET", f"/v1/customers/{gone}", {"expand[]": "invoice_credit_balance"}).body
    assert set(rendered) == {"id", "object", "deleted"}
    for query in ('metadata["a"]:"1"', 'name:"same name"'):
        result = ask("GET", "/v1/customers/search", {"query": query}).body
        assert [customer["id"] for customer in result["data"]] == [remaining]
    assert [customer["id"] for customer in ask("GET", "/v1/customers").body["data"]] == [remaining]


def test_a_customer_on_a_test_clock_lives_by_its_time_and_in_its_list(ask: InProcessClient) -> None:
    missing = ask("POST", "/v1/customers", {"test_clock": "clock_1"})
    assert (missing.status, missing.error["code"], missing.error["param"]) == (400, "resource_missing", "test_clock")
    ask.stripe.account.set_test_clock("clock_1", START + 90_000)
    plain, on_it = ask.customer(), ask.customer(test_clock="clock_1", balance="-5")
    rendered = ask("GET", f"/v1/customers/{on_it}").body
    assert (rendered["test_clock"], rendered["created"]) == ("clock_1", START + 90_000)
    assert ask("GET", f"/v1/customers/{plain}").body["test_clock"] is None
    assert ask.credit(on_it).body["created"] == START + 90_000
    assert [row["type"] for row in ask.rows(on_it, **{"created[gt]": START})] == ["adjustment", "initial"]
    results = ask("GET", "/v1/customers/search", {"query": "created>5"}).body["data"]
    assert {customer["id"] for customer in results} == {plain, on_it}
    for form, expected in (({}, [plain]), ({"test_clock": "clock_1"}, [on_it]), ({"test_clock": "clock_2"}, [])):
        assert [customer["id"] for customer in ask("GET", "/v1/customers", form).body["data"]] == expected


def test_the_list_compares_emails_exactly(ask: InProcessClient) -> None:
    upper, lower = ask.customer(email="Bob@x.org"), ask.customer(email="bob@x.org")
    second = ask.customer(email="bob@x.org")
    listed = ask("GET", "/v1/customers", {"email": "bob@x.org"}).body["data"]
    assert [customer["id"] for customer in listed] == [second, lower]
    assert upper not in str(listed)


def test_the_list_pages_and_filters_by_created(ask: InProcessClient) -> None:
    ids = []
    for _ in range(5):
        ids.append(ask.customer())
        ask.clock.now += 10
    newest_first = ids[::-1]
    page = ask("GET", "/v1/customers", {"limit": 2}).body
    assert ([customer["id"] for customer in page["data"]], page["has_more"]) == (newest_first[:2], True)
    rest = ask("GET", "/v1/customers", {"starting_after": newest_first[1]}).body
    assert [customer["id"] for customer in rest["data"]] == newest_first[2:]
    back = ask("GET", "/v1/customers", {"ending_before": newest_first[3], "limit": 2}).body
    assert [customer["id"] for customer in back["data"]] == newest_first[1:3]
    assert len(ask("GET", "/v1/customers", {"created[gte]": START + 20}).body["data"]) == 3
    both = {"starting_after": ids[0], "ending_before": ids[1]}
    assert ask("GET", "/v1/customers", both).status == 400
    assert ask("GET", "/v1/customers", {"starting_after": "cus_none"}).error["param"] == "starting_after"


def test_expand_of_a_list_reaches_its_members(ask: InProcessClient) -> None:
    ask.customer(balance="5")
    listed = ask("GET", "/v1/customers", {"expand[]": "data.invoice_credit_balance"}).body["data"][0]
    assert listed["invoice_credit_balance"] == {"usd": -5}
    assert ask("GET", "/v1/customers", {"expand[]": "invoice_credit_balance"}).status == 400


def test_search_trails_the_writes_but_shows_the_newest_object(ask: InProcessClient) -> None:
    ask.stripe.search_lag = 60
    customer = ask.customer(**{"metadata[wallet_address]": "0xa"})
    query = {"query": 'metadata["wallet_address"]:"0xa"'}
    path = "/v1/customers/search"
    assert ask("GET", path, query).body["data"] == []
    ask.clock.now += 60
    assert ask("GET", path, query).body["data"][0]["id"] == customer
    ask("POST", f"/v1/customers/{customer}", {"metadata[wallet_address]": "0xb"})
    stale = ask("GET", path, query).body["data"][0]
    assert stale["metadata"] == {"wallet_address": "0xb"}
    ask.clock.now += 60
    assert ask("GET", path, query).body["data"] == []


def test_search_pages_with_a_token(ask: InProcessClient) -> None:
    ids = [ask.customer(name="Same Name") for _ in range(5)][::-1]
    form = {"query": 'name:"same name"', "limit": "2"}
    seen: list[str] = []
    page = ask("GET", "/v1/customers/search", form).body
    assert (page["object"], page["url"]) == ("search_result", "/v1/customers/search")
    while True:
        seen += [customer["id"] for customer in page["data"]]
        if not page["has_more"]:
            break
        page = ask("GET", "/v1/customers/search", {**form, "page": page["next_page"]}).body
    assert page["next_page"] is None
    assert seen == ids
    assert ask("GET", "/v1/customers/search", {**form, "page": "?"}).error["param"] == "page"
    assert ask("GET", "/v1/customers/search").error["code"] == "parameter_missing"
    assert ask("GET", "/v1/customers/search", {**form, "starting_after": ids[0]}).error["code"] == "parameter_unknown"
