"""Decoding: what each refusal says, for whoever reads it in the log, and where exactly the bounds lie."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain import decoding
from chain.errors import InvalidResponse
from chain.payment import Payment
from tests.chain.fake_node import raw_log, word
from tests.fakes.factories import CHAIN_ID, GATEWAY, OTHER_GATEWAY, PAYER, block, payment

LOG = raw_log(payment())
TOPICS = LOG["topics"]
HASH = "0x" + "0d" * 32


def decode(logs: object) -> list[Payment]:
    """The payments of GATEWAY in block 100."""
    return decoding.payments(logs, chain_id=CHAIN_ID, gateway=GATEWAY, within=block(100))


def refusal(parse: Callable[[], object]) -> str:
    """The sentence with which an answer is refused."""
    with pytest.raises(InvalidResponse) as caught:
        parse()
    return str(caught.value)


@pytest.mark.parametrize(
    ("parse", "value", "sentence"),
    [
        (decoding.quantity, "0x00", "expected a quantity, got '0x00'"),
        (decoding.quantity, 7, "expected a quantity, got 7"),
        (decoding.data, "0x0", "expected hex data, got '0x0'"),
        (decoding.data, 5, "expected hex data, got 5"),
        (decoding.hash32, "0x00", "expected 32 bytes, got 1"),
        (decoding.address, "0x" + "00" * 32, "expected 20 bytes, got 32"),
        (decoding.block, [], "expected a block: Expected `object`, got `array`"),
        (decoding.block, {}, "expected a block: Object missing required field `number`"),
        (decode, None, "expected logs: Expected `array`, got `null`"),
        (decode, {}, "expected logs: Expected `array`, got `object`"),
        (decode, [5], "expected logs: Expected `object`, got `int` - at `$[0]`"),
        (decode, [LOG | {"topics": "0x"}], "expected logs: Expected `array`, got `str` - at `$[0].topics`"),
        (decoding.uint256, b"\0" * 33, "expected one integer, got 33 bytes"),
        (decoding.text, b"\0" * 64, "expected one string"),
        (decoding.text, word(32) + word(1) + b"\xff".ljust(32, b"\0"), "expected a string in UTF-8"),
        (decoding.word_as_address, 2**160, "a word holds more than an address"),
        (decode, [LOG, LOG], "logs are not in the order of their index"),
        (decode, [LOG | {"address": OTHER_GATEWAY}], "a log of another contract"),
        (decode, [LOG | {"topics": TOPICS[:3]}], "a log that is no Payment event"),
        (decode, [LOG | {"topics": ["0x" + "00" * 32, *TOPICS[1:]]}], "a log that is no Payment event"),
        (decode, [LOG | {"topics": [*TOPICS[:3], PAYER]}], "expected 32 bytes, got 20"),
        (decode, [LOG | {"blockHash": HASH}], "a log of another block"),
        (decode, [LOG | {"blockNumber": "0x65"}], "a log of another block"),
        (decode, [LOG | {"removed": True}], "a removed log"),
        (decode, [LOG | {"removed": None}], "expected logs: Expected `bool`, got `null` - at `$[0].removed`"),
        (decode, [LOG | {"data": "0x"}], "expected 96 bytes, got 0"),
        (decode, [LOG | {"transactionHash": "0x01"}], "expected 32 bytes, got 1"),
        (decode, [LOG | {"logIndex": 3}], "expected logs: Expected `str`, got `int` - at `$[0].logIndex`"),
        (decode, [LOG | {"logIndex": "3"}], "expected a quantity, got '3'"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_shows_it(parse: Callable[[Any], object], value: Any, sentence: str) -> None:
    assert refusal(lambda: parse(value)) == sentence


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize(
    ("topic", "sentence"),
    [
        (None, "expected logs: Expected `str`, got `null` - at `$[0].topics[...]`"),
        (7, "expected logs: Expected `str`, got `int` - at `$[0].topics[...]`"),
        ([TOPICS[1]], "expected logs: Expected `str`, got `array` - at `$[0].topics[...]`"),
        ({}, "expected logs: Expected `str`, got `object` - at `$[0].topics[...]`"),
        ("0x00", "expected 32 bytes, got 1"),
        ("zz", "expected hex data, got 'zz'"),
    ],
)
def test_a_topic_of_any_kind_that_is_no_word_is_refused_and_shown(place: int, topic: object, sentence: str) -> None:
    wrong = [*TOPICS[:place], topic, *TOPICS[place + 1 :]]
    assert refusal(lambda: decode([LOG | {"topics": wrong}])) == sentence.replace("[...]", f"[{place}]")


@pytest.mark.parametrize("length", [57, 58, 59, 60, 61, 1_000])
def test_long_answers_are_shown_by_their_beginning(length: int) -> None:
    text = "z" * (length - 2)
    shown = refusal(lambda: decoding.quantity(text)).removeprefix("expected a quantity, got ")
    assert shown == (repr(text) if length <= 60 else f"'{'z' * 56}...")
    assert len(shown) <= 60


@given(st.integers(0, 2**256 - 1))
def test_every_quantity_is_read_as_it_was_written(number: int) -> None:
    assert decoding.quantity(hex(number)) == number
    assert decoding.quantity("0x" + f"{number:X}") == number


@given(st.binary(max_size=100))
def test_all_data_is_read_as_it_was_written(raw: bytes) -> None:
    assert decoding.data("0x" + raw.hex()) == raw
    assert decoding.data("0x" + raw.hex().upper(), len(raw)) == raw
    with pytest.raises(InvalidResponse):
        decoding.data("0x" + raw.hex(), len(raw) + 1)


@pytest.mark.parametrize("length", range(1, 66))
def test_text_of_any_length_that_is_no_hex_is_refused(length: int) -> None:
    assert refusal(lambda: decoding.data("0x" + "z" * length)).startswith("expected hex data, got '0xz")


@pytest.mark.parametrize("size", [0, 19, 21, 32])
def test_an_address_has_twenty_bytes(size: int) -> None:
    with pytest.raises(InvalidResponse):
        decoding.address("0x" + "00" * size)


@given(st.text(max_size=80))
def test_any_text_is_a_quantity_or_refused_in_one_short_line(text: str) -> None:
    try:
        assert hex(decoding.quantity(text)) == text.lower()
    except InvalidResponse:
        said = refusal(lambda: decoding.quantity(text))
        assert len(said) <= 100
        assert "\n" not in said


def receipt(*logs: object) -> dict[str, Any]:
    """A receipt with these logs."""
    head = {"transactionHash": HASH, "status": "0x1", "blockNumber": "0x64", "blockHash": block(100).hash}
    return head | {"logs": list(logs)}


def test_a_receipts_payments_are_counted_by_contract_in_any_case() -> None:
    shouting = {name: [topic.upper().replace("0X", "0x") for topic in TOPICS] for name in ("topics",)}
    foreign = {"address": OTHER_GATEWAY, "topics": [HASH, TOPICS[0]], "data": "0x"}
    logs = [LOG, LOG | shouting | {"address": "0x" + GATEWAY[2:].upper()}, foreign, foreign | {"topics": []}]
    assert decoding.receipt(receipt(*logs), HASH).payment_counts == {GATEWAY: 2}


def test_a_receipts_transfers_are_anybodys_and_their_data_is_not_read_yet() -> None:
    sent = {"address": OTHER_GATEWAY, "topics": [decoding.TRANSFER_TOPIC, HASH, TOPICS[0].upper().replace("0X", "0x")]}
    logs = [LOG, sent | {"data": "0x1"}, sent | {"topics": sent["topics"][:2]}]
    assert decoding.receipt(receipt(*logs), HASH).transfers == ((OTHER_GATEWAY, TOPICS[0], "0x1"),)


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ({"address": GATEWAY}, "expected a receipt: Object missing required field `topics` - at `$.logs[0]`"),
        (LOG | {"topics": "0x"}, "expected a receipt: Expected `array`, got `str` - at `$.logs[0].topics`"),
        (LOG | {"topics": [HASH, "0x00"]}, "expected 32 bytes, got 1"),
        (LOG | {"topics": [None]}, "expected a receipt: Expected `str`, got `null` - at `$.logs[0].topics[0]`"),
        (LOG | {"address": HASH}, "expected 20 bytes, got 32"),
    ],
)
def test_a_receipt_with_a_malformed_log_is_refused(log: dict[str, Any], sentence: str) -> None:
    assert refusal(lambda: decoding.receipt(receipt(log), HASH)) == sentence


def test_payments_of_one_customer_share_their_strings() -> None:
    [first], [second] = decode([raw_log(payment())]), decode([raw_log(payment(sequence=1))])
    assert first.customer_id is second.customer_id
    assert (first.wallet is second.wallet, first.payer is second.payer) == (True, True)
