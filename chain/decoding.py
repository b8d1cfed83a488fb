"""Decodes JSON from nodes strictly. Pure: a value of the wrong shape raises InvalidResponse and is never skipped."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Generic, TypeVar

import msgspec

from chain.errors import InconsistentChainData, InvalidResponse
from chain.payment import MAX_TIME, Block, Payment, customer_id_from_bytes32

T = TypeVar("T")

# keccak256 of the events' signatures; tests/chain recomputes both.
PAYMENT_TOPIC = "0x8a15d709d8ba7b3da2946a4110feb3f70e8a0dd1e55a69caba618fd7270d74f6"
TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"

_TOPIC_CACHE_SIZE = 1 << 14
_QUANTITY = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})")
_HASH = re.compile(r"0x[0-9a-f]{64}")


class _Response(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """A JSON-RPC response. Absent members are UNSET, since null is a result."""

    id: int | None = None
    result: T | msgspec.UnsetType = msgspec.UNSET
    error: Any = msgspec.UNSET


class _Header(msgspec.Struct, frozen=True):
    number: str
    hash: str
    timestamp: str


class LogHead(msgspec.Struct, frozen=True, gc=False):
    """The part of a receipt's log that says which contract emitted which event."""

    address: str
    topics: tuple[str, ...]
    data: str = ""


class Log(LogHead, frozen=True, gc=False, rename="camel", kw_only=True):
    """A log of a block as a node shows it, its hex still to be checked."""

    data: str
    block_hash: str
    block_number: str
    transaction_hash: str
    log_index: str
    removed: bool = False


class _Receipt(msgspec.Struct, frozen=True, rename="camel"):
    transaction_hash: str
    status: str
    block_number: str
    block_hash: str
    logs: list[LogHead]


@dataclass(frozen=True, slots=True)
class TxReceipt:
    """The part of an EVM transaction's receipt that we use. `payment_counts` maps contracts to their Payment logs.

    `transfers` are `(contract, recipient, data)` of anybody's Transfer logs; the data is still to be checked.
    """

    tx_hash: str
    block: int
    block_hash: str
    succeeded: bool
    payment_counts: Counter[str]
    transfers: tuple[tuple[str, str, str], ...] = ()


def result(content: bytes, number: int) -> object:
    """Decode the body of a JSON-RPC response to the call with this ID."""
    response = _response(content, _Response[Any], "a JSON-RPC answer")
    if response.error is not msgspec.UNSET:
        raise InvalidResponse(f"error {str(response.error)[:300]}")
    if response.id != number or response.result is msgspec.UNSET:
        raise InvalidResponse("a JSON-RPC answer to another question")
    value: object = response.result
    return value


def batch_results(content: bytes, numbers: Sequence[int], form: Any = Any) -> list[object]:
    """Decode a batch response to values of `form`, ordered by ID: nodes answer in any order, and some omit answers."""
    results: dict[int | None, object] = {}
    for response in _response(content, list[_Response[form]], "a list of JSON-RPC answers"):
        if response.error is not msgspec.UNSET or response.result is msgspec.UNSET:
            raise InvalidResponse(f"error {str(response.error)[:300]}")
        if response.id in results:
            raise InvalidResponse("two answers to one call")
        results[response.id] = response.result
    if len(results) != len(numbers) or any(number not in results for number in numbers):
        raise InvalidResponse(f"{len(results)} answers to {len(numbers)} calls")
    return [results[number] for number in numbers]


