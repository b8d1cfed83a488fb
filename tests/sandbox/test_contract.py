"""The Stripe behavior that the project relies on, through the real SDK over HTTP.

Runs against the stand-in by default; with STRIPE_TEST_KEY set, the same tests run against Stripe's test mode.
"""

import uuid
from itertools import pairwise

import pytest
import stripe

from tests.sandbox.contract import Contract, error_of, headers_of, marks

pytestmark = marks


async def test_a_credit_lowers_the_balance_and_is_listed(contract: Contract) -> None:
    customer = await contract.customer(metadata={"wallet_address": "0xabc"})
    row = await contract.credit(customer.id, 150, metadata={"kind": "payment", "payment": "8453:0x1:0x2:0"})
    assert (row.amount, row.ending_balance, row.type, row.currency) == (-150, -150, "adjustment", "usd")
    assert row.metadata is not None
    assert row.metadata.to_dict() == {"kind": "payment", "payment": "8453:0x1:0x2:0"}
    assert [listed.id for listed in await contract.rows(customer.id)] == [row.id]
    assert (await contract.client.v1.customers.retrieve_async(customer.id)).balance == -150


async def test_the_same_key_gives_the_same_row(contract: Contract) -> None:
    customer, key = await contract.customer(), str(uuid.uuid4())
    first = await contract.credit(customer.id, 5, key)
    again = await contract.credit(customer.id, 5, key)
    assert again.id == first.id
    assert headers_of(again)["Idempotent-Replayed"] == "true"
    assert headers_of(again)["Request-Id"].startswith("req_")
    assert len(await contract.rows(customer.id)) == 1


async def test_the_same_key_with_other_parameters_is_refused(contract: Contract) -> None:
    customer, key = await contract.customer(), str(uuid.uuid4())
    await contract.credit(customer.id, 5, key)
    with pytest.raises(stripe.IdempotencyError) as caught:
        await contract.credit(customer.id, 6, key)
    assert (caught.value.http_status, error_of(caught).type) == (400, "idempotency_error")
    assert len(await contract.rows(customer.id)) == 1


async def test_the_same_key_for_another_customer_is_refused(contract: Contract) -> None:
    first, other, key = await contract.customer(), await contract.customer(), str(uuid.uuid4())
    await contract.credit(first.id, 5, key)
    with pytest.raises(stripe.IdempotencyError):
        await contract.credit(other.id, 5, key)
    assert await contract.rows(other.id) == []


async def test_refused_parameters_do_not_use_the_key_up(contract: Contract) -> None:
    customer, key = await contract.customer(), str(uuid.uuid4())
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await contract.credit(customer.id, 5, key, colour="red")
    assert (caught.value.code, caught.value.param) == ("parameter_unknown", "colour")
    assert "Idempotent-Replayed" not in headers_of(await contract.credit(customer.id, 5, key))


async def test_the_list_filters_by_created_and_pages(contract: Contract) -> None:
    customer = await contract.customer()
    rows = [await contract.credit(customer.id, cents) for cents in (1, 2, 3)]
    listing = contract.client.v1.customers.balance_transactions.list_async
    page = await listing(customer.id, {"limit": 2})
    assert ([row.amount for row in page.data], page.has_more) == ([-3, -2], True)
    rest = await listing(customer.id, {"limit": 2, "starting_after": page.data[-1].id})
    assert ([row.amount for row in rest.data], rest.has_more) == ([-1], False)
    back = await listing(customer.id, {"limit": 1, "ending_before": rows[0].id})
    assert [row.amount for row in back.data] == [-2]
    assert await contract.rows(customer.id, created={"gt": rows[-1].created}) == []
    assert len(await contract.rows(customer.id, created={"gte": rows[0].created, "lte": rows[-1].created})) == 3


async def test_ending_balances_are_a_chain(contract: Contract) -> None:
    customer = await contract.customer()
    for cents in (5, -2, 9):
        await contract.credit(customer.id, cents)
    rows = (await contract.rows(customer.id))[::-1]
    for before, row in pairwise(rows):
        assert row.ending_balance == before.ending_balance + row.amount


