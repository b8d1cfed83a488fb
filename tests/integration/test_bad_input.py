"""Invalid input gets a clear problem and the right status; no secret is logged."""

import json

import pytest

from stateless_billing.sandbox.stack import KEY, Service, Stack
from tests.integration.shop import Shop, problem

WALLET = "0x52908400098527886E0F7030069857D2E4169EE7"
MISTYPED = "0x52908400098527886E0F7030069857D2E4169Ee7"
HASH = "0x" + "ab" * 32

GETS = [
    ("/api/accounts/hello", 422, "invalid_input"),
    (f"/api/accounts/{WALLET[:-1]}", 422, "invalid_input"),
    (f"/api/accounts/{MISTYPED}", 422, "invalid_input"),
    (f"/api/accounts/{WALLET}%00", 422, "invalid_input"),
    (f"/api/accounts/{WALLET[:-1]}é", 422, "invalid_input"),
    ("/api/payments/0x12", 422, "invalid_input"),
    (f"/api/payments/{HASH}zz", 422, "invalid_input"),
    ("/api/payments/" + "9" * 5000, 422, "invalid_input"),
    ("/nothing/here", 404, "not_found"),
    ("/api", 404, "not_found"),
    ("/static/x/../../app.py", 404, "not_found"),
    ("/static/x/nothing.js", 404, "not_found"),
    ("/problems/nothing", 404, "not_found"),
]

BODIES = [
    ("/api/quotes", "{", 400, "bad_request"),
    ("/api/quotes", "[]", 400, "bad_request"),
    ("/api/quotes", '"text"', 400, "bad_request"),
    ("/api/quotes", "", 400, "bad_request"),
    ("/api/quotes", "\xff", 400, "bad_request"),
    ("/api/quotes", "[" * 9000, 400, "bad_request"),
    ("/api/quotes", '{"wallet": NaN}', 400, "bad_request"),
    ("/api/quotes", '{"cents": 1' + "0" * 9000 + "}", 422, "invalid_input"),
    ("/api/quotes", "{}", 422, "invalid_input"),
    ("/api/quotes", f'{{"wallet": "{WALLET}"}}', 422, "invalid_input"),
    ("/api/quotes", '{"wallet": 5, "cents": 5000}', 422, "invalid_input"),
    ("/api/quotes", f'{{"wallet": "{MISTYPED}", "cents": 5000}}', 422, "invalid_input"),
    ("/api/quotes", f'{{"wallet": "{WALLET}", "cents": -1}}', 422, "invalid_input"),
    ("/api/quotes", f'{{"wallet": "{WALLET}", "cents": 0}}', 422, "invalid_input"),
    ("/api/quotes", f'{{"wallet": "{WALLET}", "cents": 50.0}}', 422, "invalid_input"),
    ("/api/quotes", f'{{"wallet": "{WALLET}", "cents": true}}', 422, "invalid_input"),
    ("/api/quotes", f'{{"wallet": "{WALLET}", "cents": "5000"}}', 422, "invalid_input"),
    ("/api/quotes", f'{{"wallet": "{WALLET}", "cents": 1000000000000000000000}}', 422, "invalid_input"),
    ("/api/quotes", f'{{"wallet": "{WALLET}", "cents": 5000, "payer": "0x"}}', 422, "invalid_input"),
    ("/api/quotes", f'{{"wallet": "{WALLET}", "cents": 5000, "more": 1}}', 422, "invalid_input"),
    ("/api/quotes", f'{{"wallet": "{WALLET}", "cents": 5000}}', 404, "unknown_wallet"),
    ("/api/payments", '{"tx_hash": null}', 422, "invalid_input"),
    ("/api/payments", f'{{"tx_hash": ["{HASH}"]}}', 422, "invalid_input"),
    ("/api/payments", f'{{"tx_hash": "{HASH[2:]}"}}', 422, "invalid_input"),
    ("/api/payments", '{"tx_hash": "' + "a" * 20_000 + '"}', 413, "body_too_large"),
]


@pytest.mark.parametrize(("path", "status", "code"), GETS)
def test_malformed_addresses(shop: Shop, service: Service, path: str, status: int, code: str) -> None:
    problem(shop.stack.http.get(service.url + path), status, code)


