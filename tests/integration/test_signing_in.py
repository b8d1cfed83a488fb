"""Sign-in by mail and wallet: bound to the requesting browser, uniform answers, and no forgery."""

import re
import time
from statistics import mean

import httpx
import pytest
from eth_account.messages import encode_defunct

from stateless_billing.operators.signed_tokens import Tokens
from stateless_billing.runtime.clock import SystemClock
from stateless_billing.sandbox.localchain import dev_account, encode_call
from stateless_billing.sandbox.stack import SESSION_SECRET, Service, Stack
from tests.integration.operators import (
    ADMIN,
    AUDITOR,
    MODERATOR,
    TOKENS,
    Operator,
    code_in,
    mail_to,
    mails_to,
    session_of,
    token_in,
)
from tests.integration.shop import Shop, problem, wait_until
from tests.integration.visitors import SERVED, Visitor, challenge, smart_account_signature

NOBODY = "nobody@example.org"
WALLET = ("/login/wallet", "/login/wallet/message")


@pytest.fixture(scope="module")
def service(stack: Stack) -> Service:
    """Start a service that takes client addresses from a header, so that tests do not share a limit."""
    stack.control("POST", "mails/settings", {"per_second": None})
    return stack.serve(**SERVED)


def newcomer(stack: Stack, name: str) -> tuple[Service, str]:
    """Start a service with an additional moderator, so that each test has its own mails."""
    address = f"{name}@example.org"
    return stack.serve(**SERVED, OPERATORS=f"{address}=moderator"), address


def signed_in(service: Service, visitor: Operator) -> bool:
    return visitor.get(service, "/admin").status_code == 200


def test_the_link_of_the_mail_signs_in_the_browser_that_asked(stack: Stack) -> None:
    service, address = newcomer(stack, "link")
    visitor = Visitor()
    assert (
        visitor.get(service, "/admin/grants?days=30").headers["location"] == "/login?next=%2Fadmin%2Fgrants%3Fdays%3D30"
    )
    answer = visitor.send(service, "/login", {"email": f"  {address.title()} ", "next": "/admin/grants?days=30"})
    assert answer.status_code == 200
    token = token_in(mail_to(stack, address))
    for _ in range(3):
        page = visitor.get(service, f"/login/link?token={token}")  # a mail scanner may do this
        assert 'action="/login/link"' in page.text
        assert not signed_in(service, visitor)
    followed = visitor.send(service, "/login/link", {"token": token})
    assert (followed.status_code, followed.headers["location"]) == (303, "/admin/grants?days=30")
    cookie = next(header for header in followed.headers.get_list("set-cookie") if header.startswith("__Host-session="))
    for part in ("HttpOnly", "Path=/", "SameSite=lax", "Secure", "Max-Age=43200"):
        assert part in cookie
    assert "Domain" not in cookie
    assert signed_in(service, visitor)
    pressed_again = visitor.send(service, "/login/link", {"token": token})
    assert (pressed_again.status_code, pressed_again.headers["location"]) == (303, "/admin")
    assert "__Host-session" not in pressed_again.headers.get("set-cookie", ""), "the link itself signs nobody in again"
    visitor.cookies.pop("__Host-session")
    replayed = visitor.send(service, "/login/link", {"token": token})
    assert (replayed.status_code, "only in the browser that asked" in replayed.text) == (401, True)


def test_in_another_browser_the_link_shows_a_code_for_the_requesting_browser(stack: Stack) -> None:
    service, address = newcomer(stack, "elsewhere")
    asking, phone = Visitor(), Visitor()
    asking.send(service, "/login", {"email": address})
    mail = mail_to(stack, address)
    page = phone.get(service, f"/login/link?token={token_in(mail)}").text
    assert code_in(mail) in page
    assert 'action="/login/link"' not in page
    assert phone.send(service, "/login/link", {"token": token_in(mail)}).status_code == 401
    assert phone.send(service, "/login/code", {"code": code_in(mail)}).status_code == 401
    assert not signed_in(service, phone)
    wrong = asking.send(service, "/login/code", {"code": "AAAA-AAAA"})
    assert (wrong.status_code, "not the email&#39;s code" in wrong.text) == (401, True)
    assert address in wrong.text
    assert asking.send(service, "/login/code", {"code": f" {code_in(mail).lower()} "}).status_code == 303
    assert signed_in(service, asking)


