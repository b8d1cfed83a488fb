"""The SDK's handling of faults, limits and keys; skipped against Stripe's test mode."""

import asyncio

import pytest
import stripe

from stateless_billing.sandbox import effects
from stateless_billing.sandbox.api_keys import BALANCE_WRITE, CUSTOMER_READ, ApiKey
from stateless_billing.sandbox.effects import Effect
from stateless_billing.sandbox.routes import TRANSACTIONS
from tests.sandbox.contract import Contract, contract_with, error_of, headers_of, marks, needs_controls

pytestmark = [*marks, needs_controls]


async def test_search_finds_by_metadata_and_by_email_whatever_its_case(contract: Contract) -> None:
    customer = await contract.customer(email="Bob@Example.org", metadata={"wallet_address": "0xabc"})
    for query in ('metadata["wallet_address"]:"0xabc"', 'email:"bob@example.org"', "email~'example' AND created>5"):
        page = await contract.client.v1.customers.search_async({"query": query})
        assert [listed.id for listed in page.data] == [customer.id]


async def test_an_aged_key_makes_a_second_row(contract: Contract) -> None:
    customer = await contract.customer()
    await contract.credit(customer.id, 5, "k")
    contract.sandbox.stripe.age_keys(31 * 3600)
    assert "Idempotent-Replayed" not in headers_of(await contract.credit(customer.id, 5, "k"))
    assert len(await contract.rows(customer.id)) == 2


@pytest.mark.parametrize("effect", [effects.lost_before(), effects.lost_after(), effects.cut()])
async def test_a_broken_connection_is_a_connection_error(contract: Contract, effect: Effect) -> None:
    customer = await contract.customer()
    contract.fail(effect)
    with pytest.raises(stripe.APIConnectionError):
        await contract.credit(customer.id, 5, "k")
    assert len(await contract.rows(customer.id)) == (0 if effect.name == "lost_before" else 1)
    again = await contract.credit(customer.id, 5, "k")
    assert ("Idempotent-Replayed" in headers_of(again)) is (effect.name != "lost_before")


async def test_a_shortened_body_is_an_api_error_though_the_credit_exists(contract: Contract) -> None:
    customer = await contract.customer()
    contract.fail(effects.shortened())
    with pytest.raises(stripe.APIError) as caught:
        await contract.credit(customer.id, 5, "k")
    assert caught.value.http_status == 200
    assert len(await contract.rows(customer.id)) == 1


async def test_a_connection_closed_after_its_answer_breaks_nothing_but_itself(contract: Contract) -> None:
    customer = await contract.customer()
    contract.fail(effects.closed_after())
    assert (await contract.credit(customer.id, 5, "k")).amount == -5
    assert len(await contract.rows(customer.id)) == 1


@pytest.mark.parametrize(
    ("effect", "error", "status", "code"),
    [
        (effects.error_saved(), stripe.APIError, 500, None),
        (effects.error_unsaved(424), stripe.APIError, 424, None),
        (effects.gateway(502), stripe.APIError, 502, None),
        (effects.limited("global-rate"), stripe.RateLimitError, 429, "rate_limit"),
        (effects.locked(), stripe.RateLimitError, 429, "lock_timeout"),
        (effects.key_in_use(), stripe.APIError, 409, "idempotency_key_in_use"),
        (effects.unknown_key(), stripe.AuthenticationError, 401, None),
        (effects.not_permitted(), stripe.PermissionError, 403, None),
    ],
)
async def test_the_sdk_maps_each_refusal(
    contract: Contract, effect: Effect, error: type[stripe.StripeError], status: int, code: str | None
) -> None:
    customer = await contract.customer()
    contract.fail(effect)
    with pytest.raises(error) as caught:
        await contract.credit(customer.id)
    assert caught.value.http_status == status
    if code is not None:
        assert error_of(caught).code == code
    reason = (caught.value.headers or {}).get("Stripe-Rate-Limited-Reason")
    assert reason == ("global-rate" if code == "rate_limit" else None)


