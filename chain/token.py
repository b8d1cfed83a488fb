"""The few things we ask of the ERC-20 token."""

from chain import provider
from chain.calls import view
from chain.decoding import words
from chain.errors import ChainError, InvalidResponse
from chain.provider import ChainClient
from chain.signing import domain_separator

_VERSIONS = ("1", "2")


async def allowance(reader: ChainClient, token: str, owner: str, spender: str) -> int:
    """How many base units `spender` may take from `owner`."""
    return await provider.call(reader, token, view("allowance", owner, spender), _integer)


async def decimals(reader: ChainClient, token: str) -> int:
    """The token's decimals."""
    return await provider.call(reader, token, view("decimals"), _integer)


async def symbol(reader: ChainClient, token: str) -> str:
    """The token's symbol, as text."""
    return await provider.call(reader, token, view("symbol"), _text)


async def permit_domain(reader: ChainClient, token: str, chain_id: int) -> dict[str, str] | None:
    """`name` and `version` of the token's EIP-712 domain, where it takes EIP-2612 permits; None where none is known.

    A token that has no permits refuses these questions, which is no failure of the node.
    """
    for one in reader.each:
        try:
            name = await provider.call(one, token, view("name"), _text)
            separator = await provider.call(one, token, view("DOMAIN_SEPARATOR"), _word)
            await provider.call(one, token, view("nonces", token), _integer)
        except ChainError:
            continue
        for version in _VERSIONS:
            if domain_separator(name, version, chain_id, token) == separator:
                return {"name": name, "version": version}
    return None


def _word(raw: bytes) -> bytes:
    return _integer(raw).to_bytes(32)


def _integer(raw: bytes) -> int:
    if len(raw) != 32:
        raise InvalidResponse(f"expected one integer, got {len(raw)} bytes")
    return int.from_bytes(raw)


def _text(raw: bytes) -> str:
    offset, length, *_ = [*words(raw), 0, 0]
    text = raw[64 : 64 + length]
    if offset != 32 or len(text) != length:
        raise InvalidResponse("expected one string")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise InvalidResponse("expected a string in UTF-8") from error