def test_codes_cannot_be_guessed_for_long(stack: Stack) -> None:
    service, address = newcomer(stack, "guessed")
    attacker = Visitor()
    answer = attacker.send(service, "/login", {"email": address})
    for number in range(40):
        attacker.address = f"10.7.0.{number}"  # a new address each time
        answer = attacker.send(service, "/login/code", {"code": f"AAAAAA{number:02d}"})
        assert answer.status_code in (401, 429)
    assert answer.status_code == 429
    assert "Wait a minute" in answer.text


def test_one_mail_a_minute_over_all_processes_and_it_works_for_all_who_asked(stack: Stack) -> None:
    services = [newcomer(stack, "often")[0] for _ in range(3)]
    address = "often@example.org"
    visitors = [Visitor() for _ in range(6)]
    time.sleep(max(0.0, 61 - time.time() % 60) if time.time() % 60 > 40 else 0)  # stay within one minute of the clock
    for number, visitor in enumerate(visitors):
        assert visitor.send(services[number % 3], "/login", {"email": address}).status_code == 200
    mail = mail_to(stack, address)
    time.sleep(1)
    assert len(mails_to(stack, address)) == 1
    for number, visitor in enumerate(visitors):
        if number % 2:
            assert visitor.send(services[(number + 1) % 3], "/login/code", {"code": code_in(mail)}).status_code == 303
        else:
            assert visitor.send(services[(number + 1) % 3], "/login/link", {"token": token_in(mail)}).status_code == 303


def test_the_same_answer_after_the_same_time_for_unknown_addresses(stack: Stack) -> None:
    service, address = newcomer(stack, "known")
    times: dict[str, list[float]] = {address: [], NOBODY: []}
    texts = {}
    assert Visitor().send(service, "/login", {"email": "first@example.org"}).is_success  # warm up lazy imports
    for name in [address, NOBODY] * 4:
        begun = time.monotonic()
        answer = Visitor().send(service, "/login", {"email": name})
        times[name].append(time.monotonic() - begun)
        texts[name] = re.sub(re.escape(name), "someone", answer.text)
        assert answer.status_code == 200
    assert texts[address] == texts[NOBODY]
    print(f"\nknown {mean(times[address]):.3f} s, unknown {mean(times[NOBODY]):.3f} s")
    assert min(min(samples) for samples in times.values()) >= 0.5
    assert abs(mean(times[address]) - mean(times[NOBODY])) < 0.25
    assert mails_to(stack, NOBODY) == []


def test_too_many_requests_of_one_address_are_limited(service: Service) -> None:
    visitor, other = Visitor(), Visitor()
    answers = [visitor.send(service, "/login/code", {"code": "x"}).status_code for _ in range(25)]
    assert answers[-1] == 429
    waiting = visitor.send(service, "/login", {"email": ADMIN, "next": "/admin/stuck"})
    assert (waiting.status_code, "Too many attempts from your network" in waiting.text) == (429, True)
    assert waiting.headers["content-type"].startswith("text/html")
    assert other.send(service, "/login/code", {"code": "x"}).status_code == 401


@pytest.mark.parametrize("fault", ["rate_limited", "server_error", "lost_after", "lost_before", "concurrent"])
def test_a_mail_with_a_fault_arrives_once(stack: Stack, fault: str) -> None:
    service, address = newcomer(stack, f"stumbles-{fault.replace('_', '-')}")
    stack.control("POST", "mails/faults", {"name": fault, "times": 1})
    visitor = Visitor()
    visitor.send(service, "/login", {"email": address})
    if fault == "concurrent":
        return  # another process is sending it
    assert visitor.send(service, "/login/code", {"code": code_in(mail_to(stack, address))}).status_code == 303
    assert len(mails_to(stack, address)) == 1


