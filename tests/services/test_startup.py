"""A start asks the nodes in few rounds, and says what is wrong."""

import asyncio
from typing import Any

import httpx
import pytest

from stateless_billing.domain.errors import StartupReadFailed, StartupRefused
from stateless_billing.services.container import Services
from stateless_billing.services.startup import STARTED, Token
from tests.chain.fake_node import FakeNode, history
from tests.fakes.factories import GATEWAY
from tests.fakes.in_process_service import LoopClock, NodesLine, StripeLine, Town

ROUND_SECONDS = 0.1


class SlowLine(NodesLine):
    """Nodes that are a tenth of a second away, and one that never answers."""

    def __init__(self, town: Town, silent: str) -> None:
        super().__init__(town)
        self._silent = silent

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Respond later."""
        await asyncio.sleep(3600 if request.url.host == self._silent else ROUND_SECONDS)
        return await super().handle_async_request(request)


def refuse(request: httpx.Request) -> None:
    """No connection to Stripe."""
    raise httpx.ConnectError("refused")


def start(town: Town, *, silent: str = "") -> float:
    """Start a process and return how long it took."""
    took = 0.0

    async def scenario() -> None:
        nonlocal took
        services = Services(town.process().settings, LoopClock(), SlowLine(town, silent), lambda: StripeLine(town))
        began = asyncio.get_running_loop().time()
        await services.start()
        took = asyncio.get_running_loop().time() - began

    town.run(scenario())
    return took


def town_with(nodes: int) -> Town:
    town = Town(history(1))
    town.nodes = [FakeNode(history(1)) for _ in range(nodes)]
    for node in town.nodes:
        node.views |= {"token": 0x77, "decimals": 18}
        node.lies["symbol"] = lambda _: [ord("L") << 248]  # a string of one letter
    return town


@pytest.mark.parametrize("nodes", [1, 3])
def test_a_start_takes_two_rounds(nodes: int) -> None:
    town = town_with(nodes)
    assert start(town) == pytest.approx(2 * ROUND_SECONDS)
    assert [node.asked.count("eth_chainId") for node in town.nodes] == [1] * nodes


def test_the_log_says_when_the_checks_are_made(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    start(town_with(1))
    assert caplog.messages.count(STARTED) == 1


def test_a_start_goes_on_without_a_node_that_does_not_answer() -> None:
    town = town_with(2)
    town.nodes[0].lies["eth_chainId"] = lambda _: None
    assert start(town) <= 4 * ROUND_SECONDS


def test_a_start_waits_a_second_for_a_node_that_stays_silent() -> None:
    town = town_with(3)
    assert start(town, silent="node1.test") == pytest.approx(2 * ROUND_SECONDS + 1)


@pytest.mark.parametrize(
    ("method", "lie", "refusal"),
    [
        ("eth_chainId", lambda _: "0x1", "Correct RPC_URLS or CHAIN_ID"),
        ("eth_getCode", lambda _: "0x", "There is no contract at"),
        ("decimals", lambda _: 6, "The token has 6 decimals"),
    ],
)
def test_a_start_says_what_is_wrong(method: str, lie: Any, refusal: str) -> None:
    town = town_with(2)
    for node in town.nodes:
        node.lies[method] = lie
    with pytest.raises(StartupRefused, match=refusal) as caught:
        start(town)
    assert not isinstance(caught.value, StartupReadFailed)


def test_a_start_without_any_node_is_repeated_and_says_so() -> None:
    town = town_with(1)
    town.nodes[0].lies["totalPayments"] = lambda _: [1, 2]
    with pytest.raises(StartupReadFailed, match="The chain could not be read"):
        start(town)


def test_what_waiting_does_not_mend_is_said_first() -> None:
    town = town_with(1)
    town.nodes[0].lies["eth_chainId"] = lambda _: "0x1"
    town.meddle = refuse
    with pytest.raises(StartupRefused, match="Correct RPC_URLS or CHAIN_ID"):
        start(town)


def test_a_start_does_not_wait_for_nodes_or_for_another_key() -> None:
    town = town_with(1)
    town.nodes[0].lies["totalPayments"] = lambda _: [1, 2]

    async def scenario() -> None:
        with pytest.raises(StartupReadFailed, match="RPC_URLS"):
            await town.process().start(waits_for_stripe=True)
        del town.nodes[0].lies["totalPayments"]
        with pytest.raises(StartupReadFailed, match="STRIPE_API_KEY"):
            await town.process(STRIPE_API_KEY="sk_test_another").start(waits_for_stripe=True)
        assert asyncio.get_running_loop().time() < 10

    town.run(scenario())


def test_a_start_that_may_take_long_goes_on_until_stripe_answers() -> None:
    town = town_with(1)
    town.meddle = refuse

    async def scenario() -> None:
        services = town.process()
        starting = asyncio.create_task(services.start(waits_for_stripe=True))
        assert not await services.startup.wait(60)
        assert services.token == Token("0x" + "0" * 38 + "77", "L", 18)  # the chain needs no Stripe
        await asyncio.sleep(3600)
        assert not starting.done()
        town.meddle = lambda _: None
        await asyncio.wait_for(starting, 6)
        assert not services.startup.has_passed
        services.startup.admit()
        assert services.startup.has_passed
        assert town.nodes[0].viewed.count((GATEWAY, "token")) == 1

    town.run(scenario())
