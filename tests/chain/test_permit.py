"""Whether a token takes permits, and how they are signed for it."""

from collections.abc import Mapping

import pytest
from eth_abi.abi import encode
from eth_account.messages import encode_typed_data

from chain import token
from chain.calls import view
from chain.errors import NodeError
from chain.signing import domain_separator
from tests.chain.fake_node import FakeNode
from tests.fakes.factories import CHAIN_ID, OTHER_GATEWAY

pytestmark = pytest.mark.anyio

TOKEN = OTHER_GATEWAY


class TokenNode(FakeNode):
    """A node on which the token answers so, and reverts at anything else."""

    def __init__(self, answers: Mapping[str, bytes]) -> None:
        super().__init__()
        self.told = {view(name, *((TOKEN,) if name == "nonces" else ())): raw for name, raw in answers.items()}

    def _eth_call(self, call: Mapping[str, str], _: str) -> str:
        if call["data"] not in self.told:
            raise NodeError("execution reverted")
        return "0x" + self.told[call["data"]].hex()


def answers(version: str) -> dict[str, bytes]:
    """What a token with permits answers."""
    separator = domain_separator("Lit", version, CHAIN_ID, TOKEN)
    return {"name": encode(["string"], ["Lit"]), "DOMAIN_SEPARATOR": separator, "nonces": bytes(32)}


def test_the_separator_is_that_of_the_standard() -> None:
    domain = {"name": "Lit", "version": "1", "chainId": CHAIN_ID, "verifyingContract": TOKEN}
    signable = encode_typed_data(domain, {"X": [{"name": "x", "type": "uint256"}]}, {"x": 1})
    assert domain_separator("Lit", "1", CHAIN_ID, TOKEN) == signable.header


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_token_with_permits(version: str) -> None:
    node = TokenNode(answers(version))
    assert await token.permit_domain(node, TOKEN, CHAIN_ID) == {"name": "Lit", "version": version}


@pytest.mark.parametrize("missing", ["name", "DOMAIN_SEPARATOR", "nonces"])
async def test_a_token_without(missing: str) -> None:
    told = {name: raw for name, raw in answers("1").items() if name != missing}
    node = TokenNode(told)
    assert await token.permit_domain(node, TOKEN, CHAIN_ID) is None
    assert node.backoff_until == 0.0, "a refusal is no failure of the node"


async def test_a_domain_that_we_do_not_know_is_none() -> None:
    assert await token.permit_domain(TokenNode(answers("3")), TOKEN, CHAIN_ID) is None
