"""Decoding: exact values from well-formed answers, BadAnswer from everything else."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain import decoding
from chain.errors import InvalidResponse
from chain.payment import Block, Payment
from tests.chain.fake_node import event_customer, history, raw_log
from tests.fakes.factories import CHAIN_ID, GATEWAY, OTHER_GATEWAY, PAYER, WALLET, block, payment, tx_hash

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.from_regex(r"0x[0-9a-fA-F]{0,70}"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
PARSERS: list[Callable[[object], object]] = [
    decoding.quantity,
    decoding.data,
    decoding.hash32,
    decoding.address,
    decoding.block,
    lambda value: decoding.items(value, "things"),
    lambda value: decoding.receipt(value, tx_hash(1)),
    lambda value: decode(value),
]


def decode(logs: object, within: Block | None = None) -> list[Payment]:
    """The payments of GATEWAY in block 100."""
    return decoding.payments(logs, chain_id=CHAIN_ID, gateway=GATEWAY, within=within or block(100))


@given(JSON)
def test_any_json_gives_a_value_or_a_bad_answer(value: object) -> None:
    for parse in PARSERS:
        with suppress(InvalidResponse):
            parse(value)


LOG = raw_log(payment())


@given(st.sampled_from(sorted(LOG)), JSON)
def test_a_log_with_any_value_in_one_place_gives_a_payment_of_that_block_or_a_bad_answer(
    place: str, value: object
) -> None:
    try:
        [decoded] = decode([LOG | {place: value}])
    except InvalidResponse:
        return
    assert (decoded.gateway, decoded.block, decoded.block_hash) == (GATEWAY, 100, block(100).hash)
    assert 0 <= decoded.amount < 2**256


@pytest.mark.parametrize("value", ["0x", "0x00", "0x01", "1", 1, True, None, "0xg", "-0x1", "0x1 ", "0x1\n", "0X1", ""])
def test_what_is_no_quantity(value: object) -> None:
    with pytest.raises(InvalidResponse):
        decoding.quantity(value)


@pytest.mark.parametrize("value", ["0x" + "f" * 65, "0x" + "1" * 10_000])
def test_a_quantity_beyond_256_bits_is_refused_and_not_shown_whole(value: str) -> None:
    with pytest.raises(InvalidResponse) as caught:
        decoding.quantity(value)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("value", [None, "", "0", "0x0", "00", "0xzz", 5, "0x" + "00" * 31, "0x" + "00" * 33])
def test_what_is_no_hash(value: object) -> None:
    with pytest.raises(InvalidResponse):
        decoding.hash32(value)


def test_hex_becomes_lower_case() -> None:
    assert decoding.hash32("0x" + "AB" * 32) == "0x" + "ab" * 32
    assert decoding.address("0x" + "AB" * 20) == "0x" + "ab" * 20


def test_a_word_that_holds_more_than_an_address() -> None:
    assert decoding.word_as_address(2**160 - 1) == "0x" + "f" * 40
    assert decoding.word_as_address(1) == "0x" + "0" * 39 + "1"
    with pytest.raises(InvalidResponse):
        decoding.word_as_address(2**160)


def test_payments_are_read_exactly() -> None:
    made = history(5)
    assert decode([raw_log(paid) for paid in made]) == made


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1))
def test_numbers_of_any_size_are_read_exactly(sequence: int, amount: int, cents: int) -> None:
    paid = payment(sequence=sequence, amount=amount, cents=cents)
    assert decode([raw_log(paid)]) == [paid]


def test_one_evm_transaction_with_several_payments_numbers_them() -> None:
    made = [payment(log_index=at, sequence=at, tx_hash=tx_hash(at % 2), ordinal=at // 2) for at in range(6)]
    assert decode([raw_log(paid) for paid in made]) == made


def test_bytes_that_are_no_customer_id_give_a_payment_without_one() -> None:
    assert decode([raw_log(payment(customer_id=None))]) == [payment(customer_id=None)]


def test_capitals_from_a_node_do_not_matter() -> None:
    shouting = LOG | {
        name: "0x" + LOG[name][2:].upper() for name in ("address", "blockHash", "transactionHash", "data")
    }
    shouting["topics"] = ["0x" + topic[2:].upper() for topic in LOG["topics"]]
    assert decode([shouting]) == [payment()]
    assert decode([raw_log(payment(block=171)) | {"blockNumber": "0xAB"}], block(171)) == [payment(block=171)]


TOPICS = LOG["topics"]
WRONG: dict[str, dict[str, Any]] = {
    "of another contract": {"address": OTHER_GATEWAY},
    "of another event": {"topics": ["0x" + "00" * 32, *TOPICS[1:]]},
    "of another event that tells of this one": {"topics": ["0x" + "00" * 32, TOPICS[0], *TOPICS[2:]]},
    "with a topic too few": {"topics": TOPICS[:3]},
    "with a topic too many": {"topics": [*TOPICS, TOPICS[1]]},
    "without topics": {"topics": []},
    "with a short topic": {"topics": [*TOPICS[:3], PAYER]},
    "whose wallet is no address": {"topics": [*TOPICS[:2], "0x" + "11" * 32, TOPICS[3]]},
    "of another block by hash": {"blockHash": block(101).hash},
    "of another block by number": {"blockNumber": "0x65"},
    "that a reorganisation removed": {"removed": True},
    "removed in other words": {"removed": "true"},
    "pending, without a block": {"blockHash": None, "blockNumber": None},
    "with short data": {"data": LOG["data"][:-2]},
    "with long data": {"data": LOG["data"] + "00" * 32},
    "with odd data": {"data": LOG["data"] + "0"},
    "without its transaction": {"transactionHash": None},
    "without a place": {"logIndex": None},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=list(WRONG))
def test_one_wrong_log_spoils_the_answer(wrong: dict[str, Any]) -> None:
    later = raw_log(payment(log_index=9, tx_hash=tx_hash(2), sequence=1))
    with pytest.raises(InvalidResponse):
        decode([LOG, later | wrong])
    with pytest.raises(InvalidResponse):
        decode([LOG | wrong])


@pytest.mark.parametrize("places", [(3, 3), (3, 2), (1, 5, 4)])
def test_logs_that_repeat_or_are_out_of_order(places: tuple[int, ...]) -> None:
    with pytest.raises(InvalidResponse, match="order"):
        decode([raw_log(payment(log_index=place, sequence=at)) for at, place in enumerate(places)])


@pytest.mark.parametrize("name", sorted(set(LOG) - {"removed"}))
def test_every_field_is_needed(name: str) -> None:
    with pytest.raises(InvalidResponse):
        decode([{key: value for key, value in LOG.items() if key != name}])


def test_old_nodes_do_not_say_removed() -> None:
    assert decode([{key: value for key, value in LOG.items() if key != "removed"}]) == [payment()]


def test_the_fake_node_writes_the_event_as_the_contract_does() -> None:
    assert event_customer(payment()).rstrip(b"\0") == b"cus_Alice1"
    assert LOG["topics"][2] == "0x" + "00" * 12 + WALLET[2:]


@pytest.mark.parametrize("name", ["number", "hash", "timestamp"])
def test_a_block_needs_all_of_its_parts(name: str) -> None:
    whole = {"number": "0x64", "hash": block(100).hash, "timestamp": hex(block(100).time), "size": "0x1"}
    assert decoding.block(whole) == block(100)
    with pytest.raises(InvalidResponse):
        decoding.block(whole | {name: None})
