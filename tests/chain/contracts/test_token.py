"""The token's views, whether it takes permits, and answers of tokens that are none."""

from collections.abc import Mapping

import pytest
from eth_abi.abi import encode
from eth_account.messages import encode_typed_data

from chain.contracts import ERC20_ABI, TokenContract, contract_functions, read_early
from chain.errors import ChainError, NodeError
from chain.signatures import domain_separator
from tests.chain.fake_node import FakeNode
from tests.fakes.factories import CHAIN_ID, GATEWAY, OTHER_GATEWAY, WALLET

pytestmark = pytest.mark.anyio
TOKEN = OTHER_GATEWAY


def answering(raw: bytes) -> FakeNode:
    """A node on which every view returns these bytes."""
    node = FakeNode()
    node.views = {"allowance": 0, "decimals": 0, "symbol": 0}
    node.lies["eth_call"] = lambda _: "0x" + raw.hex()
    return node


def token(node: FakeNode) -> TokenContract:
    """The token, read at this node."""
    return TokenContract(node, TOKEN)


async def test_integers() -> None:
    node = answering((7).to_bytes(32))
    assert await token(node).allowance(WALLET, GATEWAY) == 7
    assert await read_early(node, [(TOKEN, "decimals")]) == [7]


@pytest.mark.parametrize("raw", [b"", b"\x07", bytes(31), bytes(33), bytes(64), bytes(96)])
async def test_what_is_not_one_integer_is_a_failure(raw: bytes) -> None:
    with pytest.raises(ChainError):
        await token(answering(raw)).allowance(WALLET, GATEWAY)
    with pytest.raises(ChainError):
        await read_early(answering(raw), [(TOKEN, "decimals")])


@pytest.mark.parametrize("symbol", ["LITKEY", "", "鍵" * 30, "x" * 32])
async def test_symbol(symbol: str) -> None:
    node = answering(encode(["string"], [symbol]))
    assert await token(node).symbol() == symbol
    assert await read_early(node, [(TOKEN, "symbol")]) == [symbol]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"LITKEY".ljust(32, b"\0"),  # bytes32, as some old tokens answer
        encode(["string"], ["LITKEY"])[:-32],
        encode(["string"], ["LITKEY"])[:-1],
        encode(["string"], ["LITKEY"])[:-1] + b"\x01",
        encode(["string"], ["LITKEY"]) + bytes(32),
        encode(["bytes"], [b"\xff\xfe"]),
        (64).to_bytes(32) + encode(["string"], ["LITKEY"])[32:],
        (32).to_bytes(32) + b"\xff" * 32,
        b"\xff" * 64,
    ],
)
async def test_what_is_not_one_string_is_a_failure(raw: bytes) -> None:
    with pytest.raises(ChainError):
        await token(answering(raw)).symbol()
    with pytest.raises(ChainError):
        await read_early(answering(raw), [(TOKEN, "symbol")])


class TokenNode(FakeNode):
    """A node on which the token returns these answers, and reverts at anything else."""

    def __init__(self, answers: Mapping[str, bytes]) -> None:
        super().__init__()
        functions = contract_functions(ERC20_ABI)
        self.answers = {
            functions[name].encode(*((TOKEN,) if name == "nonces" else ())): raw for name, raw in answers.items()
        }

    def _eth_call(self, call: Mapping[str, str], _: str) -> str:
        if call["data"] not in self.answers:
            raise NodeError("execution reverted")
        return "0x" + self.answers[call["data"]].hex()


def permit_answers(version: str) -> dict[str, bytes]:
    """What a token with permits returns."""
    separator = domain_separator("Lit", version, CHAIN_ID, TOKEN)
    return {"name": encode(["string"], ["Lit"]), "DOMAIN_SEPARATOR": separator, "nonces": bytes(32)}


def test_the_separator_is_that_of_the_standard() -> None:
    domain = {"name": "Lit", "version": "1", "chainId": CHAIN_ID, "verifyingContract": TOKEN}
    signable = encode_typed_data(domain, {"X": [{"name": "x", "type": "uint256"}]}, {"x": 1})
    assert domain_separator("Lit", "1", CHAIN_ID, TOKEN) == signable.header


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_token_with_permits(version: str) -> None:
    node = TokenNode(permit_answers(version))
    assert await token(node).permit_domain(CHAIN_ID) == {"name": "Lit", "version": version}


@pytest.mark.parametrize("missing", ["name", "DOMAIN_SEPARATOR", "nonces"])
async def test_a_token_without(missing: str) -> None:
    node = TokenNode({name: raw for name, raw in permit_answers("1").items() if name != missing})
    assert await token(node).permit_domain(CHAIN_ID) is None
    assert node.backoff_until == 0.0, "a refusal is no failure of the node"


async def test_a_domain_that_we_do_not_know_is_none() -> None:
    assert await token(TokenNode(permit_answers("3"))).permit_domain(CHAIN_ID) is None