@pytest.mark.parametrize("bad", ["expired", "altered", "cut", "other purpose", "other secret", "empty"])
def test_bad_links_are_explained(stack: Stack, service: Service, bad: str) -> None:
    visitor = Visitor()
    visitor.send(service, "/login", {"email": MODERATOR})
    minute = int(time.time()) // 60
    values = {"email": MODERATOR, "minute": minute}
    good = TOKENS.seal("link", values, minute * 60)
    token = {
        "expired": TOKENS.seal("link", values, int(time.time()) - 901),
        "altered": good[:3] + ("A" if good[3] != "A" else "B") + good[4:],
        "cut": good[:-4],
        "other purpose": TOKENS.seal("session", {"who": MODERATOR}),
        "other secret": Tokens(("another-secret-of-32-characters!",), SystemClock()).seal("link", values),
        "empty": "",
    }[bad]
    for answer in (
        visitor.get(service, f"/login/link?token={token}"),
        visitor.send(service, "/login/link", {"token": token}),
    ):
        assert answer.status_code == 401
        assert ("10 minutes old" if bad == "expired" else "incomplete or was altered") in answer.text
        assert "Ask for a new email" in answer.text
    assert not signed_in(service, visitor)


@pytest.mark.parametrize("bad", ["expired", "altered", "asked", "link", "wallet", "nobody", "removed", "empty"])
def test_bad_session_cookies_are_rejected(stack: Stack, service: Service, bad: str) -> None:
    good = session_of(ADMIN)
    cookie = {
        "expired": session_of(ADMIN, 7 * 24 * 3600 + 1),
        "altered": good[:5] + ("x" if good[5] != "x" else "y") + good[6:],
        "asked": TOKENS.seal("asked", {"who": ADMIN, "email": ADMIN, "minutes": []}),
        "link": TOKENS.seal("link", {"who": ADMIN, "email": ADMIN, "minute": 1}),
        "wallet": TOKENS.seal("wallet", {"who": ADMIN, "address": ADMIN}),
        "nobody": session_of(NOBODY),
        "removed": session_of("gone@example.org"),
        "empty": "",
    }[bad]
    visitor = Visitor()
    visitor.cookies = {"__Host-session": cookie}
    assert visitor.get(service, "/admin").status_code == 303
    problem(visitor.post(service, "/api/admin/rate/end", {}), 401, "signed_out")


def test_a_removed_operator_is_out_at_once(stack: Stack) -> None:
    operator = Operator("gone@example.org")
    former = stack.serve(OPERATORS="gone@example.org=admin")
    assert operator.get(former, "/admin").status_code == 200
    without = stack.serve(OPERATORS="other@example.org=admin")
    assert operator.get(without, "/admin").status_code == 303
    lesser = stack.serve(OPERATORS="gone@example.org=auditor")
    problem(operator.post(lesser, "/api/admin/rate/end", {}), 403, "not_allowed")


def test_secrets_are_rotated_without_signing_anybody_out(stack: Stack) -> None:
    operator = Operator()
    newer = "a-newer-secret-of-32-characters!"
    both = stack.serve(SESSION_SECRETS=f"{newer},{SESSION_SECRET}")
    assert operator.get(both, "/admin").status_code == 200
    newest = stack.serve(SESSION_SECRETS=newer)
    assert operator.get(newest, "/admin").status_code == 303


def test_money_needs_a_recent_sign_in(shop: Shop, service: Service) -> None:
    customer = shop.customer()
    old = Operator(age=12 * 3600 + 60)
    wish = old.grant_form(service, customer.id)
    for path in ("check", "undo"):
        problem(old.post(service, f"/api/admin/grants/{path}", {}), 401, "sign_in_again")
    body = problem(old.post(service, "/api/admin/grants", wish), 401, "sign_in_again")
    assert "Sign in again" in body["detail"]
    assert Operator().post(service, "/api/admin/grants", wish).json()["state"] == "given"


