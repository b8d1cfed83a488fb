"""What can go wrong with the chain is one family, so that one clause catches all of it."""

import pytest

from chain.errors import ChainError, InconsistentChainData, InvalidResponse, NodeError, keys_in_url


@pytest.mark.parametrize("error", [InvalidResponse, InconsistentChainData, NodeError])
def test_every_failure_is_a_chain_error_and_none_is_another(error: type[ChainError]) -> None:
    assert error.__bases__ == (ChainError,)


@pytest.mark.parametrize(
    ("url", "keys"),
    [
        ("https://a.example/v2/0123456789abcdef", ["/v2/0123456789abcdef", "v2/0123456789abcdef", "0123456789abcdef"]),
        (
            "https://a.example/?chainId=8453&v=1&token=true&dkey=0123456789abcdef",
            ["chainId=8453&v=1&token=true&dkey=0123456789abcdef", "0123456789abcdef"],
        ),
        ("https://a.example/rpc?0123456789abcdef", ["0123456789abcdef"]),
        ("https://0123456789abcdef:@a.example", ["0123456789abcdef"]),
        ("https://user:secret@a.example/base/mainnet", ["secret"]),
        ("https://user:x@a.example:8545/rpc", []),
        ("https://a.example/", []),
        ("https://a.example/l2/x", []),
        (
            "https://a.example/?k=0123456789%2Bab",
            ["k=0123456789%2Bab", "0123456789%2Bab", "k=0123456789+ab", "0123456789+ab"],
        ),
        ("https://a.example/hook/s3cr3t-abc/", ["/hook/s3cr3t-abc", "hook/s3cr3t-abc"]),
        ("https://a.example/Ab3dE9xY", ["/Ab3dE9xY", "Ab3dE9xY"]),
        ("https://a.example/base/mainnet/v1?v=1", []),
        ("https://a.example/api_base/8453?mainnet", []),
        ("https://a.example/?token=short1234", ["token=short1234", "short1234"]),
        ("https://a.example/?X-Auth=short1", ["X-Auth=short1", "short1"]),
        ("https://a.example/?apiKey=short", ["apiKey=short"]),
        ("https://a.example/?passwords=a%2Bbcde", ["passwords=a%2Bbcde", "passwords=a+bcde", "a%2Bbcde", "a+bcde"]),
        ("https://a.example/?network=mainnet&my_secret=s3cr3t", ["network=mainnet&my_secret=s3cr3t", "s3cr3t"]),
    ],
)
def test_what_of_a_url_may_be_a_key(url: str, keys: list[str]) -> None:
    assert keys_in_url(url) == keys
