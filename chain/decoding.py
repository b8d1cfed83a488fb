"""JSON from a node → plain values, strictly. Pure: whatever does not fit its shape is a BadAnswer, never skipped."""

import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from chain.errors import InvalidResponse
from chain.payment import Block, Payment, customer_id_from_bytes32

# keccak256("Payment(bytes32,address,address,uint256,uint256,uint256)"); tests/chain/test_abi.py recomputes it.
PAYMENT_TOPIC = "0x8a15d709d8ba7b3da2946a4110feb3f70e8a0dd1e55a69caba618fd7270d74f6"

_KEPT = 1 << 14
_QUANTITY = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})")


def quantity(value: object) -> int:
    """A JSON-RPC quantity (`0x1b4`) as an integer."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise InvalidResponse(f"expected a quantity, got {_shown(value)}")
    return int(value, 16)


def data(value: object, size: int | None = None) -> bytes:
    """JSON-RPC data (`0x…`), of exactly `size` bytes where given."""
    if not isinstance(value, str) or value[:2] != "0x":
        raise InvalidResponse(f"expected hex data, got {_shown(value)}")
    try:
        raw = bytes.fromhex(value[2:])
    except ValueError:
        raw = b""
    if len(value) != 2 + 2 * len(raw):  # fromhex takes spaces too
        raise InvalidResponse(f"expected hex data, got {_shown(value)}")
    if size is not None and len(raw) != size:
        raise InvalidResponse(f"expected {size} bytes, got {len(raw)}")
    return raw


def hash32(value: object) -> str:
    """A 32-byte hash, lower-case."""
    return "0x" + data(value, 32).hex()


def address(value: object) -> str:
    """A 20-byte address, lower-case."""
    return "0x" + data(value, 20).hex()


def fields(value: object, what: str) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise InvalidResponse(f"expected {what}, got {_shown(value)}")
    return value


def items(value: object, what: str) -> list[Any]:
    """A JSON array."""
    if not isinstance(value, list):
        raise InvalidResponse(f"expected a list of {what}, got {_shown(value)}")
    return value


def topics(log: Mapping[str, Any]) -> list[str]:
    """The topics of a log, lower-case."""
    return [hash32(topic) for topic in items(log.get("topics"), "topics")]


def words(raw: bytes) -> list[int]:
    """ABI data as a list of 32-byte words."""
    if len(raw) % 32:
        raise InvalidResponse(f"expected whole 32-byte words, got {len(raw)} bytes")
    return [int.from_bytes(raw[i : i + 32]) for i in range(0, len(raw), 32)]


def word_as_address(word: int) -> str:
    """An ABI word that must be an address."""
    if word >> 160:
        raise InvalidResponse("a word holds more than an address")
    return f"0x{word:040x}"


def uint64_array(raw: bytes) -> list[int]:
    """The return data of a function that answers one `uint64[]`."""
    values = words(raw)
    if len(values) < 2 or values[0] != 32 or values[1] != len(values) - 2:
        raise InvalidResponse("expected one array of integers")
    if any(value >> 64 for value in values[2:]):
        raise InvalidResponse("an array holds more than 64-bit integers")
    return values[2:]


def block(value: object) -> Block:
    """A block header."""
    got = fields(value, "a block")
    return Block(quantity(got.get("number")), hash32(got.get("hash")), quantity(got.get("timestamp")))


def payments(logs: object, *, chain_id: int, gateway: str, within: Block) -> list[Payment]:
    """Every payment of `gateway` in one block, in order, from that block's complete list of its Payment logs.

    Raises InvalidResponse on a log of another block, address or event, on a malformed one, or on an order that is not
    strict.
    """
    found: list[Payment] = []
    ordinals: Counter[str] = Counter()
    for log in items(logs, "logs"):
        payment = _payment(fields(log, "a log"), ordinals, chain_id, gateway, within)
        if found and payment.log_index <= found[-1].log_index:
            raise InvalidResponse("logs are not in the order of their index")
        found.append(payment)
    return found


def _payment(log: Mapping[str, Any], ordinals: Counter[str], chain_id: int, gateway: str, within: Block) -> Payment:
    """One log. Whoever reads everything decodes millions, so what is just as expected is compared as text."""
    topics = items(log.get("topics"), "topics")
    contract, block_hash, number = log.get("address"), log.get("blockHash"), log.get("blockNumber")
    if contract != gateway and address(contract) != gateway:
        raise InvalidResponse("a log of another contract")
    if len(topics) != 4 or (topics[0] != PAYMENT_TOPIC and hash32(topics[0]) != PAYMENT_TOPIC):
        raise InvalidResponse("a log that is no Payment event")
    if block_hash != within.hash and hash32(block_hash) != within.hash:
        raise InvalidResponse("a log of another block")
    if number != hex(within.number) and quantity(number) != within.number:
        raise InvalidResponse("a log of another block")
    if log.get("removed", False) is not False:
        raise InvalidResponse("a removed log")
    raw = data(log.get("data"), 96)
    tx_hash = hash32(log.get("transactionHash"))
    ordinal = ordinals[tx_hash]
    ordinals[tx_hash] += 1
    return Payment(
        chain_id=chain_id,
        gateway=gateway,
        tx_hash=tx_hash,
        ordinal=ordinal,
        customer_id=_customer(_text(topics[1])),
        wallet=_address(_text(topics[2])),
        payer=_address(_text(topics[3])),
        sequence=int.from_bytes(raw[:32]),
        amount=int.from_bytes(raw[32:64]),
        cents=int.from_bytes(raw[64:]),
        block=within.number,
        block_hash=within.hash,
        time=within.time,
        log_index=quantity(log.get("logIndex")),
    )


def _text(value: object) -> str:
    """A topic that can be looked up in what is kept: a list or an object could not."""
    if not isinstance(value, str):
        raise InvalidResponse(f"expected hex data, got {_shown(value)}")
    return value


@lru_cache(_KEPT)
def _customer(topic: str) -> str | None:
    """Kept, so that a customer's many payments share one string."""
    return customer_id_from_bytes32(data(topic, 32))


@lru_cache(_KEPT)
def _address(topic: str) -> str:
    """Kept, so that a payer's many payments share one string."""
    return word_as_address(int.from_bytes(data(topic, 32)))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
