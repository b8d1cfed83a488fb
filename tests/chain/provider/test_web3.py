"""web3 over our own provider: one request a view, no calls of its own, and no way for a node to lead it elsewhere."""

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_abi.abi import encode
from eth_abi.exceptions import InsufficientDataBytes
from eth_utils.crypto import keccak
from web3.exceptions import BadFunctionCallOutput, ContractLogicError, OffchainLookup

from chain.contracts import GatewayContract, contract_functions
from chain.errors import ChainError, InvalidResponse, NodeError
from chain.failover import FailoverProvider
from chain.gateway import Gateway, find_payments_in_tx
from stateless_billing.sandbox import processes
from tests.chain.fake_node import FakeNode, FakeNodes, history, word
from tests.chain.provider.network import Network, Says, answer, result
from tests.fakes.factories import CHAIN_ID, GATEWAY
from tests.fakes.virtual_time import run_virtually

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]
SEVEN = result("0x" + word(7).hex())
LOOKUP = keccak(text="OffchainLookup(address,string[],bytes,bytes4,bytes)")[:4] + encode(
    ["address", "string[]", "bytes", "bytes4", "bytes"],
    [GATEWAY, ["https://evil.example/{sender}/{data}"], b"", b"\0" * 4, b""],
)
REVERT = keccak(text="Error(string)")[:4] + encode(["string"], ["Payment: paused"])
REVERTS: dict[str, Says] = {
    "OffchainLookup": answer(error={"code": 3, "message": "execution reverted", "data": "0x" + LOOKUP.hex()}),
    "a reason": answer(error={"code": 3, "message": "execution reverted: x", "data": "0x" + REVERT.hex()}),
    "a panic": answer(error={"code": 3, "message": "execution reverted", "data": "0x4e487b71" + word(17).hex()}),
    "no data": answer(error={"code": -32000, "message": "execution reverted", "data": "0x"}),
    "other data": answer(error={"code": -32015, "message": "VM execution error", "data": "Reverted 0x"}),
    "a missing method": answer(error={"code": -32601, "message": "the method eth_call does not exist"}),
    "data that is OffchainLookup's": result("0x" + LOOKUP.hex()),
    "data that is a reason": result("0x" + REVERT.hex()),
}


def contract(network: Network) -> GatewayContract:
    """The gateway behind these nodes."""
    return GatewayContract(network.nodes, CHAIN_ID, GATEWAY)


@pytest.mark.parametrize("says", REVERTS.values(), ids=list(REVERTS))
async def test_a_revert_is_the_nodes_failure_and_no_url_is_fetched(says: Says) -> None:
    network = Network(one=says, two=SEVEN)
    assert await contract(network).total_payments() == 7
    assert network.asked == ["one", "two"], "no other host was asked, and each once"
    with pytest.raises(ChainError, match=r"node 1 \(one.example\) did not answer eth_call"):
        await contract(Network(one=says)).total_payments()


async def test_a_nodes_provider_never_reads_off_chain() -> None:
    [node] = Network(one=SEVEN).nodes.providers
    assert node.web3.provider.global_ccip_read_enabled is False
    assert node.web3.middleware_onion.as_tuple_of_middleware() == ()


@pytest.mark.parametrize(
    "error",
    [
        KeyError("name"),
        TypeError("a type"),
        ValueError("a value"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        OverflowError("too large"),
        RecursionError("too deep"),
        InsufficientDataBytes("too short"),
        BadFunctionCallOutput("no output"),
        ContractLogicError("execution reverted", data="0x"),
        OffchainLookup({"sender": GATEWAY}, data="0x"),
        InvalidResponse("of another shape"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_every_error_of_web3_is_the_nodes_failure(error: Exception) -> None:
    class Raising(FakeNode):
        async def call(self, to: str, calldata: str) -> bytes:
            raise error

    raising, honest = Raising(), FakeNode(history(3))
    with pytest.raises(InvalidResponse, match="the fake node did not answer eth_call"):
        await GatewayContract(raising, CHAIN_ID, GATEWAY).total_payments()
    assert await GatewayContract(FakeNodes(raising, honest), CHAIN_ID, GATEWAY).total_payments() == 3


async def test_a_refused_value_counts_as_a_failed_request_of_its_node() -> None:
    counted: list[tuple[str, str, bool]] = []
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: _chain_or(request, "0x" + word(2).hex())))
    node = FailoverProvider(http, ["https://one.example"], CHAIN_ID, lambda *request: counted.append(request))
    with pytest.raises(InvalidResponse):
        await GatewayContract(node, CHAIN_ID, GATEWAY).paused()
    name = "node 1 (one.example)"
    assert counted == [(name, "eth_chainId", True), (name, "eth_call", True), (name, "eth_call", False)]


def _chain_or(request: httpx.Request, value: str) -> httpx.Response:
    return result(hex(CHAIN_ID) if json.loads(request.content)["method"] == "eth_chainId" else value)(request)


class RecordingNetwork:
    """One node over HTTP that answers as a fake node does, and every message that reached it."""

    def __init__(self, fake: FakeNode) -> None:
        self.fake = fake
        self.messages: list[dict[str, Any]] = []
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._handle))
        self.nodes = FailoverProvider(http, ["https://one.example"], CHAIN_ID)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        message = json.loads(request.content)
        self.messages.append(message)
        value = self.fake.answer(message["method"], message["params"])
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": message["id"], "result": value})

    @property
    def methods(self) -> list[str]:
        """The methods asked, in order."""
        return [message["method"] for message in self.messages]


