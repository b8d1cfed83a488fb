"""What can go wrong with the chain is one family, so that one clause catches all of it."""

import pytest

from chain.errors import ChainError, InconsistentChainData, InvalidResponse, NodeError, keys_in_url


@pytest.mark.parametrize("error", [InvalidResponse, InconsistentChainData, NodeError])
def test_every_failure_is_a_chain_error_and_none_is_another(error: type[ChainError]) -> None:
    assert error.__bases__ == (ChainError,)


@pytest.mark.parametrize(
    ("url", "keys"),
    [
        ("https://a.example/v2/0123456789abcdef", ["0123456789abcdef"]),
        ("https://a.example/?chainId=8453&v=1&token=true&dkey=0123456789abcdef", ["0123456789abcdef"]),
        ("https://a.example/rpc?0123456789abcdef", ["0123456789abcdef"]),
        ("https://0123456789abcdef:@a.example", ["0123456789abcdef"]),
        ("https://user:secret@a.example/base/mainnet", ["secret"]),
        ("https://user:x@a.example:8545/rpc", []),
        ("https://a.example/?k=0123456789%2Bab", ["0123456789%2Bab", "0123456789+ab"]),
    ],
)
def test_what_of_a_url_may_be_a_key(url: str, keys: list[str]) -> None:
    assert keys_in_url(url) == keys