ROLES = [
    ("auditor", "/api/admin/grants", 403),
    ("auditor", "/api/admin/orders", 403),
    ("auditor", "/api/admin/payments/retry", 403),
    ("moderator", "/api/admin/orders", 403),
    ("moderator", "/api/admin/rate", 403),
    ("moderator", "/api/admin/rate/end", 403),
    ("moderator", "/api/admin/grants", 422),
    ("admin", "/api/admin/orders", 422),
    ("admin", "/api/admin/rate", 422),
]


@pytest.mark.parametrize(("role", "path", "status"), ROLES)
def test_roles_have_their_rights(service: Service, role: str, path: str, status: int) -> None:
    operator = Operator(f"{role}@example.org")
    assert operator.post(service, path, {}).status_code == status
    assert operator.get(service, "/admin").status_code == 200


def test_an_auditor_sees_everything_and_is_offered_nothing(shop: Shop, service: Service) -> None:
    customer = shop.customer()
    Operator().give(service, customer.id)
    page = Operator(AUDITOR).get(service, f"/admin/customers/{customer.id}").text
    assert "Grant" in page
    assert 'id="grant"' not in page
    assert "data-undo" not in page


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "https://evil.example", "sec_fetch_site": "cross-site"},
        {"origin": "", "sec_fetch_site": "cross-site"},
        {"origin": "", "sec_fetch_site": "same-site"},
        {"origin": "null", "sec_fetch_site": ""},
        {"origin": "null", "sec_fetch_site": "cross-site"},
        {"origin": "http://[", "sec_fetch_site": ""},
        {"origin": "garbage", "sec_fetch_site": "same-origin"},
    ],
)
def test_forged_origins_do_nothing(service: Service, headers: dict[str, str]) -> None:
    operator = Operator(ADMIN)
    for path in (
        "/api/admin/grants",
        "/api/admin/grants/undo",
        "/api/admin/orders",
        "/api/admin/rate",
        "/login/wallet",
    ):
        problem(operator.post(service, path, {}, **headers), 403, "forged_request")
    for path in ("/login", "/login/link", "/login/code", "/logout"):
        sent = {name: value for name, value in headers.items() if value}
        answer = httpx.post(
            f"{service.url}{path}",
            data={"email": ADMIN},
            headers={name.replace("_", "-"): value for name, value in sent.items()},
            trust_env=False,
        )
        problem(answer, 403, "forged_request")


@pytest.mark.parametrize("path", ["/login", "/login/link", "/login/code"])
@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({f"field{number}": "x" for number in range(30)}, 400),
        ({"email": "x" * 9_000, "token": "x", "code": "x"}, 413),
        ({"email": "\0", "token": "\0", "code": "\0"}, None),
        ({}, None),
    ],
)
def test_foreign_forms_get_an_error_page(service: Service, path: str, form: dict[str, str], status: int | None) -> None:
    answer = Visitor().send(service, path, form)
    assert answer.status_code == status or (status is None and answer.status_code in (401, 422)), answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert 'role="alert"' in answer.text


def test_redirects_stay_on_this_host(service: Service) -> None:
    for onward in (
        "//evil.example/admin",
        "https://evil.example/admin",
        "/admin\\@evil",
        "javascript:alert(1)",
        "/pay",
        "//[",
        "/administrators",
        "/admin%0d%0aset-cookie:x",
        "/admin/%E2%80%AEx",
    ):
        page = Visitor().get(service, f"/login?next={onward}").text
        assert 'name="next" value="/admin"' in page


def test_signing_out_ends_the_session(service: Service) -> None:
    operator = Operator()
    copy = Operator(cookie=operator.cookies["__Host-session"])
    assert signed_in(service, operator)
    answer = operator.send(service, "/logout", {})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?left=1")
    assert answer.headers["clear-site-data"] == '"cache", "storage"'
    assert not signed_in(service, operator)
    assert not signed_in(service, copy)