async def test_a_view_is_one_request() -> None:
    network = RecordingNetwork(FakeNode(history(3)))
    gateway = GatewayContract(network.nodes, CHAIN_ID, GATEWAY)
    assert await gateway.total_payments() == 3
    assert await gateway.payment_blocks(0, 3) == [100, 100, 100]
    assert await gateway.payment_count("cus_Payer0") == 1
    assert network.methods == ["eth_chainId", "eth_call", "eth_call", "eth_call"]
    assert network.messages[1]["params"] == [{"to": GATEWAY, "data": "0x005b4487"}, "latest"]
    assert len({message["id"] for message in network.messages}) == 4


async def test_the_requests_of_a_payment_are_counted() -> None:
    payments = history(1, 2)
    network = RecordingNetwork(FakeNode(payments))
    gateway = Gateway(network.nodes, CHAIN_ID, GATEWAY)
    claim = await find_payments_in_tx(network.nodes, [gateway], payments[0].tx_hash)
    assert claim is not None
    assert claim.payments == (payments[0],)
    block = ["eth_getBlockByNumber", "eth_getLogs"]
    assert network.methods == ["eth_chainId", "eth_getTransactionReceipt", *block, "eth_call"]
    network.messages.clear()
    assert await gateway.payments_of("cus_Payer0", 0, 1, verify_receipts=True) == payments[:1]
    assert network.methods == ["eth_call", *block, "eth_getTransactionReceipt"]
    network.messages.clear()
    assert [payment async for window in gateway.payments(0, 3) for _, payment in window.payments] == payments
    assert network.methods == ["eth_call", *block, *block, "eth_getBlockByNumber"]


def _run(code: str) -> str:
    done = processes.run([sys.executable, "-c", code], cwd=ROOT)
    assert done.returncode == 0, done.stderr[-500:]
    return done.stdout.strip()


@pytest.mark.parametrize("first", ["provider.preload_web3", "signatures.preload_crypto"])
def test_the_recursion_limit_is_left_alone_by_all_threads_that_import_at_once(first: str) -> None:
    limits = _run(
        "import sys, threading\n"
        "from chain import provider, signatures\n"
        "assert 'py_ecc' not in sys.modules and 'web3' not in sys.modules\n"
        f"calls = [{first}, provider.preload_web3, signatures.preload_crypto, provider.preload_web3]\n"
        "threads = [threading.Thread(target=call) for call in calls]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "print('web3' in sys.modules, sys.getrecursionlimit(), [name for name in sys.modules if 'py_ecc' in name])"
    )
    assert limits == "True 1000 []"


def test_who_needs_bls_still_gets_it_and_a_key_file_is_refused_rather_than_wrong() -> None:
    printed = _run(
        "from chain import signatures\n"
        "signatures.preload_crypto()\n"
        "from eth_account import Account\n"
        "from py_ecc.bls import G2ProofOfPossession\n"
        "try: Account.encrypt('0x' + '11' * 32, 'password')\n"
        "except Exception as error: print(type(error).__name__, G2ProofOfPossession.SkToPk(1).hex()[:8])"
    )
    assert printed == "EthKeyfileValueError 97f1d3a7"


def test_every_first_use_leaves_the_recursion_limit_alone() -> None:
    for use in (
        "contracts.contract_functions('PaymentGateway')",
        "signatures.to_checksum_address('0x' + '11' * 20)",
        "provider.NodeProvider(None, 'http://x', 1).web3",
    ):
        assert _run(f"import sys\nfrom chain import contracts, provider, signatures\n{use}\n{_LIMIT}") == "1000"


_LIMIT = "print(sys.getrecursionlimit())"


def test_deeply_nested_answers_do_not_end_a_process_that_has_loaded_web3() -> None:
    refused = _run(
        "from chain import decoding, provider\n"
        "from chain.errors import InvalidResponse\n"
        "provider.preload_web3()\n"
        "refused = 0\n"
        "for opening in ('[', '{\"id\":', '{\"id\": 1, \"result\": [[' , '{\"x\": [', '[{\"result\":'):\n"
        "    for depth in (900, 2_000, 100_000, 1_000_000):\n"
        "        for decode in (lambda c: decoding.result(c, 1), lambda c: decoding.batch_results(c, [1])):\n"
        "            try:\n"
        "                decode((opening * depth).encode())\n"
        "            except InvalidResponse:\n"
        "                refused += 1\n"
        "print(refused)"
    )
    assert refused == "40"


async def test_a_node_that_answers_a_view_with_an_error_is_not_believed_by_failover() -> None:
    network = Network(one=answer(error={"code": 3, "message": "reverted"}), two=answer(error={"code": 3}))
    with pytest.raises(NodeError, match=r"node 1 .*; node 2 "):
        await contract(network).paused()


def test_a_view_waits_for_no_thread_once_web3_is_loaded() -> None:
    contract_functions.cache_clear()
    gateway = GatewayContract(FakeNode(history(3)), CHAIN_ID, GATEWAY)
    assert run_virtually(gateway.total_payments()) == 3


def test_the_first_view_loads_web3_in_a_thread() -> None:
    assert (
        _run(
            "import asyncio, sys, threading\n"
            "from chain import contracts, signatures\n"
            "def load(preload=contracts.preload_web3):\n"
            "    is_main = threading.current_thread() is threading.main_thread()\n"
            "    assert not is_main or signatures.is_imported('web3')\n"
            "    preload()\n"
            "contracts.preload_web3 = load\n"
            "gateway = contracts.GatewayContract(None, 1, '0x' + '11' * 20)\n"
            "print(asyncio.run(gateway.load_function('owner')).encode())"
        )
        == "0x8da5cb5b"
    )
