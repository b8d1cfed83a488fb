"""All stand-ins share one clock."""

import json
import time

from stateless_billing.sandbox.sandbox import Sandbox
from tests.sandbox.in_process_client import START, SetClock
from tests.sandbox.test_mailbox import HEADERS, MAIL


def test_every_stand_in_follows_the_one_clock(clock: SetClock) -> None:
    sandbox = Sandbox(clock)
    sandbox.clock.offset = 60
    sandbox.mailbox.handle("POST", "/emails", HEADERS, MAIL)
    path = "/api/v3/simple/price?ids=lit-protocol&vs_currencies=usd&include_last_updated_at=true"
    updated = json.loads(sandbox.prices.handle("GET", path, {}).body)["lit-protocol"]["last_updated_at"]
    assert (sandbox.stripe.clock(), sandbox.mailbox.mails[0].at, updated) == (START + 60, START + 60, START + 60 - 20)


def test_the_clock_is_the_machines_by_default() -> None:
    assert abs(Sandbox().clock() - time.time()) < 5
