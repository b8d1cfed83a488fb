"""The few things we ask of the ERC-20 token."""

from chain import node
from chain.calls import view
from chain.decoding import words
from chain.errors import BadAnswer
from chain.node import Reader


async def allowance(reader: Reader, token: str, owner: str, spender: str) -> int:
    """How many base units `spender` may take from `owner`."""
    return await node.call(reader, token, view("allowance", owner, spender), _integer)


async def decimals(reader: Reader, token: str) -> int:
    """The token's decimals."""
    return await node.call(reader, token, view("decimals"), _integer)


async def symbol(reader: Reader, token: str) -> str:
    """The token's symbol, as text."""
    return await node.call(reader, token, view("symbol"), _text)


def _integer(raw: bytes) -> int:
    if len(raw) != 32:
        raise BadAnswer(f"expected one integer, got {len(raw)} bytes")
    return int.from_bytes(raw)


def _text(raw: bytes) -> str:
    offset, length, *_ = [*words(raw), 0, 0]
    text = raw[64 : 64 + length]
    if offset != 32 or len(text) != length:
        raise BadAnswer("expected one string")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise BadAnswer("expected a string in UTF-8") from error