def test_signing_out_everywhere_ends_all_sessions_within_a_minute(stack: Stack, service: Service) -> None:
    other = stack.serve(**SERVED)
    moderator, admin = Operator(age=60), Operator(ADMIN, age=60)
    laptops = [Operator(MODERATOR, age=60), Operator(ADMIN, age=60)]
    assert all(signed_in(other, laptop) for laptop in laptops)
    problem(moderator.send(service, "/logout/everywhere", {"name": ADMIN}), 403, "not_allowed")
    problem(admin.send(service, "/logout/everywhere", {"name": "nobody@example.org"}), 422, "invalid_input")
    assert "Sign me out everywhere" in moderator.get(service, "/admin/sessions").text
    assert ADMIN not in moderator.get(service, "/admin/sessions").text
    assert MODERATOR in admin.get(service, "/admin/sessions").text
    ended = admin.send(service, "/logout/everywhere", {"name": MODERATOR})
    assert ended.headers["location"] == "/admin/sessions?ended=1"
    assert admin.send(service, "/logout/everywhere", {}).headers["location"] == "/login?left=1"
    wait_until(lambda: not any(signed_in(other, laptop) for laptop in laptops), 60)
    time.sleep(3)
    assert signed_in(other, Operator())


def test_a_session_in_use_is_renewed(service: Service) -> None:
    now = int(time.time())
    used = Operator(cookie=TOKENS.seal("session", {"who": AUDITOR, "id": "1", "since": now - 3600}, now - 3600))
    answer = used.get(service, "/admin")
    used.store_cookies(answer)
    renewed = TOKENS.open("session", used.cookies["__Host-session"], 60)
    assert (renewed["id"], renewed["since"]) == ("1", now - 3600)
    assert "Max-Age=43200" in answer.headers["set-cookie"]
    assert "set-cookie" not in used.get(service, "/admin").headers


def test_a_wallet_signs_in_with_the_services_message(stack: Stack, service: Service) -> None:
    visitor, account = Visitor(), dev_account(4)
    message = challenge(service, visitor, account.address)
    host = service.url.partition("://")[2]
    assert message.startswith(f"{host} wants you to sign in with your Ethereum account:\n{account.address}\n\n")
    assert f"URI: {service.url}\nVersion: 1\nChain ID: {stack.chain.chain_id}\nNonce: " in message
    nonce = re.search(r"Nonce: (\w+)\n", message)
    assert nonce
    assert len(nonce[1]) >= 8
    signature = account.sign_message(encode_defunct(text=message)).signature.hex()
    answer = visitor.post(service, "/login/wallet", {"signature": f"0x{signature}"})
    assert answer.json() == {"next": "/admin/stuck"}
    visitor.store_cookies(answer)
    assert signed_in(service, visitor)
    problem(visitor.post(service, "/login/wallet", {"signature": f"0x{signature}"}), 401, "sign_in_failed")
    thief = Visitor()
    problem(thief.post(service, "/login/wallet", {"signature": f"0x{signature}"}), 401, "sign_in_failed")