async def test_metadata_merges_key_by_key(contract: Contract) -> None:
    customer = await contract.customer(metadata={"a": "1", "b": "2"})
    changed = await contract.client.v1.customers.update_async(customer.id, {"metadata": {"b": "", "c": "3"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"a": "1", "c": "3"}
    cleared = await contract.client.v1.customers.update_async(customer.id, {"metadata": ""})
    assert cleared.metadata is not None
    assert cleared.metadata.to_dict() == {}


async def test_metadata_limits(contract: Contract) -> None:
    for metadata in ({"k" * 41: "v"}, {"k": "v" * 501}, {f"k{number}": "v" for number in range(51)}, {"a[b]": "v"}):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            await contract.customer(metadata=metadata)
        assert caught.value.http_status == 400
    await contract.customer(metadata={"k" * 40: "v" * 500})


async def test_the_first_row_sets_the_currency(contract: Contract) -> None:
    customer = await contract.customer()
    assert customer.currency is None
    await contract.credit(customer.id, 7)
    retrieved = await contract.client.v1.customers.retrieve_async(customer.id, {"expand": ["invoice_credit_balance"]})
    assert (retrieved.currency, retrieved.balance) == ("usd", -7)
    assert retrieved.invoice_credit_balance is not None
    assert retrieved.invoice_credit_balance.to_dict() == {"usd": 7}


async def test_setting_the_balance_leaves_a_bare_row(contract: Contract) -> None:
    customer = await contract.customer()
    await contract.credit(customer.id, 7)
    await contract.client.v1.customers.update_async(customer.id, {"balance": -10})
    row = (await contract.rows(customer.id))[0]
    assert (row.amount, row.type, row.ending_balance) == (-3, "adjustment", -10)
    assert not row.metadata or row.metadata.to_dict() == {}


async def test_a_deleted_customer_has_no_metadata_and_takes_no_credit(contract: Contract) -> None:
    customer = await contract.customer(metadata={"a": "1"})
    await contract.client.v1.customers.delete_async(customer.id)
    stump = await contract.client.v1.customers.retrieve_async(customer.id)
    assert stump.deleted is True
    assert not hasattr(stump, "metadata")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await contract.credit(customer.id)
    assert (caught.value.code, caught.value.http_status) == ("resource_missing", 404)


async def test_the_ledger_of_a_deleted_customer_is_gone_but_a_saved_answer_is_replayed(contract: Contract) -> None:
    customer, key = await contract.customer(), str(uuid.uuid4())
    row = await contract.credit(customer.id, 5, key)
    await contract.client.v1.customers.delete_async(customer.id)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await contract.rows(customer.id)
    assert (caught.value.code, caught.value.http_status) == ("resource_missing", 404)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await contract.client.v1.customers.balance_transactions.retrieve_async(customer.id, row.id)
    assert (caught.value.code, caught.value.http_status) == ("resource_missing", 404)
    again = await contract.credit(customer.id, 5, key)
    assert (again.id, headers_of(again)["Idempotent-Replayed"]) == (row.id, "true")


async def test_emails_are_listed_by_exact_case(contract: Contract) -> None:
    email = f"Bob-{uuid.uuid4()}@example.org"
    customer = await contract.customer(email=email)
    page = await contract.client.v1.customers.list_async({"email": email})
    assert [listed.id for listed in page.data] == [customer.id]
    assert (await contract.client.v1.customers.list_async({"email": email.lower()})).data == []


async def test_an_unknown_cursor_is_a_400(contract: Contract) -> None:
    customer = await contract.customer()
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await contract.rows(customer.id, starting_after="cbtxn_none")
    assert (caught.value.code, caught.value.param) == ("resource_missing", "starting_after")


async def test_search_escapes_quotes(contract: Contract) -> None:
    page = await contract.client.v1.customers.search_async({"query": r'name:"a\"b" AND metadata["k"]:"v\\w"'})
    assert page.data == []
    with pytest.raises(stripe.InvalidRequestError):
        await contract.client.v1.customers.search_async({"query": 'name:"a"b"'})
    with pytest.raises(stripe.InvalidRequestError):
        await contract.client.v1.customers.search_async({"query": 'name:"a" AND name:"b" OR name:"c"'})


async def test_the_account_tells_which_one_it_is(contract: Contract) -> None:
    account = await contract.client.v1.accounts.retrieve_current_async()
    assert (account.object, account.id[:5]) == ("account", "acct_")


async def test_an_unknown_url_is_a_404(contract: Contract) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await contract.client.raw_request_async("get", "/v1/nonesuch")
    assert caught.value.http_status == 404
    assert "Unrecognized request URL (GET: /v1/nonesuch)" in str(caught.value)