@pytest.mark.parametrize(("path", "body", "status", "code"), BODIES)
def test_malformed_bodies(shop: Shop, service: Service, path: str, body: str, status: int, code: str) -> None:
    sent = body.encode("latin-1")
    answer = shop.stack.http.post(service.url + path, content=sent, headers={"content-type": "application/json"})
    error_body = problem(answer, status, code)
    assert WALLET[5:] not in error_body["detail"], "an error never repeats the input"


def test_bodies_that_are_not_json(shop: Shop, service: Service) -> None:
    for headers in ({}, {"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}):
        answer = shop.stack.http.post(f"{service.url}/api/payments", content=b"tx_hash=1", headers=headers)
        problem(answer, 415, "unsupported_media_type")


def test_wrong_methods_say_which_are_right(shop: Shop, service: Service) -> None:
    for method, path, right in [
        ("POST", "/pay", "GET, HEAD"),
        ("GET", "/api/quotes", "POST"),
        ("DELETE", "/api/payments", "POST"),
        ("PUT", f"/api/payments/{HASH}", "GET, HEAD"),
    ]:
        answer = shop.stack.http.request(method, service.url + path)
        problem(answer, 405, "method_not_allowed")
        assert sorted(answer.headers["allow"].split(", ")) == sorted(right.split(", "))


def test_people_in_a_browser_get_a_page(shop: Shop, service: Service) -> None:
    for method, path, status in [
        ("GET", "/nothing/here", 404),
        ("GET", "/receipt/0x12/0", 422),
        ("GET", f"/receipt/{HASH}/0", 404),
        ("GET", f"/receipt/{HASH}/x", 422),
        ("GET", "/static/x/nothing.js", 404),
        ("POST", "/pay", 405),
    ]:
        answer = shop.stack.http.request(method, service.url + path, headers={"accept": "text/html,*/*;q=0.8"})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert "No money moved." in answer.text
        assert answer.headers["x-request-id"] in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_amounts_outside_the_limits_name_them(shop: Shop, service: Service) -> None:
    customer = shop.customer()
    for cents, code in [(499, "below_minimum"), (500_001, "above_maximum")]:
        answer = shop.stack.http.post(f"{service.url}/api/quotes", json={"wallet": customer.wallet, "cents": cents})
        assert "$5" in problem(answer, 422, code)["detail"]


def test_a_wallet_on_two_customers_is_a_conflict(shop: Shop, service: Service) -> None:
    customer = shop.customer()
    shop.stack.add_customer("other@example.org", customer.wallet)
    answer = shop.stack.http.post(f"{service.url}/api/quotes", json={"wallet": customer.wallet, "cents": 5000})
    problem(answer, 409, "wallet_conflict")


def test_an_account_that_takes_no_payments_gets_no_quote(shop: Shop, service: Service) -> None:
    customer = shop.customer()
    metadata = {"wallet_address": customer.wallet, "gateway_payments": "off"}
    shop.stack.control("POST", f"customers/{customer.id}", {"metadata": metadata})
    answer = shop.stack.http.post(f"{service.url}/api/quotes", json={"wallet": customer.wallet, "cents": 5000})
    assert "no money moved" in problem(answer, 409, "not_payable")["detail"]
    assert "signature" not in answer.json()
    account = shop.stack.http.get(f"{service.url}/api/accounts/{customer.wallet}")
    assert account.json()["found"], "what was paid before is still shown"


def test_unknown_and_known_wallets_answer_in_the_same_shape(shop: Shop, service: Service) -> None:
    registered, unknown = (
        shop.stack.http.get(f"{service.url}/api/accounts/{wallet}").json()
        for wallet in (shop.customer().wallet, WALLET)
    )
    assert registered.keys() == unknown.keys()
    assert (registered["found"], unknown["found"], unknown["email"], unknown["payments"]) == (True, False, None, [])
    assert registered["email"] == "p…9@e…" or registered["email"].startswith("p…")


def test_pages_tolerate_bad_queries(shop: Shop, service: Service) -> None:
    for query in ("wallet=hello&usd=<script>", "wallet=&usd=1e9", "usd=²", "wallet=0x00", "wallet=%F0%9F%92%A9&usd=-1"):
        answer = shop.stack.http.get(f"{service.url}/pay?{query}")
        assert answer.status_code == 200
        assert "<script>" not in answer.text.replace("<script ", "")


def test_unavailable_nodes_and_stripe_are_503_and_not_an_empty_answer(shop: Shop, stack: Stack) -> None:
    lost = stack.serve(STRIPE_API_BASE=stack.sandbox)
    customer = shop.customer()
    stack.control("POST", "faults", {"effect": "lost_before", "times": 50})
    problem(stack.http.get(f"{lost.url}/api/accounts/{customer.wallet}"), 503, "stripe_unavailable")


def test_nothing_secret_is_logged(shop: Shop, stack: Stack, service: Service) -> None:
    log = service.log()
    assert "uvicorn" in log
    for secret in (KEY, stack.settings["SIGNER_KEY"], stack.settings["RPC_URLS"]):
        assert secret not in log


def test_settings_are_checked_together_and_by_name(stack: Stack) -> None:
    done = stack.run("serve", SIGNER_KEY="geheim", RPC_URLS="ftp://geheim", GATEWAY_ADDRESSES="", QUOTE_SECONDS="601")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 4
    assert all(name in done.stderr for name in ("SIGNER_KEY", "RPC_URLS", "GATEWAY_ADDRESSES", "QUOTE_SECONDS"))
    assert "geheim" not in done.stderr


def test_a_wrong_chain_or_account_is_rejected_at_start(stack: Stack) -> None:
    for settings, named, code in [
        ({"CHAIN_ID": "8453"}, "CHAIN_ID", 2),
        ({"GATEWAY_ADDRESSES": stack.treasury}, "GATEWAY_ADDRESSES", 2),
        ({"SERVICE_CUSTOMER_ID": stack.add_customer("x@example.org", WALLET)}, "doctor --init", 2),
        ({"STRIPE_API_KEY": "sk_test_wrong"}, "STRIPE_API_KEY", 3),
        ({"RPC_URLS": "http://127.0.0.1:9/key-geheim"}, "RPC_URLS", 3),
        ({"PORT": stack.sandbox.rpartition(":")[2]}, "cannot be listened on", 2),
    ]:
        done = stack.run("serve", **{"PORT": "0"} | settings)
        assert (done.returncode, "geheim" in done.stderr) == (code, False), done.stderr
        assert named in done.stderr


def test_the_doctor_says_what_to_fix(shop: Shop, stack: Stack) -> None:
    shop.deepen()  # a chain without a block for a minute would be reported
    stack.control("POST", "mails/settings", {"per_second": None})
    well = stack.run("doctor")
    assert well.returncode == 0, well.stdout
    assert {line.split()[0] for line in well.stdout.splitlines()} == {"ok", "note"}
    assert "0 to mend, 0 not looked at" in well.stderr
    ill = stack.run("doctor", SIGNER_KEY="11" * 32, GATEWAY_ADDRESSES=f"{stack.gateways[0]},{stack.treasury}")
    assert ill.returncode == 1
    mended = [line.split()[1] for line in ill.stdout.splitlines() if line.startswith("MEND")]
    assert mended == ["gateways:", "signer:"]
    report = json.loads(stack.run("doctor", "--json", RPC_URLS="http://127.0.0.1:9").stdout)
    assert (report["schema_version"], report["exit_code"]) == (1, 3)
    states = {check["name"]: check["state"] for check in report["checks"]}
    assert (states["stripe_key"], states["node_1"], states["signer"]) == ("ok", "unread", "unread")
    bad = stack.run("doctor", "--json", SIGNER_KEY="geheim", RPC_URLS="")
    assert (bad.returncode, json.loads(bad.stdout)["exit_code"]) == (2, 2)
    assert [check["detail"].split()[0] for check in json.loads(bad.stdout)["checks"]] == ["RPC_URLS", "SIGNER_KEY"]
    assert "geheim" not in bad.stdout + bad.stderr


def test_init_is_repeatable(stack: Stack) -> None:
    first, again = stack.run("doctor", "--init"), stack.run("doctor", "--init")
    assert first.stdout == again.stdout == f"SERVICE_CUSTOMER_ID={stack.settings['SERVICE_CUSTOMER_ID']}\n"


def test_readiness_tells_each_part(shop: Shop, service: Service) -> None:
    answer = shop.stack.http.get(f"{service.url}/readyz")
    assert set(answer.json()) == {"ready", "checks"}
    for check in answer.json()["checks"].values():
        assert set(check) == {"ok", "age", "detail"}
    assert json.loads(shop.stack.http.get(f"{service.url}/healthz").text) == {"ok": True}