def _response(content: bytes, type_: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(content, type=type_)
    except msgspec.ValidationError as error:
        raise InvalidResponse(f"expected {what}, got {_excerpt(content.decode(errors='replace'))}: {error}") from error
    except (ValueError, RecursionError) as error:  # of msgspec: DecodeError and UnicodeDecodeError are ValueErrors
        raise InvalidResponse(f"no JSON: {content[:2000].decode(errors='replace')!r}") from error


def quantity(value: object, largest: int | None = None) -> int:
    """Decode a JSON-RPC quantity (`0x1b4`), up to `largest` if given."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value) or (largest and int(value, 16) > largest):
        raise InvalidResponse(f"expected a quantity, got {_excerpt(value)}")
    return int(value, 16)


def data(value: object, size: int | None = None) -> bytes:
    """Decode JSON-RPC data (`0x…`), of exactly `size` bytes if given."""
    if not isinstance(value, str) or value[:2] != "0x":
        raise InvalidResponse(f"expected hex data, got {_excerpt(value)}")
    try:
        raw = bytes.fromhex(value[2:])
    except ValueError:
        raw = b""
    if len(value) != 2 + 2 * len(raw):  # fromhex accepts spaces
        raise InvalidResponse(f"expected hex data, got {_excerpt(value)}")
    if size is not None and len(raw) != size:
        raise InvalidResponse(f"expected {size} bytes, got {len(raw)}")
    return raw


def hash32(value: object) -> str:
    """Decode a 32-byte hash to lower case."""
    return "0x" + data(value, 32).hex()


def address(value: object) -> str:
    """Decode a 20-byte address to lower case."""
    return "0x" + data(value, 20).hex()


def items(value: object, what: str) -> list[Any]:
    """Check that a value is a JSON array."""
    if not isinstance(value, list):
        raise InvalidResponse(f"expected a list of {what}, got {_excerpt(value)}")
    return value


def typed(value: object, type_: type[T], what: str) -> T:
    """Convert a JSON value to a type; unknown fields are ignored."""
    try:
        return msgspec.convert(value, type_)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidResponse(f"expected {what}: {error}") from error


def uint256(raw: bytes) -> int:
    """Decode return data that is one integer."""
    if len(raw) != 32:
        raise InvalidResponse(f"expected one integer, got {len(raw)} bytes")
    return int.from_bytes(raw)


def text(raw: bytes) -> str:
    """Decode return data that is one UTF-8 string."""
    length = int.from_bytes(raw[32:64])
    content = raw[64 : 64 + length]
    if raw[:64] != (32).to_bytes(32) + len(content).to_bytes(32) or raw[64:] != content + bytes(-len(content) % 32):
        raise InvalidResponse("expected one string")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidResponse("expected a string in UTF-8") from error


def word_as_address(word: int) -> str:
    """Decode a 32-byte word that must be an address."""
    if word >> 160:
        raise InvalidResponse("a word holds more than an address")
    return f"0x{word:040x}"


def payment_blocks(blocks: list[int], expected: int) -> list[int]:
    """Check the part of the contract's index that was asked for.

    Raises: InconsistentChainData.
    """
    if len(blocks) != expected:
        raise InconsistentChainData(f"asked the gateway for {expected} blocks, got {len(blocks)}")
    if any(later < earlier for earlier, later in pairwise(blocks)):
        raise InconsistentChainData("the gateway's index goes backwards")
    return blocks


def block(value: object) -> Block:
    """Decode a block header."""
    header = typed(value, _Header, "a block")
    return Block(quantity(header.number), hash32(header.hash), quantity(header.timestamp, MAX_TIME))


def receipt(value: object, tx_hash: str) -> TxReceipt:
    """Decode the receipt of one EVM transaction."""
    fields = typed(value, _Receipt, "a receipt")
    if hash32(fields.transaction_hash) != tx_hash:
        raise InvalidResponse("a receipt of another transaction")
    status = quantity(fields.status)
    if status > 1:
        raise InvalidResponse(f"a receipt with status {status}")
    logs = [(address(log.address), [hash32(topic) for topic in log.topics], log.data) for log in fields.logs]
    return TxReceipt(
        tx_hash=tx_hash,
        block=quantity(fields.block_number),
        block_hash=hash32(fields.block_hash),
        succeeded=status == 1,
        payment_counts=Counter(emitter for emitter, topics, _ in logs if topics[:1] == [PAYMENT_TOPIC]),
        transfers=tuple(
            (by, topics[2], raw) for by, topics, raw in logs if topics[:1] == [TRANSFER_TOPIC] and topics[2:]
        ),
    )


def payments(logs: object, *, chain_id: int, gateway: str, within: Block) -> list[Payment]:
    """Decode every payment of `gateway` in one block, in order, from the complete list of its Payment logs.

    Raises: InvalidResponse on a malformed log, one of another block, address or event, and on repeats or disorder.
    """
    decoded: list[Payment] = []
    ordinals: dict[str, int] = {}
    for log in typed(logs, list[Log], "logs"):
        topics = log.topics  # an audit decodes millions of logs: comparing the usual text first avoids parsing it
        if log.address != gateway and address(log.address) != gateway:
            raise InvalidResponse("a log of another contract")
        if len(topics) != 4 or (topics[0] != PAYMENT_TOPIC and hash32(topics[0]) != PAYMENT_TOPIC):
            raise InvalidResponse("a log that is no Payment event")
        check_block(log, within)
        raw = data(log.data, 96)
        tx_hash = log.transaction_hash if _HASH.fullmatch(log.transaction_hash) else hash32(log.transaction_hash)
        ordinal = ordinals.get(tx_hash, 0)
        ordinals[tx_hash] = ordinal + 1
        payment = Payment(
            chain_id=chain_id,
            gateway=gateway,
            tx_hash=tx_hash,
            ordinal=ordinal,
            customer_id=_topic_customer(topics[1]),
            wallet=topic_address(topics[2]),
            payer=topic_address(topics[3]),
            sequence=int.from_bytes(raw[:32]),
            amount=int.from_bytes(raw[32:64]),
            cents=int.from_bytes(raw[64:]),
            block=within.number,
            block_hash=within.hash,
            time=within.time,
            log_index=_log_index(log.log_index),
        )
        if decoded and payment.log_index <= decoded[-1].log_index:
            raise InvalidResponse("logs are not in the order of their index")
        decoded.append(payment)
    return decoded


def check_block(log: Log, within: Block) -> None:
    """Raise InvalidResponse unless a log is of this block and still on the chain."""
    if log.block_hash != within.hash and hash32(log.block_hash) != within.hash:
        raise InvalidResponse("a log of another block")
    if log.block_number != hex(within.number) and quantity(log.block_number) != within.number:
        raise InvalidResponse("a log of another block")
    if log.removed:
        raise InvalidResponse("a removed log")


@lru_cache(_TOPIC_CACHE_SIZE)
def _log_index(text: str) -> int:
    """Decode a position in a block; cached, as they repeat from block to block."""
    return quantity(text)


@lru_cache(_TOPIC_CACHE_SIZE)
def _topic_customer(topic: str) -> str | None:
    """Decode a customer ID; cached, so that a customer's payments share one string."""
    return customer_id_from_bytes32(data(topic, 32))


@lru_cache(_TOPIC_CACHE_SIZE)
def topic_address(topic: str) -> str:
    """Decode an indexed address; cached, so that a payer's payments share one string."""
    return word_as_address(int.from_bytes(data(topic, 32)))


def _excerpt(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
