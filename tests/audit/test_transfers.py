"""Transfers are paired with payments by EVM transaction, payer and amount."""

from typing import Any

import pytest

from chain.decoding import TRANSFER_TOPIC
from chain.errors import InconsistentChainData, InvalidResponse
from stateless_billing.audit.rules.transfers import (
    Bound,
    Statement,
    Transfer,
    address_topic,
    decode_transfers,
    find_source,
    find_unpaid,
    stray_row,
)
from tests.audit.builders import SCOPE, TOKEN, quoted
from tests.chain.fake_node import word
from tests.fakes.factories import WHOLE_TOKEN, block, tx_hash

TREASURY = "0x" + "88" * 20
P = quoted()


def sent(amount: int = P.amount, log_index: int = 1, **changes: Any) -> Transfer:
    """Create a transfer to the treasury, by default that of the payment."""
    values: dict[str, Any] = {
        "tx_hash": P.tx_hash,
        "block": P.block,
        "block_hash": P.block_hash,
        "sender": P.payer,
    } | changes
    return Transfer(**values | {"log_index": log_index, "recipient": TREASURY, "amount": amount})


def log(**changes: Any) -> dict[str, Any]:
    """Create the log of a transfer as a node shows it."""
    topics = [TRANSFER_TOPIC, address_topic(P.payer), address_topic(TREASURY)]
    return {
        "address": TOKEN,
        "topics": topics,
        "data": "0x" + word(P.amount).hex(),
        "blockNumber": hex(P.block),
        "blockHash": P.block_hash,
        "transactionHash": P.tx_hash,
        "logIndex": "0x1",
        "removed": False,
    } | changes


def test_a_payment_accounts_for_its_own_transfer_only() -> None:
    same, other = quoted(1, tx_hash=tx_hash(2)), sent(tx_hash=tx_hash(9))
    assert find_unpaid([sent(), sent(tx_hash=tx_hash(2))], [P, same]) == []
    assert find_unpaid([sent(), other], [P]) == [other]
    assert find_unpaid([sent(), sent(5, 2)], [P]) == [sent(5, 2)]
    assert find_unpaid([sent(P.amount, 1), sent(P.amount, 2)], [P]) == [sent(P.amount, 2)]
    assert find_unpaid([sent(sender=TREASURY), sent()], [P]) == [sent(sender=TREASURY)]


def test_a_payment_in_several_transfers_leaves_the_rest() -> None:
    halves = [sent(P.amount - 5, 1), sent(7, 2)]
    assert find_unpaid(halves, [P]) == [sent(2, 2)]
    assert find_unpaid([sent(P.amount - 5, 1), sent(5, 2)], [P]) == []


@pytest.mark.parametrize("transfers", [[], [sent(P.amount - 1)], [sent(tx_hash=tx_hash(9))], [sent(sender=TREASURY)]])
def test_a_payment_without_its_transfer_is_an_inconsistency(transfers: list[Transfer]) -> None:
    with pytest.raises(InconsistentChainData, match="did not reach the treasury"):
        find_unpaid(transfers, [P])


def test_logs_are_decoded_strictly() -> None:
    assert decode_transfers([log()], TOKEN, P.block, P.block) == [sent()]
    faults: list[dict[str, Any]] = [
        {"address": TREASURY},
        {"topics": [TRANSFER_TOPIC]},
        {"topics": ["0x" + "00" * 32, *log()["topics"][1:]]},
        {"removed": True},
        {"blockNumber": hex(P.block + 1)},
        {"data": "0x"},
    ]
    for fault in faults:
        with pytest.raises(InvalidResponse):
            decode_transfers([log(**fault)], TOKEN, P.block, P.block)


def test_the_source_is_the_known_contract_that_emitted_a_log() -> None:
    known = {"0xa": "A", "0xb": "B"}
    assert [find_source(emitters, known) for emitters in (["0xb", "0xa"], ["0xb"], ["0xc"], [])] == [
        "A",
        "B",
        None,
        None,
    ]


def test_a_statement_adds_up_at_any_block() -> None:
    statement = Statement(TREASURY, Bound(10, 100, "node"), Bound(30, 125, "head"))
    statement.received = [sent(20, block=12), sent(9, block=25)]
    statement.sent = [sent(4, block=20)]
    assert [statement.balance_at(number) for number in (11, 12, 20, 30)] == [100, 120, 116, 125]
    assert statement.difference == 0
    assert statement.as_dict(20)["closing_raw"] == "116"
    statement.restart()
    assert (statement.position, statement.difference) == (10, 25)


def test_a_stray_row_has_the_chains_cells() -> None:
    row = stray_row(sent(777 * WHOLE_TOKEN, log_index=4), block(P.block), SCOPE)
    assert (row.status, row.exception, row.amount_tokens) == ("stray_transfer", False, "777.000000000000000000")
    assert (row.tx_hash, row.log_index, row.block_number) == (P.tx_hash, 4, P.block)
    assert row.fingerprint != stray_row(sent(777 * WHOLE_TOKEN, log_index=5), block(P.block), SCOPE).fingerprint


def test_a_transfer_that_is_shown_twice_is_no_answer() -> None:
    other = {"logIndex": "0x2"}, {"blockNumber": hex(P.block + 1)}
    assert len(decode_transfers([log(), *(log(**changes) for changes in other)], TOKEN, 0, 10**6)) == 3
    with pytest.raises(InvalidResponse, match="twice"):
        decode_transfers([log(), log(logIndex="0x2"), log(transactionHash=tx_hash(7))], TOKEN, 0, 10**6)
