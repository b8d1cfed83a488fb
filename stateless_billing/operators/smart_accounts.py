"""Signatures of smart accounts: EIP-1271 on our chain, and ERC-6492 wrappers of accounts that exist."""

import logging

from chain import decoding
from chain.errors import ChainError
from chain.failover import FailoverProvider
from chain.provider import NodeProvider
from chain.signatures import message_hash

log = logging.getLogger(__name__)

_SELECTOR = bytes.fromhex("1626ba7e")  # isValidSignature(bytes32,bytes); also what it returns for a valid one
_WRAPPER_END = bytes.fromhex("6492" * 16)
_WORD = 32
_GAS = 5_000_000  # a passkey's curve in Solidity takes about 400,000; this also bounds the size of the answer
_REQUIRED_NODES = 2  # one node that lies signs nobody in


class NotDecided(Exception):
    """Too few nodes answered to trust what they say."""


class SmartAccounts:
    """Asks accounts on our chain whether they signed a message."""

    def __init__(self, nodes: FailoverProvider) -> None:
        self._nodes = nodes

    async def has_signed(self, address: str, message: str, signature: str) -> bool:
        """Whether the contract at an address accepts a signature: by two nodes where two are configured.

        Raises: NotDecided.
        """
        raw = _parse_hex(signature)
        if raw is None:
            return False
        calldata = "0x" + _encode_call(message_hash(message), unwrap(raw)).hex()
        nodes = self._nodes.providers
        missing = min(_REQUIRED_NODES, len(nodes))
        has_failures = False
        for node in nodes:
            try:
                missing -= await _accepts(node, address, calldata)
            except ChainError as error:
                log.warning("a smart account's signature: %s", error)
                has_failures = True
            if not missing:
                return True
        if has_failures:
            raise NotDecided
        return False


async def _accepts(node: NodeProvider, address: str, calldata: str) -> bool:
    """Whether one node says that the account accepts the call. Accounts may revert to say no. Raises: ChainError."""
    call = {"to": address, "data": calldata, "gas": hex(_GAS)}
    try:
        answer = await node.request("eth_call", [call, "latest"], decoding.data)
    except ChainError as error:
        if "revert" in str(error).lower():
            return False
        raise
    return answer[:_WORD] == _SELECTOR.ljust(_WORD, b"\0")


def unwrap(signature: bytes) -> bytes:
    """Return the signature in an ERC-6492 wrapper: (factory, its calldata, signature) and 32 bytes of 0x6492."""
    if not is_wrapped(signature):
        return signature
    body = signature[:-_WORD]
    start = int.from_bytes(body[2 * _WORD : 3 * _WORD])
    size = int.from_bytes(body[start : start + _WORD])
    inner = body[start + _WORD : start + _WORD + size]
    return inner if size and len(inner) == size else signature


def is_wrapped(signature: bytes) -> bool:
    """Whether a signature has an ERC-6492 wrapper."""
    return signature.endswith(_WRAPPER_END)


def _parse_hex(text: str) -> bytes | None:
    try:
        raw = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        return None
    return raw if text == f"0x{raw.hex()}" or text.lower() == f"0x{raw.hex()}" else None


def _encode_call(digest: bytes, signature: bytes) -> bytes:
    padded = signature + bytes(-len(signature) % _WORD)
    return b"".join(
        [_SELECTOR, digest, (2 * _WORD).to_bytes(_WORD), len(signature).to_bytes(_WORD), padded],
    )