def test_signing_in_again_ends_the_session_before(service: Service) -> None:
    visitor, account = Visitor(), dev_account(4)
    cookies = []
    for _ in range(2):
        message = challenge(service, visitor, account.address)
        signature = account.sign_message(encode_defunct(text=message)).signature.hex()
        visitor.store_cookies(visitor.post(service, "/login/wallet", {"signature": f"0x{signature}"}))
        cookies.append(visitor.cookies["__Host-session"])
    assert not signed_in(service, Operator(cookie=cookies[0]))
    assert signed_in(service, Operator(cookie=cookies[1]))


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_smart_account_signs_in(stack: Stack, wrapped: bool) -> None:
    owner, stranger = stack.chain.accounts[6], stack.chain.accounts[7]
    account = stack.chain.deploy("SmartAccount", ["address"], [owner]).lower()
    nodes = f"{stack.chain.url},{stack.chain.url.replace('127.0.0.1', 'localhost')}"
    service = stack.serve(**SERVED, OPERATORS=f"{account}=admin", RPC_URLS=nodes)
    visitor = Visitor()
    signature = smart_account_signature(stack, challenge(service, visitor, account), wrapped=wrapped)
    cookies = dict(visitor.cookies)
    answer = visitor.post(service, "/login/wallet", {"signature": signature})
    assert answer.json() == {"next": "/admin/stuck"}
    visitor.store_cookies(answer)
    assert signed_in(service, visitor)
    thief = Visitor()
    thief.cookies = cookies
    assert (
        "before"
        in problem(thief.post(service, "/login/wallet", {"signature": signature}), 401, "sign_in_failed")["detail"]
    )
    former = Visitor()
    signature = smart_account_signature(stack, challenge(service, former, account), wrapped=wrapped)
    stack.chain.send(stack.chain.accounts[0], account, encode_call("setOwner(address)", stranger))
    problem(former.post(service, "/login/wallet", {"signature": signature}), 401, "sign_in_failed")
    absent = Visitor()
    challenge(service, absent, stack.chain.accounts[8])
    problem(absent.post(service, "/login/wallet", {"signature": signature}), 401, "sign_in_failed")


@pytest.mark.parametrize(
    "bad", ["other key", "other text", "garbage", "empty", "not on the roster", "other origin", "old"]
)
def test_bad_wallet_signatures_sign_nobody_in(stack: Stack, service: Service, bad: str) -> None:
    visitor = Visitor()
    account = dev_account(7 if bad == "not on the roster" else 4)
    message = challenge(service, visitor, account.address)
    signer = dev_account(6) if bad == "other key" else account
    signed = signer.sign_message(encode_defunct(text=message + ("!" if bad == "other text" else "")))
    signature = {"garbage": "0x" + "zz" * 65, "empty": ""}.get(bad, f"0x{signed.signature.hex()}")
    if bad == "old":
        values = TOKENS.open("wallet", visitor.cookies["__Host-wallet"], 600)
        visitor.cookies["__Host-wallet"] = TOKENS.seal("wallet", values, int(time.time()) - 301)
    headers = {"origin": "http://localhost:1"} if bad == "other origin" else {}
    answer = visitor.post(service, "/login/wallet", {"signature": signature}, **headers)
    assert answer.status_code == (403 if bad == "other origin" else 401), answer.text
    assert "__Host-session" not in str(answer.headers)
    assert not signed_in(service, visitor)


def test_without_mail_settings_the_wallet_is_the_only_way(stack: Stack) -> None:
    service = stack.serve(**SERVED, RESEND_API_KEY="", MAIL_FROM="")
    page = Visitor().get(service, "/login").text
    assert 'name="email"' not in page
    assert "Sign in with your wallet" in page
    refused = Visitor().send(service, "/login", {"email": ADMIN})
    assert "Sign in with your wallet" in refused.text
    assert refused.status_code == 401


def test_without_a_roster_nobody_signs_in(stack: Stack) -> None:
    service = stack.serve(**SERVED, OPERATORS="", SESSION_SECRETS="")
    assert "Nobody can sign in here" in Visitor().get(service, "/login").text
    assert Operator().get(service, "/admin").status_code == 303


def test_nothing_secret_is_logged(stack: Stack) -> None:
    service, address = newcomer(stack, "quiet")
    visitor = Visitor()
    visitor.send(service, "/login", {"email": NOBODY})
    visitor.send(service, "/login", {"email": address})
    mail = mail_to(stack, address)
    visitor.send(service, "/login/link", {"token": token_in(mail)})
    assert signed_in(service, visitor)
    log = service.log()
    assert f'"operator": "{address}"' in log
    for secret in (
        NOBODY,
        visitor.address,
        token_in(mail),
        code_in(mail),
        visitor.cookies["__Host-session"],
        "re_sandbox",
        SESSION_SECRET,
    ):
        assert secret not in log
