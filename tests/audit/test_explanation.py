"""Stories of payments, credits and wallets."""

import pytest

from stateless_billing.audit.auditor import InvalidOptions
from stateless_billing.audit.explanation import NothingFound, describe_row, explain
from stateless_billing.audit.rules.grants import collect_reservations, judge_grants
from tests.audit.made import credit, judged, only, quoted
from tests.audit.test_grants import grant, reservation, tied
from tests.audit.test_run import PAID, wallets
from tests.audit.world import World
from tests.fakes.factories import WHOLE_TOKEN, tx_hash

pytestmark = pytest.mark.anyio
P = quoted()


def test_a_quoted_payments_story() -> None:
    told = describe_row(only(judged([P], [credit(P)]).rows))
    for part in ("9000 tokens", "promised $50.00", "cbtxn_1", "30 s after the block", "matched", "Nothing is left"):
        assert part in told


def test_a_plain_payments_story_and_what_is_wrong_with_it() -> None:
    plain = quoted(cents=0, amount=1_000 * WHOLE_TOKEN)
    told = describe_row(only(judged([plain], [credit(plain, cents=700)]).rows))
    assert "0.006000000000000000 dollars a token by coingecko:lit-protocol" in told
    assert "Stripe shows $1.00 more than is due." in told
    assert "Next: " in told


def test_a_grants_story() -> None:
    told = describe_row(only(judge_grants(collect_reservations(tied([reservation("g")])), [grant("g")])))
    assert "by a@example.org (goodwill)" in told


async def test_it_is_found_by_transaction_wallet_credit_and_fingerprint() -> None:
    world = World(wallets(PAID))
    async with world.auditor() as auditor:
        [by_tx], _ = await explain(auditor, PAID[0].tx_hash.upper().replace("0X", "0x"))
        rows, _ = await explain(auditor, by_tx.wallet or "")
        assert len(rows) == 3
        assert by_tx in rows
        for name in (by_tx.stripe_txn, by_tx.fingerprint, by_tx.row_id):
            assert [row.fingerprint for row in (await explain(auditor, name or ""))[0]] == [by_tx.fingerprint]


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
async def test_what_nobody_knows(what: str, kind: type[Exception]) -> None:
    async with World(wallets(PAID)).auditor() as auditor:
        with pytest.raises(kind):
            await explain(auditor, what)


async def test_a_transaction_that_reverted() -> None:
    world = World([])
    world.node.reverted.add(tx_hash(5))
    async with world.auditor() as auditor:
        with pytest.raises(NothingFound, match="reverted"):
            await explain(auditor, tx_hash(5))
