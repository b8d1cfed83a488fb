"""A relay under another name forwards our pages, to get an operator's session."""

from typing import Any

import httpx
from eth_account.messages import encode_defunct

from stateless_billing.sandbox.localchain import dev_account
from stateless_billing.sandbox.stack import Service, Stack
from tests.attack.world import World
from tests.integration.operators import ADMIN, mails_to
from tests.integration.shop import wait_until

EVIL = "evil.example"
PUBLIC = "https://billing.example.org"
PATHS = ("/", "/pay", "/pay/", "/payWithLitkey/", "/login", "/login/", "/admin", "/audit", "/healthz/", "/readyz")
MORE_PATHS = ("/receipt/x/0", "/problems/busy/", "/openapi.json", "/nowhere/", "//login/", "/pay?return_url=//evil")
FORWARDED = {"x-forwarded-host": EVIL, "x-forwarded-proto": "https", "forwarded": f"host={EVIL}"}


def relay(service: Service, method: str, path: str, **rest: Any) -> httpx.Response:
    """Send a request as the relay does."""
    headers = {"host": EVIL, **FORWARDED, **rest.pop("headers", {})}
    return httpx.request(method, f"{service.url}{path}", headers=headers, trust_env=False, timeout=60, **rest)


def attack_foreign_host(world: World) -> str:
    """Show that no answer, message or mail bears the relay's name, and that what it signs is refused."""
    with world.started(settings={"SWEEP": "off"}) as stack:
        public = world.serve_all(stack, PUBLIC_URL=PUBLIC, CLIENT_IP_HEADER="x-ip")
        local = world.serve_all(stack)
        answers = [relay(service, "GET", path) for service in public + local for path in (*PATHS, *MORE_PATHS)]
        for answer in answers:
            assert answer.status_code < 500, answer.url
            assert EVIL not in answer.text + str(answer.headers), answer.url
        sessions = [sign_in(service, name) for service, name in named(public, local)]
        assert sessions == [False] * len(sessions), "a message of the relay's name signed an admin in"
        links = mails(stack, public)
    return f"{len(answers)} answers, {len(sessions)} messages and {links} mail: none of the relay's name, no session"


def named(public: list[Service], local: list[Service]) -> list[tuple[Service, str]]:
    """Pair services with the name that their messages must bear."""
    return [(service, PUBLIC) for service in public] + [
        (service, f"http://localhost:{service.url.rpartition(':')[2]}") for service in local
    ]


def sign_in(service: Service, own: str) -> bool:
    """Let an admin sign what the relay shows, with the relay's name in it; return whether that signs in."""
    account = dev_account(4)
    body = {"address": account.address, "next": "/admin"}
    refused = relay(service, "POST", "/login/wallet/message", json=body, headers={"origin": f"https://{EVIL}"})
    assert refused.status_code == 403, refused.text
    given = relay(service, "POST", "/login/wallet/message", json=body)
    message = str(given.json()["message"])
    assert message.startswith(f"{own.partition('://')[2]} wants you to sign in"), message
    assert f"URI: {own}\n" in message
    shown = message.replace(own.partition("://")[2], EVIL)  # or the wallet warns of another site
    signature = account.sign_message(encode_defunct(text=shown)).signature.hex()
    cookie = given.headers["set-cookie"].partition(";")[0]
    answer = relay(service, "POST", "/login/wallet", json={"signature": f"0x{signature}"}, headers={"cookie": cookie})
    return answer.is_success or "__Host-session" in str(answer.headers)


def mails(stack: Stack, services: list[Service]) -> int:
    """Let the relay ask for a mail; return how many of our name came."""
    for service in services:
        relay(service, "POST", "/login", data={"email": ADMIN})
    wait_until(lambda: mails_to(stack, ADMIN))
    sent = mails_to(stack, ADMIN)
    for mail in sent:
        assert f"{PUBLIC}/login/link?token=" in mail["text"]
        assert EVIL not in mail["text"] + mail["html"]
    return len(sent)
