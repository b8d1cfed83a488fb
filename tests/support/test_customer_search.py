"""What operators are told of an EVM transaction that paid none of our gateways."""

import pytest

from stateless_billing.support.customer_search import TREASURY_TRANSFER, SearchResult
from tests.chain.test_payments_in_tx import SENT, TOKEN, TREASURY, transfer
from tests.fakes.factories import CUSTOMER, payment, tx_hash
from tests.fakes.in_process_service import SERVICE, Town


@pytest.mark.parametrize(
    ("logs", "reverted", "note"),
    [
        (None, False, "The nodes do not have this EVM transaction, or not all of them yet."),
        ([], True, "This EVM transaction reverted. It paid nothing."),
        ([], False, "This EVM transaction was mined, and it paid none of our gateways. Nothing is credited for it."),
        (
            [transfer()],
            False,
            TREASURY_TRANSFER,
        ),
    ],
)
def test_transaction_without_payments_is_described(logs: list[object] | None, reverted: bool, note: str) -> None:
    town = Town([])
    node = town.nodes[0]
    node.views |= {"token": int(TOKEN, 16), "treasury": int(TREASURY, 16)}
    node.other_logs |= {SENT: logs} if logs is not None else {}  # type: ignore[dict-item]
    node.reverted |= {SENT} if reverted else set()

    async def scenario() -> None:
        result = await town.process().customer_search.find(SENT)
        assert result == SearchResult("transaction", note=note)

    town.run(scenario())


def test_a_deleted_customer_is_found_as_deleted_and_an_unknown_one_is_not() -> None:
    town = Town([payment(block=200)])
    town.add("cus_Gone")
    town.stripe.account.by_id["cus_Gone"].deleted = True
    town.stripe.account.by_id[CUSTOMER].deleted = True

    async def scenario() -> None:
        search = (await town.started()).customer_search
        [match] = (await search.find("https://dashboard.stripe.com/test/customers/cus_Gone")).matches
        assert match.customer.deleted
        assert [match.customer.id for match in (await search.find(tx_hash(1))).matches if match.customer.deleted] == [
            CUSTOMER
        ]
        unknown = await search.find("cus_Nobody")
        assert not unknown.matches
        assert "no such customer" in unknown.note
        assert not (await search.find(SERVICE)).matches

    town.run(scenario())