@pytest.mark.parametrize(
    ("effect", "amounts"),
    [
        (effects.listing_cut(), [-5, -4]),
        (effects.listing_ends_empty(later=True), [-5, -4]),
        (effects.listing_hole(), [-4, -3, -2, -1]),
        (effects.same_second_order(), [-1, -2, -1]),
    ],
)
async def test_the_sdk_believes_a_listing_that_lies(contract: Contract, effect: Effect, amounts: list[int]) -> None:
    customer = await contract.customer()
    moment = contract.sandbox.clock()
    contract.sandbox.stripe.clock = lambda: moment
    for cents in range(1, 6):
        await contract.credit(customer.id, cents)
    skip = 1 if effect.listing_fault.later else 0
    contract.sandbox.stripe.faults.add(effect, method="GET", template=TRANSACTIONS, skip=skip)
    assert [row.amount for row in await contract.rows(customer.id, limit=2)] == amounts
    assert [row.amount for row in await contract.rows(customer.id, limit=2)] == [-5, -4, -3, -2, -1]


async def arrived(contract: Contract) -> None:
    """Wait until the stand-in has received the failing request."""
    async with asyncio.timeout(10):
        while contract.sandbox.stripe.faults.faults:  # noqa: ASYNC110 - the stand-in has no event for it
            await asyncio.sleep(0.005)


async def test_a_running_request_holds_its_key(contract: Contract) -> None:
    customer = await contract.customer()
    contract.fail(effects.slow(inside=1))
    first = asyncio.create_task(contract.credit(customer.id, 5, "k"))
    await arrived(contract)
    with pytest.raises(stripe.APIError) as caught:
        await contract.credit(customer.id, 5, "k")
    assert error_of(caught).code == "idempotency_key_in_use"
    with pytest.raises(stripe.IdempotencyError):
        await contract.credit((await contract.customer()).id, 5, "k")
    assert await contract.rows(customer.id) == []
    assert (await first).amount == -5
    assert headers_of(await contract.credit(customer.id, 5, "k"))["Idempotent-Replayed"] == "true"


async def test_a_caller_that_gives_up_does_not_stop_the_execution(contract: Contract) -> None:
    customer = await contract.customer()
    contract.fail(effects.slow(inside=0.2))
    caller = asyncio.create_task(contract.credit(customer.id, 5, "k"))
    await arrived(contract)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    async with asyncio.timeout(10):
        while not await contract.rows(customer.id):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert len(await contract.rows(customer.id)) == 1


async def test_the_26th_request_of_a_second_is_refused(contract: Contract) -> None:
    customer = await contract.customer()
    contract.sandbox.clock.offset = 100 - contract.sandbox.clock()
    fixed = contract.sandbox.clock()
    contract.sandbox.stripe.clock = lambda: fixed
    for number in range(25):
        await contract.credit(customer.id, 1, str(number))
    with pytest.raises(stripe.RateLimitError) as caught:
        await contract.credit(customer.id, 1, "25")
    assert (caught.value.headers or {})["Stripe-Rate-Limited-Reason"] == "global-rate"  # a sandbox has 25 in all
    contract.sandbox.stripe.clock = lambda: fixed + 1
    assert (await contract.credit(customer.id, 1, "25")).amount == -1


async def test_the_error_names_a_missing_permission(contract: Contract) -> None:
    customer = await contract.customer()
    keys = contract.sandbox.stripe.keys
    keys.add(ApiKey("rk_test_limited", permissions=frozenset({CUSTOMER_READ})))
    async with contract_with(contract.sandbox, contract.base, "rk_test_limited") as limited:
        assert (await limited.client.v1.customers.retrieve_async(customer.id)).id == customer.id
        with pytest.raises(stripe.PermissionError, match=f"Having the '{BALANCE_WRITE}' permission"):
            await limited.credit(customer.id)
        keys.add(ApiKey("rk_test_limited", permissions=frozenset({BALANCE_WRITE})))
        await limited.credit(customer.id)
        assert len(await limited.rows(customer.id)) == 1
        keys.remove("rk_test_limited")
        with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided"):
            await limited.credit(customer.id)


async def test_one_connection_carries_many_requests(contract: Contract) -> None:
    customer = await contract.customer()
    for _ in range(5):
        await contract.credit(customer.id)
    counts = contract.sandbox.stripe.log.counts
    assert counts[f"POST {TRANSACTIONS}"] == 5
    assert counts["POST /v1/customers"] == 1
