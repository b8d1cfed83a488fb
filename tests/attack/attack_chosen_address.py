"""A client sends another address with each request, to have limits of its own for each."""

from collections import Counter

import httpx

from stateless_billing.sandbox.localchain import dev_account
from stateless_billing.sandbox.stack import Service
from tests.attack.world import World

REQUESTS = 60
ALLOWED = 20  # attempts to sign in, at once
NAMES = ("x-forwarded-for", "x-real-ip", "x-client-ip", "fly-client-ip", "cf-connecting-ip", "forwarded")
BODY = {"address": dev_account(5).address, "next": "/admin"}


def attack_chosen_address(world: World) -> str:
    """Show that one client is limited as one, whatever addresses it sends."""
    with world.started(settings={"SWEEP": "off"}) as stack:
        direct = [flood(service, header=None) for service in world.serve_all(stack, FORWARDED_ALLOW_IPS="*")]
        proxied = [flood(service, header="x-ip") for service in world.serve_all(stack, CLIENT_IP_HEADER="x-ip")]
    answered = [answers[200] for answers in direct + proxied]
    assert max(answered) <= ALLOWED + 5, answered
    assert min(answers[429] for answers in direct + proxied) >= REQUESTS - ALLOWED - 5
    return (
        f"{REQUESTS} requests with {REQUESTS} addresses to each of {len(answered)} processes: {max(answered)} answered"
        f" at most (were {REQUESTS})"
    )


def flood(service: Service, header: str | None) -> Counter[int]:
    """Send requests with chosen addresses; behind a proxy, which appends a line, in the first of two lines."""
    answers = Counter[int]()
    for number in range(REQUESTS):
        chosen = f"198.51.100.{number}"
        headers = [(name, f"for={chosen}" if name == "forwarded" else chosen) for name in NAMES]
        if header:
            headers += [(header, chosen), (header, f"{chosen}, 192.0.2.9")]
        answer = httpx.post(f"{service.url}/login/wallet/message", json=BODY, headers=headers, trust_env=False)
        answers[answer.status_code] += 1
    return answers
