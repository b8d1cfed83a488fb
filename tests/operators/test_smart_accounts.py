"""Smart accounts: what is asked, of which nodes, and whom one lying node signs in."""

import json

import httpx
import pytest
from eth_abi.abi import encode

from chain.failover import FailoverProvider
from chain.signatures import message_hash
from stateless_billing.operators.smart_accounts import NotDecided, SmartAccounts, unwrap

pytestmark = pytest.mark.anyio

ACCOUNT, MESSAGE = "0x" + "ac" * 20, "Sign in, \N{SNOWMAN}"
YES = "0x1626ba7e" + "0" * 56
NO = "0x" + "ff" * 4 + "0" * 56
REVERT, DOWN = "revert", "down"
MAGIC = bytes.fromhex("6492" * 16)


class Nodes(httpx.AsyncBaseTransport):
    """Nodes with one answer each, that keep the calls."""

    def __init__(self, *answers: str) -> None:
        self._answers = answers
        self.calls: list[dict[str, str]] = []
        urls = [f"http://{number}" for number in range(len(answers))]
        self.accounts = SmartAccounts(FailoverProvider(httpx.AsyncClient(transport=self), urls, 31337))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the node of this host does."""
        body = json.loads(request.content)
        head = {"jsonrpc": "2.0", "id": body["id"]}
        if body["method"] == "eth_chainId":
            return httpx.Response(200, json=head | {"result": "0x7a69"})
        self.calls.append(body["params"][0])
        assert body["params"][1] == "latest"
        answer = self._answers[int(request.url.host)]
        if answer == DOWN:
            return httpx.Response(500)
        if answer == REVERT:
            return httpx.Response(200, json=head | {"error": {"code": 3, "message": "execution reverted"}})
        return httpx.Response(200, json=head | {"result": answer})


async def has_signed(*answers: str, signature: str = "0x" + "5a" * 65) -> bool:
    """Ask these nodes."""
    return await Nodes(*answers).accounts.has_signed(ACCOUNT, MESSAGE, signature)


async def test_the_call_is_that_of_eip_1271() -> None:
    nodes = Nodes(YES)
    assert await nodes.accounts.has_signed(ACCOUNT, MESSAGE, "0x" + "5a" * 70)
    arguments = encode(["bytes32", "bytes"], [message_hash(MESSAGE), b"\x5a" * 70])
    assert nodes.calls == [{"to": ACCOUNT, "data": "0x1626ba7e" + arguments.hex(), "gas": hex(5_000_000)}]


@pytest.mark.parametrize("answer", [NO, REVERT, "0x", "0x1626ba7e", "0x" + "0" * 56 + "1626ba7e", YES[:-1] + "1"])
async def test_any_other_answer_is_no(answer: str) -> None:
    assert not await has_signed(answer)
    assert not await has_signed(answer, answer)


async def test_two_nodes_must_agree_where_two_are_configured() -> None:
    assert await has_signed(YES, YES)
    for liars in ((YES, NO), (NO, YES), (YES, REVERT), (YES, NO, NO), (YES, "0x")):
        assert not await has_signed(*liars)
    assert await has_signed(NO, YES, YES)


@pytest.mark.parametrize("answers", [(DOWN,), (YES, DOWN), (DOWN, YES), (DOWN, DOWN), (YES, DOWN, NO)])
async def test_too_few_answers_decide_nothing(answers: tuple[str, ...]) -> None:
    with pytest.raises(NotDecided):
        await has_signed(*answers)


async def test_a_failed_node_is_made_up_for_by_a_third() -> None:
    assert await has_signed(YES, DOWN, YES)


@pytest.mark.parametrize("signature", ["", "5a", "0xz", "0x5", "0x 5a", "0x5a ", "\ud800"])
async def test_a_malformed_signature_costs_no_call(signature: str) -> None:
    nodes = Nodes(YES)
    assert not await nodes.accounts.has_signed(ACCOUNT, MESSAGE, signature)
    assert not nodes.calls


async def test_a_wrapped_signature_is_unwrapped() -> None:
    inner = b"\x5a" * 65
    wrapped = encode(["address", "bytes", "bytes"], ["0x" + "fa" * 20, b"deploy", inner]) + MAGIC
    assert unwrap(wrapped) == inner
    assert unwrap(inner) == inner
    for broken in (MAGIC, b"\xff" * 96 + MAGIC, wrapped[:64] + b"\xff" * 32 + wrapped[96:]):
        assert unwrap(broken) == broken
