"""Explanations of payments, credits and wallets."""

from dataclasses import replace

import pytest

from stateless_billing.audit.auditor import InvalidOptions
from stateless_billing.audit.explanation import NothingFound, describe_row, explain
from stateless_billing.audit.rules.grants import collect_reservations, judge_grants
from tests.audit.builders import TOKEN, credit, judge, quoted, reversal, single
from tests.audit.test_grants import grant, reservation, with_balances
from tests.audit.test_run import PAID, with_own_wallets
from tests.audit.world import TREASURY, World
from tests.chain.test_payments_in_tx import SENT, transfer
from tests.fakes.factories import WHOLE_TOKEN, tx_hash

pytestmark = pytest.mark.anyio
P = quoted()


def test_describes_a_quoted_payment() -> None:
    text = describe_row(single(judge([P], [credit(P)]).rows))
    for part in ("9000 tokens", "promised $50.00", "cbtxn_1", "30 s after the block", "matched", "Nothing is left"):
        assert part in text


def test_describes_a_plain_payment_and_its_fault() -> None:
    plain = quoted(cents=0, amount=1_000 * WHOLE_TOKEN)
    text = describe_row(single(judge([plain], [credit(plain, cents=700)]).rows))
    assert "0.006000000000000000 dollars a token by coingecko:lit-protocol" in text
    assert "Stripe shows $1.00 more than is due." in text
    assert "Next: " in text


def test_describes_a_grant() -> None:
    text = describe_row(single(judge_grants(collect_reservations(with_balances([reservation("g")])), [grant("g")])))
    assert "by a@example.org (goodwill)" in text


def test_names_who_decided() -> None:
    text = describe_row(single(judge([P], [credit(P), reversal(credit(P), 5)]).rows))
    assert "Decided by 0xadmin: double." in text
    row = single(judge([P], [credit(P)]).rows)
    text = describe_row(replace(row, decided_by="ann", confirmed_by="beth", decision_reason="the payer called"))
    assert "Decided by ann, confirmed by beth: the payer called." in text


async def test_explains_by_transaction_wallet_credit_and_fingerprint() -> None:
    world = World(with_own_wallets(PAID))
    async with world.create_auditor() as auditor:
        [by_tx], _ = await explain(auditor, PAID[0].tx_hash.upper().replace("0X", "0x"))
        rows, _ = await explain(auditor, by_tx.wallet or "")
        assert len(rows) == 3
        assert by_tx in rows
        for name in (by_tx.stripe_txn, by_tx.fingerprint, by_tx.row_id):
            assert [row.fingerprint for row in (await explain(auditor, name or ""))[0]] == [by_tx.fingerprint]


async def test_says_what_a_transaction_without_payments_is() -> None:
    for logs, said in ([], "holds no payment"), ([transfer(TREASURY, TOKEN)], "moved tokens to the treasury"):
        world = World(with_own_wallets(PAID))
        world.node.other_logs[SENT] = logs
        async with world.create_auditor() as auditor:
            with pytest.raises(NothingFound, match=said):
                await explain(auditor, SENT)


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        (tx_hash(999), NothingFound),
        ("0x" + "99" * 20, NothingFound),
        ("cbtxn_nobody", NothingFound),
        ("ab" * 12, NothingFound),
        ("hello", InvalidOptions),
    ],
)
async def test_rejects_subjects_without_rows(what: str, kind: type[Exception]) -> None:
    async with World(with_own_wallets(PAID)).create_auditor() as auditor:
        with pytest.raises(kind):
            await explain(auditor, what)


async def test_a_transaction_that_reverted() -> None:
    world = World([])
    world.node.reverted.add(tx_hash(5))
    async with world.create_auditor() as auditor:
        with pytest.raises(NothingFound, match="reverted"):
            await explain(auditor, tx_hash(5))
