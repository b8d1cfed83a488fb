"""Several nodes: which of them is consulted, that each proves its chain first, and that no URL is ever told."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import httpx
import pytest

from chain import provider
from chain.errors import InconsistentChainData, NodeError, WrongChain
from chain.failover import FailoverProvider
from chain.provider import CALL_TIMEOUT_SECONDS, ChainClient
from tests.chain.provider.network import FAILURES, Network, Says, answer, body, broken, result
from tests.fakes.factories import CHAIN_ID, GATEWAY
from tests.fakes.virtual_time import run_virtually

pytestmark = pytest.mark.anyio
HERE, ELSEWHERE = result(hex(CHAIN_ID)), result(hex(CHAIN_ID + 1))


def code_of(network: Network) -> Awaitable[bytes]:
    """A question that every node answers in its own way."""
    return provider.code(network.nodes, GATEWAY)


async def test_a_node_on_another_chain_never_answers() -> None:
    network = Network(one=result("0x01"), two=result("0x02"))
    network.chains["one"] = ELSEWHERE
    for _ in range(3):
        assert await code_of(network) == b"\x02"
    assert network.asked == ["two", "two", "two"]
    [first] = [one for one in network.nodes.providers if "one.example" in one.name]
    for _ in range(2):
        with pytest.raises(WrongChain, match="is on chain 8454, not 8453"):
            await provider.code(first, GATEWAY)
    assert "one" not in network.asked


async def test_all_nodes_on_another_chain_are_no_answer() -> None:
    network = Network(one=result("0x01"), two=result("0x02"))
    network.chains = {"one": ELSEWHERE, "two": ELSEWHERE}
    with pytest.raises(NodeError, match=r"node 1 .* is on chain 8454, not 8453; node 2 .* is on chain 8454"):
        await code_of(network)
    assert network.asked == []


async def test_a_node_that_was_on_another_chain_may_come_back() -> None:
    network = Network(one=result("0x01"))
    network.chains["one"] = ELSEWHERE
    with pytest.raises(WrongChain):
        await code_of(network)
    network.chains["one"] = HERE
    assert await code_of(network) == b"\x01"


async def test_the_chain_is_asked_for_once() -> None:
    network = Network(one=result("0x01"))
    for _ in range(3):
        await code_of(network)
    assert network.checked == ["one"]


@pytest.mark.parametrize("says", FAILURES.values(), ids=list(FAILURES))
async def test_a_node_that_does_not_prove_its_chain_is_passed_over(says: Says) -> None:
    network = Network(one=result("0x01"), two=result("0x02"))
    network.chains["one"] = says
    assert await code_of(network) == b"\x02"
    assert network.asked == ["two"]


Reading = Callable[[ChainClient], Awaitable[bytes]]


async def twice(reader: ChainClient) -> bytes:
    """A reading of two questions that must fit together."""
    first, second = await provider.code(reader, GATEWAY), await provider.code(reader, GATEWAY)
    if first != second:
        raise InconsistentChainData("they do not fit")
    return first


def changing() -> Says:
    """A node whose second answer contradicts its first."""
    said = iter(range(1, 100))
    return lambda request: result(f"0x{next(said):02x}")(request)


async def test_a_reading_that_does_not_fit_together_is_put_to_the_next_node() -> None:
    network = Network(one=changing(), two=result("0xee"))
    assert await network.nodes.with_failover(twice) == b"\xee"
    assert network.asked == ["one", "one", "two", "two"]
    assert await network.nodes.with_failover(twice) == b"\xee"
    assert network.asked[4:] == ["two", "two"]  # the first rests


async def test_one_nodes_failure_is_told_as_it_is_and_several_together() -> None:
    with pytest.raises(InconsistentChainData, match="they do not fit"):
        await Network(one=changing()).nodes.with_failover(twice)
    network = Network(one=changing(), two=body("busy", 503))
    with pytest.raises(NodeError) as caught:
        await network.nodes.with_failover(twice)
    assert str(caught.value) == "they do not fit; node 2 (two.example) did not answer eth_getCode: HTTP 503 'busy'"


async def test_one_node_is_its_own_list() -> None:
    network = Network(one=result("0x01"), two=result("0x02"))
    second = network.nodes.providers[1]
    assert list(second.providers) == [second]
    assert await second.with_failover(twice) == b"\x02"
    assert network.asked == ["two", "two"]


SECRET = "https://mary-of-sales:pa55word@keyed.example:8545/v2/sesame-of-path?key=sesame-of-query"


@pytest.mark.parametrize(
    "says",
    [
        lambda request: httpx.Response(502, text=f"could not reach {request.url}"),
        lambda request: httpx.Response(404, text=f"no route for {request.url.raw_path.decode()}"),
        lambda request: httpx.Response(403, text="mary-of-sales may not, nor with pa55word"),
        lambda request: answer(error={"message": f"bad key in {request.url}"})(request),
        lambda request: httpx.Response(200, text=f"<html>{request.url}</html>"),
        broken(httpx.ConnectError),
        broken(httpx.ReadError),
    ],
)
async def test_what_a_proxy_echoes_of_a_url_is_not_told(says: Says) -> None:
    nodes = FailoverProvider(httpx.AsyncClient(transport=httpx.MockTransport(says)), [SECRET], CHAIN_ID)
    with pytest.raises(NodeError) as caught:
        await provider.code(nodes, GATEWAY)
    message = str(caught.value)
    assert message.startswith("node 1 (keyed.example) did not answer eth_chainId: ")
    assert not [part for part in ("sesame", "mary", "pa55word") if part in message]


async def test_what_is_no_key_stays_in_the_message() -> None:
    url = "https://me:x@lb.example/rpc/v1?chainId=8453&v=1&dkey=sesame-of-query"
    says = lambda _: httpx.Response(502, text="v1: me, 8453 and 1 of rpc are no keys, sesame-of-query is")  # noqa: E731
    nodes = FailoverProvider(httpx.AsyncClient(transport=httpx.MockTransport(says)), [url], CHAIN_ID)
    with pytest.raises(NodeError, match="'v1: me, 8453 and 1 of rpc are no keys, … is'"):
        await provider.code(nodes, GATEWAY)


@pytest.mark.parametrize(
    ("url", "says", "told"),
    [
        ("https://a.example/rpc/sesame", "no route /rpc/sesame for rpc", "no route … for rpc"),
        ("https://a.example/rpc/sesame/", "no route rpc/sesame/", "no route …/"),
        (
            "https://a.example/v1?sesame",
            "GET /v1?sesame: v1 of base has no chain 8453",
            "GET …: v1 of base has no chain 8453",
        ),
        ("https://a.example/base?chain=8453&k=sesame", "chain=8453&k=sesame of base, 8453", "… of base, 8453"),
        ("https://a.example/base?token=sesame", "sesame may not", "… may not"),
        ("https://a.example/a%20sesame", "no /a sesame", "no …"),
    ],
)
async def test_the_whole_path_and_query_are_not_told(url: str, says: str, told: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(502, text=says))
    with pytest.raises(NodeError) as caught:
        await provider.code(FailoverProvider(httpx.AsyncClient(transport=transport), [url], CHAIN_ID), GATEWAY)
    assert str(caught.value).endswith(f"'{told}'")


def test_a_node_that_never_ends_its_answer_is_given_up() -> None:
    async def dribble(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(10**6)
        raise AssertionError

    async def scenario() -> float:
        nodes = FailoverProvider(
            httpx.AsyncClient(transport=httpx.MockTransport(dribble)), ["https://slow.example"], CHAIN_ID
        )
        with pytest.raises(NodeError, match="did not answer eth_chainId: TimeoutError"):
            await provider.chain_id(nodes)
        return asyncio.get_running_loop().time()

    assert run_virtually(scenario()) == CALL_TIMEOUT_SECONDS


def batches(network: Network, chain_id: str) -> list[list[str]]:
    """Answer batches, `eth_chainId` with this; the methods of each batch so far."""
    methods: list[list[str]] = []

    def say(request: httpx.Request) -> httpx.Response:
        calls = json.loads(request.content)
        methods.append([call["method"] for call in calls])
        values = {"eth_chainId": chain_id, "eth_getCode": "0x05"}
        return httpx.Response(
            200, json=[{"jsonrpc": "2.0", "id": call["id"], "result": values[call["method"]]} for call in calls]
        )

    network.batch = say
    return methods


async def test_a_batch_proves_the_chain_by_itself_once() -> None:
    network = Network(one=result("0x01"))
    methods = batches(network, hex(CHAIN_ID))
    for _ in range(2):
        assert await network.nodes.request_batch([("eth_getCode", [])], str) == ["0x05"]
    assert methods == [["eth_chainId", "eth_getCode"], ["eth_getCode"]]
    await code_of(network)
    assert network.checked == []


@pytest.mark.parametrize("chain_id", [hex(CHAIN_ID + 1), "8453", ""])
async def test_no_result_of_a_batch_counts_without_the_chain(chain_id: str) -> None:
    network = Network(one=result("0x01"))
    methods = batches(network, chain_id)
    for _ in range(2):
        with pytest.raises(NodeError):
            await network.nodes.request_batch([("eth_getCode", [])], str)
    assert methods == [["eth_chainId", "eth_getCode"]] * 2


def test_a_question_that_no_node_answers_is_asked_again_after_each_pause() -> None:
    async def scenario() -> None:
        network = Network(one=broken(httpx.ConnectError), two=broken(httpx.ConnectError))
        network.nodes.pauses = (1.0, 4.0)
        loop = asyncio.get_running_loop()
        before = loop.time()
        with pytest.raises(NodeError):
            await code_of(network)
        assert (loop.time() - before, network.asked) == (5.0, ["one", "two"] * 3)
        network.asked.clear()
        with pytest.raises(NodeError):
            await provider.code(network.nodes.without_pauses(), GATEWAY)
        assert (loop.time() - before, network.asked) == (5.0, ["one", "two"])

    run_virtually(scenario())


async def test_a_node_on_another_chain_is_not_asked_again() -> None:
    network = Network(one=HERE)
    network.chains["one"] = ELSEWHERE
    network.nodes.pauses = (1e9,)
    with pytest.raises(WrongChain):
        await code_of(network)
