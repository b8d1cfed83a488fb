"""JSON-RPC responses, receipts and return data: exact values, and what each refusal says."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from chain import decoding
from chain.bulk_reader import LOGS, as_logs
from chain.decoding import TxReceipt
from chain.errors import ChainError, InconsistentChainData, InvalidResponse
from chain.payment import registered_customer
from tests.chain.fake_node import raw_log, word
from tests.fakes.factories import GATEWAY, block, payment, tx_hash


def refusal(parse: Callable[[], object], kind: type[ChainError] = InvalidResponse) -> str:
    """The sentence with which an answer is refused."""
    with pytest.raises(ChainError) as caught:
        parse()
    assert type(caught.value) is kind
    return str(caught.value)


def single(content: str | bytes) -> object:
    """Decode the response to call 7."""
    return decoding.result(content.encode() if isinstance(content, str) else content, 7)


def batch(content: str | bytes) -> object:
    """Decode the response to calls 7 and 8."""
    return decoding.batch_results(content.encode() if isinstance(content, str) else content, [7, 8])


@pytest.mark.parametrize("value", [None, [], {}, "0x", [{"a": [None, True]}], 10**19])
def test_a_result_is_handed_out_as_it_is(value: object) -> None:
    assert single(json.dumps({"jsonrpc": "2.0", "id": 7, "result": value, "more": [1]})) == value
    members = [{"id": 8, "result": value}, {"id": 7, "result": "0x7"}]
    assert batch(json.dumps(members)) == ["0x7", value]


NO_ANSWER = "a JSON-RPC answer to another question"
SINGLE: dict[str, str] = {
    '{"id": 8, "result": 1}': NO_ANSWER,
    '{"result": 1}': NO_ANSWER,
    '{"id": null, "result": 1}': NO_ANSWER,
    '{"id": 7}': NO_ANSWER,
    "{}": NO_ANSWER,
    '{"id": 7, "error": null, "result": 1}': "error None",
    '{"id": 7, "error": "no", "result": 1}': "error no",
    '{"id": null, "error": {"code": -32005}}': "error {'code': -32005}",
    '{"id": 7, "error": "' + "x" * 400 + '"}': "error " + "x" * 300,
    "[]": "expected a JSON-RPC answer, got '[]': Expected `object`, got `array`",
    '{"id": "7", "result": 1}': (
        """expected a JSON-RPC answer, got '{"id": "7", "result": 1}': Expected `int | null`, got `str` - at `$.id`"""
    ),
    "": "no JSON: ''",
    '{"id": 7, "result": [': """no JSON: '{"id": 7, "result": ['""",
    '{"id": 7, "result": NaN}': """no JSON: '{"id": 7, "result": NaN}'""",
    "x" * 2_001: f"no JSON: '{'x' * 2_000}'",
}


@pytest.mark.parametrize(("content", "sentence"), SINGLE.items(), ids=[text[:40] for text in SINGLE])
def test_what_is_not_the_answer_to_a_call(content: str, sentence: str) -> None:
    assert refusal(lambda: single(content)) == sentence


BATCH: dict[str, str] = {
    '[{"id": 7, "result": 1}]': "1 answers to 2 calls",
    '[{"id": 7, "result": 1}, {"id": 9, "result": 1}]': "2 answers to 2 calls",
    '[{"id": 7, "result": 1}, {"id": 8, "result": 1}, {"id": 9, "result": 1}]': "3 answers to 2 calls",
    '[{"id": 7, "result": 1}, {"id": 7, "result": 1}]': "two answers to one call",
    '[{"id": 7, "result": 1}, {"id": 8, "error": "no"}]': "error no",
    '[{"id": 7, "result": 1}, {"id": 8, "error": "no", "result": 1}]': "error no",
    '[{"id": 7, "result": 1}, {"id": 8}]': "error UNSET",
    '[{"id": 7, "error": "' + "x" * 400 + '"}]': "error " + "x" * 300,
    "[]": "0 answers to 2 calls",
    "{}": "expected a list of JSON-RPC answers, got '{}': Expected `array`, got `object`",
    "[5]": "expected a list of JSON-RPC answers, got '[5]': Expected `object`, got `int` - at `$[0]`",
    "[": "no JSON: '['",
}


@pytest.mark.parametrize(("content", "sentence"), BATCH.items(), ids=[text[:60] for text in BATCH])
def test_what_is_not_the_answer_to_a_batch(content: str, sentence: str) -> None:
    assert refusal(lambda: batch(content)) == sentence


def test_a_response_that_is_no_utf8_is_shown_with_replacements() -> None:
    assert refusal(lambda: single(b'{"id": 7, "result": "\xff"}')) == """no JSON: '{"id": 7, "result": "\ufffd"}'"""
    assert refusal(lambda: single(b'["\xff"]')) == (
        """expected a JSON-RPC answer, got '["\ufffd"]': Expected `object`, got `array`"""
    )


@given(st.binary(max_size=60) | st.recursive(st.none() | st.integers(), st.lists).map(lambda x: json.dumps(x).encode()))
def test_any_bytes_are_an_answer_or_refused(content: bytes) -> None:
    for parse in (single, batch):
        assert len(refusal(lambda parse=parse: parse(content))) < 500  # type: ignore[misc]


RECEIPT: dict[str, Any] = {
    "transactionHash": tx_hash(5),
    "status": "0x1",
    "blockNumber": "0x64",
    "blockHash": block(100).hash,
    "logs": [raw_log(payment())],
}


def test_a_receipt_is_read_exactly() -> None:
    expected = TxReceipt(
        tx_hash=tx_hash(5), block=100, block_hash=block(100).hash, succeeded=True, payment_counts=Counter({GATEWAY: 1})
    )
    assert decoding.receipt(RECEIPT, tx_hash(5)) == expected
    failed = decoding.receipt(RECEIPT | {"status": "0x0", "logs": []}, tx_hash(5))
    assert (failed.succeeded, failed.payment_counts) == (False, {})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"transactionHash": tx_hash(6)}, "a receipt of another transaction"),
        ({"status": "0x2"}, "a receipt with status 2"),
        ({"status": "0x3"}, "a receipt with status 3"),
        ({"status": None}, "expected a receipt: Expected `str`, got `null` - at `$.status`"),
        ({"logs": None}, "expected a receipt: Expected `array`, got `null` - at `$.logs`"),
        ({"blockNumber": "100"}, "expected a quantity, got '100'"),
        ({"blockHash": "0x"}, "expected 32 bytes, got 0"),
    ],
)
def test_a_receipt_that_is_none_is_refused(change: dict[str, Any], sentence: str) -> None:
    assert refusal(lambda: decoding.receipt(RECEIPT | change, tx_hash(5))) == sentence


def test_return_data_that_is_one_integer() -> None:
    assert decoding.uint256(word(7)) == 7
    assert refusal(lambda: decoding.uint256(b"")) == "expected one integer, got 0 bytes"


@given(st.text(max_size=70))
def test_return_data_that_is_one_string(text: str) -> None:
    try:
        raw = encode(["string"], [text])
    except UnicodeEncodeError:
        return
    assert decoding.text(raw) == text
    for other in (raw + bytes(32), raw[:-1], raw[1:], raw + b"\0"):
        with pytest.raises(InvalidResponse):
            decoding.text(other)


def test_a_list_is_asked_for() -> None:
    assert decoding.items([1], "things") == [1]
    assert refusal(lambda: decoding.items({"a": 1}, "things")) == "expected a list of things, got {'a': 1}"


def test_a_registered_customer_is_one_or_none() -> None:
    assert registered_customer(b"cus_a".ljust(32, b"\0")) == "cus_a"
    assert registered_customer(bytes(32)) is None
    sentence = "customerOf returned something that is no customer ID"
    assert refusal(lambda: registered_customer(b"acct_1".ljust(32, b"\0"))) == sentence


def test_the_index_has_as_many_blocks_as_asked_for_in_order() -> None:
    assert decoding.payment_blocks([100, 100, 102], 3) == [100, 100, 102]
    assert decoding.payment_blocks([], 0) == []
    short = refusal(lambda: decoding.payment_blocks([100], 2), InconsistentChainData)
    assert short == "asked the gateway for 2 blocks, got 1"
    backwards = refusal(lambda: decoding.payment_blocks([102, 100], 2), InconsistentChainData)
    assert backwards == "the gateway's index goes backwards"


LOG = raw_log(payment())


def batch_of_logs(result: object) -> list[object]:
    """Decode a batch whose results are logs, straight to them."""
    return decoding.batch_results(json.dumps([{"id": 7, "result": result}]).encode(), [7], LOGS)


def test_a_batch_of_logs_is_decoded_as_one_by_one() -> None:
    assert batch_of_logs([LOG]) == [as_logs([LOG])]
    assert as_logs(batch_of_logs([LOG])[0]) == as_logs([LOG]), "logs stay what they are"


@pytest.mark.parametrize(
    "result",
    [None, {}, "0x", [5], [None], [LOG | {"topics": "0x"}], [LOG | {"topics": [7]}], [LOG | {"data": None}], [{}]],
)
def test_a_batch_with_one_malformed_log_is_refused(result: object) -> None:
    with pytest.raises(InvalidResponse):
        batch_of_logs(result)
