"""Public routes: receipts, limits, the return link, and the credit webhook."""

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from stateless_billing.crediting.webhook import sign_body
from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.listener import start_listener
from tests.integration.shop import Shop, problem, wait_until

SECRET = "whsec_geheim"
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
JSON = {"accept": "application/json"}
STRANGER = "0x{:040x}"


def test_a_receipt_from_one_read(shop: Shop, stack: Stack, service: Service) -> None:
    tx_hash = shop.pay(service, shop.customer())
    paid = shop.claimed(service, tx_hash)["payments"][0]
    fresh = stack.serve()
    shop.count_from_zero()
    receipt = stack.http.get(f"{fresh.url}/receipt/{tx_hash}/0", headers=JSON).json()
    assert receipt.pop("rate") == "0.005999999999999999", "the amount was rounded up"
    assert receipt.pop("chain_id") == stack.chain.chain_id
    assert (receipt.pop("tx_hash"), receipt.pop("retry_after")) == (tx_hash, None)
    assert receipt == {**paid, "confirmed": None, "needed": None}
    assert sum(shop.counts().values()) == 1


def test_a_receipt_behind_many_newer_entries(shop: Shop, stack: Stack, service: Service) -> None:
    customer = shop.customer()
    tx_hash = shop.pay(service, customer)
    shop.claimed(service, tx_hash)
    shop.finalize()
    assert stack.run("sweep", "--once").returncode == 0
    stack.control("POST", f"customers/{customer.id}/rows", {"amount": 1, "currency": "usd", "count": 150})
    fresh = stack.serve()
    shop.count_from_zero()
    receipt = stack.http.get(f"{fresh.url}/receipt/{tx_hash}/0", headers=JSON).json()
    assert (receipt["state"], receipt["cents"], receipt["credit"]) == ("credited", 5000, None)
    assert sum(shop.counts().values()) == 1


def test_a_receipt_is_a_page_without_personal_data(shop: Shop, stack: Stack, service: Service) -> None:
    customer = shop.customer()
    tx_hash = shop.pay(service, customer)
    shop.claimed(service, tx_hash)
    page = stack.http.get(f"{service.url}/receipt/{tx_hash}/0", headers=HTML)
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["vary"].lower().startswith("accept")
    for text in ("$50.00", "Credited", tx_hash, "cbtxn_", '<svg viewBox="'):
        assert text in page.text
    document = base64.b64decode(page.text.split("data:application/json;base64,")[1].split('"')[0]).decode()
    assert json.loads(document) == stack.http.get(page.url, headers={"accept": "application/json"}).json()
    for hidden in ("example.org", customer.id):
        assert hidden not in page.text + document
    assert "payer" not in page.text
    assert page.text.count("<script") == page.text.count('receipt.js"></script>') == 1


def test_a_receipt_before_the_credit_says_so(shop: Shop, stack: Stack, service: Service) -> None:
    tx_hash = shop.pay(service, shop.customer(), 50_000, deep=False)
    page = stack.http.get(f"{service.url}/receipt/{tx_hash}/0", headers=HTML)
    assert '<meta http-equiv="refresh"' in page.text
    assert "Confirming" in page.text


def test_a_transaction_is_looked_up_on_the_page_without_writing(shop: Shop, stack: Stack, service: Service) -> None:
    customer = shop.customer()
    tx_hash = shop.pay(service, customer)
    shop.count_from_zero()

    def look_up(tx_hash: str) -> str:
        return stack.http.get(f"{service.url}/pay", params={"wallet": customer.wallet, "tx_hash": tx_hash}).text

    assert "Paid, the credit is on its way" in look_up(tx_hash)
    assert not [call for call in shop.counts() if call.startswith("POST")]
    shop.claimed(service, tx_hash)
    page = look_up(tx_hash.upper().replace("0X", "0x"))
    assert "$50.00 added" in page
    assert f"/receipt/{tx_hash}/0?gateway=" in page
    assert "Our servers do not see this transaction yet" in look_up("0x" + "ab" * 32)
    assert "This is not a transaction hash" in look_up("<script>")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("0x12/0", 422, "invalid_input"),
        (f"0x{'ab' * 32}/x", 422, "invalid_input"),
        (f"0x{'ab' * 32}/-1", 422, "invalid_input"),
        (f"0x{'ab' * 32}/0", 404, "not_found"),
        (f"0x{'ab' * 32}/99999", 422, "invalid_input"),
        (f"0x{'ab' * 32}/0?gateway=0x1", 422, "invalid_input"),
    ],
)
def test_invalid_receipts(stack: Stack, service: Service, path: str, status: int, code: str) -> None:
    problem(stack.http.get(f"{service.url}/receipt/{path}"), status, code)


