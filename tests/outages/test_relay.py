"""The relay passes bytes, and each of its faults does what it says."""

import time
from collections.abc import Iterator

import httpx
import pytest

from stateless_billing.sandbox.sandbox import Sandbox
from stateless_billing.sandbox.server import serving_in_thread
from tests.outages.relay import Relay, relayed


@pytest.fixture
def relay() -> Iterator[Relay]:
    with serving_in_thread(Sandbox()) as base, relayed(base) as running:
        yield running


def asked(*, relay: Relay) -> int:
    return httpx.get(f"{relay.url}/api/v3/ping", trust_env=False, timeout=0.5).status_code


def test_it_passes_requests_and_answers(relay: Relay) -> None:
    assert asked(relay=relay) == 200


def test_it_refuses_and_listens_again_at_the_same_address(relay: Relay) -> None:
    relay.refuse()
    with pytest.raises(httpx.ConnectError):
        asked(relay=relay)
    relay.restore()
    assert asked(relay=relay) == 200


def test_it_resets_the_next_request(relay: Relay) -> None:
    before = time.monotonic()
    relay.reset_next()
    with pytest.raises(httpx.ReadError):
        asked(relay=relay)
    assert before <= relay.wait_for_hit() <= time.monotonic()
    assert asked(relay=relay) == 200


def test_it_swallows_until_restored(relay: Relay) -> None:
    relay.swallow()
    with pytest.raises(httpx.ReadTimeout):
        asked(relay=relay)
    relay.restore()
    assert asked(relay=relay) == 200


def test_it_delays_answers(relay: Relay) -> None:
    relay.delay(1)
    with pytest.raises(httpx.ReadTimeout):
        asked(relay=relay)