def test_the_webhook_receives_each_credit_and_delays_none(shop: Shop, stack: Stack) -> None:
    customer = shop.customer()
    with start_listener() as listener:
        listener.failures = 1
        service = stack.serve(CREDIT_HOOK_URL=listener.url, CREDIT_HOOK_SECRET=SECRET)
        paid = shop.claimed(service, shop.pay(service, customer))["payments"][0]
        wait_until(lambda: len(listener.heard) == 2)
        shop.claim(service, paid["payment"].split(":")[2])
        assert len(listener.heard) == 2
    for signed, body in listener.heard:
        assert json.loads(body) == {
            "customer_id": customer.id,
            "customer": customer.id,
            "wallet": paid["wallet"],
            "payment": paid["payment"],
            "cents": 5000,
        }
        at = int(signed.split(",")[0].removeprefix("t="))
        assert signed == sign_body(SECRET, at, body)
    assert SECRET not in service.log()


def test_the_webhook_receives_credits_of_the_sweep(shop: Shop, stack: Stack, service: Service) -> None:
    customer = shop.customer()
    with start_listener() as listener:
        listener.header = "X-Internal-Secret"
        shop.pay(service, customer)
        hook = {
            "CREDIT_HOOK_URL": listener.url,
            "CREDIT_HOOK_SECRET": SECRET,
            "CREDIT_HOOK_HEADER": "X-Internal-Secret",
        }
        done = stack.run("sweep", "--once", **hook)
        assert done.returncode == 0, done.stderr
    assert {secret for secret, _ in listener.heard} == {SECRET}
    assert customer.id in {json.loads(body)["customer_id"] for _, body in listener.heard}
    assert SECRET not in done.stdout + done.stderr


def test_the_webhook_receives_a_credit_whose_answer_was_lost(shop: Shop, stack: Stack) -> None:
    with start_listener() as listener:
        service = stack.serve(CREDIT_HOOK_URL=listener.url, CREDIT_HOOK_SECRET=SECRET)
        tx_hash = shop.pay(service, shop.customer())
        shop.fault("lost_after")
        shop.claimed(service, tx_hash)
        wait_until(lambda: len(listener.heard) == 1)


def test_a_webhook_needs_its_secret(stack: Stack) -> None:
    done = stack.run("serve", CREDIT_HOOK_URL="https://api.example.org/hook")
    assert (done.returncode, "CREDIT_HOOK_SECRET" in done.stderr) == (2, True)


def test_each_client_address_has_its_limit(stack: Stack) -> None:
    service = stack.serve(CLIENT_IP_HEADER="Fly-Client-IP")

    def ask(_: int) -> httpx.Response:
        return stack.http.get(f"{service.url}/api/payments/0x12", headers={"fly-client-ip": "198.51.100.7"})

    refused, answers = None, []
    with ThreadPoolExecutor(20) as threads:  # faster than tokens are refilled
        for _ in range(40):
            answers += list(threads.map(ask, range(40)))
            if refused := next((answer for answer in answers if answer.status_code == 429), None):
                break
    assert {answer.status_code for answer in answers} == {422, 429}
    assert refused is not None
    problem(refused, 429, "rate_limited")
    assert int(refused.headers["retry-after"]) >= 1
    other = stack.http.get(f"{service.url}/api/payments/0x12", headers={"fly-client-ip": "198.51.100.8"})
    problem(other, 422, "invalid_input")


def test_a_flood_of_unknown_wallets_spends_a_small_budget(shop: Shop, stack: Stack, service: Service) -> None:
    registered = shop.customer()
    shop.register(service, registered)
    fresh = stack.serve(CLIENT_IP_HEADER="x-ip")

    def ask(number: int) -> tuple[int, str]:
        headers = {"x-ip": f"10.0.{number // 200}.{number % 200}"}
        if number % 2:
            answer = stack.http.get(f"{fresh.url}/api/accounts/{STRANGER.format(number)}", headers=headers)
            return answer.status_code, answer.json().get("type", "")
        wish = {"wallet": STRANGER.format(number), "cents": 5000}
        answer = stack.http.post(f"{fresh.url}/api/quotes", json=wish, headers=headers)
        return answer.status_code, answer.json()["type"]

    shop.count_from_zero()
    begun = time.monotonic()
    with ThreadPoolExecutor(40) as pool:
        results = list(pool.map(ask, range(1, 401)))
    took = time.monotonic() - begun
    assert set(results) == {(200, ""), (404, "/problems/unknown_wallet"), (503, "/problems/busy")}
    assert sum(shop.counts().values()) <= 60 + 5 * took + 1
    account = stack.http.get(f"{fresh.url}/api/accounts/{registered.wallet}").json()
    assert account["found"], "a registered wallet needs no search"


def test_the_return_link_needs_an_allowed_origin(shop: Shop, stack: Stack) -> None:
    service = stack.serve(RETURN_URLS="https://dashboard.example.org", PUBLIC_URL="https://pay.example.org")
    wallet = shop.customer().wallet
    ask = {"wallet": wallet, "usd": "25", "return_url": "https://dashboard.example.org/credits", "ref": "inv-7"}
    page = stack.http.get(f"{service.url}/pay", params=ask).text
    assert '<a href="https://dashboard.example.org/credits?ref=inv-7">Back to dashboard.example.org</a>' in page
    assert f"https://pay.example.org/pay?wallet={wallet}" in page
    assert "+$25.00" in page, "the price is there before any script runs"
    other = stack.http.get(f"{service.url}/pay", params={**ask, "return_url": "https://evil.test/"}).text
    assert "Back to" not in other


def test_the_page_works_without_the_price_feed(shop: Shop, stack: Stack) -> None:
    stack.control("POST", "price/faults", {"name": "lost", "times": 20})
    service = stack.serve()
    page = stack.http.get(f"{service.url}/pay", params={"wallet": shop.customer().wallet})
    stack.control("DELETE", "faults")
    assert page.status_code == 200
    assert "Credit goes to" in page.text


def test_pages_and_files_are_sent_compressed(stack: Stack, service: Service) -> None:
    page = stack.http.get(f"{service.url}/pay")
    assert page.headers["content-encoding"] == "gzip"
    script = page.text.split('<script type="module" src="')[1].split('"')[0]
    for accepted, encoding in (("gzip", "gzip"), ("identity", None)):
        answer = stack.http.get(service.url + script, headers={"accept-encoding": accepted})
        assert answer.headers.get("content-encoding") == encoding
        assert "immutable" in answer.headers["cache-control"]
        assert answer.text.rstrip().endswith("bindClaimForm(config,handlePayments);")


def test_the_head_does_not_wait_for_the_account(shop: Shop, stack: Stack, service: Service) -> None:
    wallet = shop.customer().wallet
    begun = time.monotonic()
    with stack.http.stream("GET", f"{service.url}/pay", params={"wallet": wallet}) as answer:
        moments = [(time.monotonic() - begun, text) for text in answer.iter_text()]
    first, page = moments[0][1], "".join(text for _, text in moments)
    assert 'rel="stylesheet"' in first
    assert 'type="module"' in first
    assert "Credit goes to" not in first
    assert moments[-1][0] - moments[0][0] > 0.15, "accounts are told after 0.3 s"
    assert page.count("<body>") == 1
    assert page.rstrip().endswith("</html>")
