"""What each of Stripe's responses means for a read and for a credit, through the real SDK."""

import httpx
import pytest

from stateless_billing.stripe.client import API_VERSION, StripeSession
from stateless_billing.stripe.errors import RequestRejected, StripeFailure, StripeUnavailable
from tests.fakes.factories import CUSTOMER, START
from tests.fakes.fake_stripe import (
    KEY,
    FakeStripe,
    Respond,
    class_name,
    raw_customer,
    raw_entry,
    raw_list,
    respond,
    respond_error,
    respond_failure,
)

pytestmark = pytest.mark.anyio
METADATA = {"kind": "payment"}


async def credit(session: StripeSession) -> object:
    """Credit $50."""
    return await session.create_entry(CUSTOMER, 5_000, "LITKEY payment 0x", METADATA, "payment:1", lambda _: True)


async def failure_of(response: Respond, *, write: bool) -> StripeFailure:
    """Return the failure of a call that receives this response."""
    fake = FakeStripe(response)
    async with fake.api().session() as session:
        with pytest.raises(StripeFailure) as caught:
            await (credit(session) if write else session.get_customer(CUSTOMER))
    is_repeated = not write and type(caught.value) is StripeUnavailable
    assert (len(fake.requests), fake.connections) == ((2, 1) if is_repeated else (1, 1)), "the SDK repeats nothing"
    assert KEY not in str(caught.value)
    return caught.value


HTML = "<html><body>502 Bad Gateway</body></html>"
# response → failure of a read, failure of a write
RESPONSES: dict[str, tuple[Respond, str, str]] = {
    "409 in progress": (
        respond_error(409, "invalid_request_error", "idempotency_key_in_use"),
        "StripeUnavailable",
        "RequestInProgress",
    ),
    "409 lock_timeout": (
        respond_error(409, "invalid_request_error", "lock_timeout"),
        "StripeUnavailable",
        "RequestInProgress",
    ),
    "429 endpoint": (
        respond_error(429, "rate_limit_error", stripe_rate_limited_reason="endpoint-rate"),
        "RateLimited",
        "RateLimited",
    ),
    "429 lock_timeout replayed": (
        respond_error(429, "invalid_request_error", "lock_timeout", idempotent_replayed="true"),
        "LockTimeout",
        "OutcomeUnknown",
    ),
    "429 lock_timeout": (respond_error(429, "invalid_request_error", "lock_timeout"), "LockTimeout", "LockTimeout"),
    "400 other parameters": (respond_error(400, "idempotency_error"), "StripeUnavailable", "KeyReusedDifferently"),
    "500 saved": (respond_error(500, "api_error", idempotent_replayed="true"), "StripeUnavailable", "OutcomeUnknown"),
    "500": (respond_error(500, "api_error"), "StripeUnavailable", "OutcomeUnknown"),
    "500 cut": (respond(500, '{"error": {"type"'), "StripeUnavailable", "OutcomeUnknown"),
    "502 HTML": (respond(502, HTML), "StripeUnavailable", "OutcomeUnknown"),
    "503 HTML": (respond(503, HTML), "StripeUnavailable", "OutcomeUnknown"),
    "504 empty": (respond(504, ""), "StripeUnavailable", "OutcomeUnknown"),
    "424 dependency": (respond_error(424, "api_error"), "StripeUnavailable", "OutcomeUnknown"),
    "200 cut": (respond(200, '{"id": "cbtxn_1", "amou'), "StripeUnavailable", "OutcomeUnknown"),
    "200 HTML": (respond(200, HTML), "StripeUnavailable", "OutcomeUnknown"),
    "200 of nothing": (respond(200, "{}"), "StripeUnavailable", "OutcomeUnknown"),
    "302": (respond(302, "", location="https://elsewhere.example"), "StripeUnavailable", "OutcomeUnknown"),
    "401": (respond_error(401, "invalid_request_error"), "KeyRejected", "KeyRejected"),
    "403": (respond_error(403, "invalid_request_error"), "KeyRejected", "KeyRejected"),
    "404 missing": (
        respond_error(404, "invalid_request_error", "resource_missing"),
        "RequestRejected",
        "RequestRejected",
    ),
    "400 invalid": (
        respond_error(400, "invalid_request_error", "parameter_unknown"),
        "RequestRejected",
        "RequestRejected",
    ),
    "402": (respond_error(402, "card_error", "card_declined"), "RequestRejected", "RequestRejected"),
    "400 HTML": (respond(400, HTML), "StripeUnavailable", "OutcomeUnknown"),  # from a proxy
    "400 of nothing": (respond(400, "{}"), "StripeUnavailable", "OutcomeUnknown"),
    "400 null": (respond(400, "null"), "StripeUnavailable", "OutcomeUnknown"),
    "400 a list": (respond(400, "[]"), "StripeUnavailable", "OutcomeUnknown"),
    "400 an error that is text": (respond(400, '{"error": "x"}'), "StripeUnavailable", "OutcomeUnknown"),
    "401 HTML": (respond(401, HTML), "StripeUnavailable", "OutcomeUnknown"),
    "404 HTML": (respond(404, HTML), "StripeUnavailable", "OutcomeUnknown"),
    "404 in another encoding": (
        lambda _: httpx.Response(404, content=b'{"error": "\xff"}'),
        "StripeUnavailable",
        "OutcomeUnknown",
    ),
    "408": (respond_error(408, "invalid_request_error"), "StripeUnavailable", "OutcomeUnknown"),
    "429 HTML": (respond(429, HTML), "StripeUnavailable", "OutcomeUnknown"),
    "200 null": (respond(200, "null"), "StripeUnavailable", "OutcomeUnknown"),
    "200 a list": (respond(200, "[]"), "StripeUnavailable", "OutcomeUnknown"),
    "200 in another encoding": (
        lambda _: httpx.Response(200, content=b'{"id": "\xff"}'),
        "StripeUnavailable",
        "OutcomeUnknown",
    ),
    "200 in UTF-16": (
        lambda _: httpx.Response(200, content='{"id": "cus_1"}'.encode("utf-16")),
        "StripeUnavailable",
        "OutcomeUnknown",
    ),
    "400 in UTF-16": (
        lambda _: httpx.Response(400, content='{"error": {"type": "x"}}'.encode("utf-16")),
        "StripeUnavailable",
        "OutcomeUnknown",
    ),
    "307 with an error that is text": (respond(307, '{"error": "x"}'), "StripeUnavailable", "OutcomeUnknown"),
    "304 with no error": (respond(304, '{"error": null}'), "StripeUnavailable", "OutcomeUnknown"),
    "400 with a code that is a list": (
        respond(400, '{"error": {"type": "invalid_request_error", "code": ["x"]}}'),
        "RequestRejected",
        "RequestRejected",
    ),
    "200 text for a list": (respond(200, '"cbtxn_1"'), "StripeUnavailable", "OutcomeUnknown"),
    "connect": (respond_failure(httpx.ConnectError), "StripeUnavailable", "StripeUnavailable"),
    "connect timeout": (respond_failure(httpx.ConnectTimeout), "StripeUnavailable", "StripeUnavailable"),
    "read timeout": (respond_failure(httpx.ReadTimeout), "StripeUnavailable", "OutcomeUnknown"),
    "reset": (respond_failure(httpx.ReadError), "StripeUnavailable", "OutcomeUnknown"),
    "write timeout": (respond_failure(httpx.WriteTimeout), "StripeUnavailable", "OutcomeUnknown"),
    "closed": (respond_failure(httpx.RemoteProtocolError), "StripeUnavailable", "OutcomeUnknown"),
}


@pytest.mark.parametrize(("response", "read", "write"), RESPONSES.values(), ids=list(RESPONSES))
async def test_the_failure_for_each_response(response: Respond, read: str, write: str) -> None:
    assert (
        class_name(await failure_of(response, write=False)),
        class_name(await failure_of(response, write=True)),
    ) == (read, write)


async def test_a_failure_contains_stripes_message_and_request_id() -> None:
    failure = await failure_of(respond_error(404, "invalid_request_error", "resource_missing"), write=True)
    assert isinstance(failure, RequestRejected)
    assert failure.code == "resource_missing"
    assert str(failure) == "HTTP 404 What Stripe says (req_1)"


@pytest.mark.parametrize(
    "entry",
    [
        raw_entry(customer="cus_Other"),
        raw_entry(amount=5_000),
        raw_entry(amount=-4_999),
        raw_entry(amount=None),
        raw_entry(metadata={}),
        raw_entry(metadata=METADATA | {"more": "x"}),
        raw_entry(metadata={"kind": "grant"}),
    ],
)
async def test_a_write_that_returns_another_entry_has_an_unknown_outcome(entry: dict[str, object]) -> None:
    assert class_name(await failure_of(respond(200, entry), write=True)) == "OutcomeUnknown"


async def test_a_credit_is_sent_with_its_key_and_stripes_sign() -> None:
    fake = FakeStripe(respond(200, raw_entry(7)))
    async with fake.api().session() as session:
        entry = await session.create_entry(
            CUSTOMER, 5_000, "LITKEY payment 0x", METADATA, "payment:8453:0xa:cus:0:3", lambda _: True
        )
    assert (entry.id, entry.cents) == ("cbtxn_7", 5_000)
    [request] = fake.requests
    assert (request.method, request.url.path) == ("POST", f"/v1/customers/{CUSTOMER}/balance_transactions")
    assert fake.sent_form() == {
        "amount": ["-5000"],
        "currency": ["usd"],
        "description": ["LITKEY payment 0x"],
        "metadata[kind]": ["payment"],
    }
    assert request.headers["idempotency-key"] == "payment:8453:0xa:cus:0:3"
    assert request.headers["stripe-version"] == API_VERSION
    assert request.headers["authorization"] == f"Bearer {KEY}"


async def test_two_processes_send_the_same_bytes_for_one_credit() -> None:
    sent = []
    for _ in range(2):
        fake = FakeStripe(respond(200, raw_customer()), respond(200, raw_entry()))
        async with fake.api().session() as session:
            await session.get_customer(CUSTOMER)
            await credit(session)
        headers = {name: value for name, value in fake.requests[1].headers.items() if name != "content-length"}
        sent.append((fake.requests[1].content, headers))
    assert sent[0] == sent[1]
    assert "x-stripe-client-telemetry" not in sent[0][1]


async def test_get_customer() -> None:
    fake = FakeStripe(respond(200, raw_customer(balance=-300, metadata={"wallet_address": "0x1"})))
    async with fake.api().session() as session:
        customer = await session.get_customer(CUSTOMER)
        assert session.now() == START
    assert (customer.balance_cents, customer.value("wallet_address"), customer.deleted) == (300, "0x1", False)


async def test_get_deleted_customer() -> None:
    fake = FakeStripe(respond(200, {"id": CUSTOMER, "object": "customer", "deleted": True}))
    async with fake.api().session() as session:
        assert (await session.get_customer(CUSTOMER)).deleted


@pytest.mark.parametrize("customer_id", ["", "cus_", "cus_a/../b", "cus_a?x", "../v1", "acct_1", "cus_" + "a" * 29])
async def test_malformed_customer_ids_never_reach_a_url(customer_id: str) -> None:
    fake = FakeStripe(respond(200, raw_customer()))
    async with fake.api().session() as session:
        for call in (
            session.get_customer(customer_id),
            session.list_entries(customer_id, 0),
            session.set_metadata(customer_id, {}),
            session.create_entry(customer_id, 1, "", {}, "k", lambda _: True),
        ):
            with pytest.raises(RequestRejected) as caught:
                await call
            assert caught.value.code == "customer_invalid"
    assert fake.requests == []


@pytest.mark.parametrize("values", [{"swept:1:a": "5", "open:1:a:3": ""}])
async def test_set_metadata_sends_empty_values_too(values: dict[str, str]) -> None:
    fake = FakeStripe(respond(200, raw_customer()))
    async with fake.api().session() as session:
        await session.set_metadata(CUSTOMER, values)
    assert fake.requests[0].url.path == f"/v1/customers/{CUSTOMER}"
    assert fake.sent_form() == {"metadata[swept:1:a]": ["5"], "metadata[open:1:a:3]": [""]}


async def test_create_customer_sends_its_idempotency_key() -> None:
    fake = FakeStripe(respond(200, raw_customer(id="cus_New")))
    async with fake.api().session() as session:
        assert await session.create_customer("Grants", {"stripe_billing": "x"}, "init:grants") == "cus_New"
    assert fake.requests[0].headers["idempotency-key"] == "init:grants"


async def test_another_customer_in_the_response_is_a_failure() -> None:
    for raw in (raw_customer(id="cus_Other"), {"id": "cus_Other", "object": "customer", "deleted": True}):
        failure = await failure_of(respond(200, raw), write=False)
        assert class_name(failure) == "StripeUnavailable"
        assert str(failure).endswith("another customer")


async def test_a_listing_whose_second_page_fails_is_a_failure() -> None:
    fake = FakeStripe(respond(200, raw_list(raw_entry(), has_more=True)), respond(500, HTML))
    async with fake.api().session() as session:
        with pytest.raises(StripeFailure):
            await session.list_entries(CUSTOMER, START)


async def test_a_read_over_an_idle_connection_waits_a_few_seconds_only() -> None:
    """It may have been dropped without a word, and a read can be repeated over a new one; a write cannot."""
    fake = FakeStripe(respond(200, raw_customer()), respond(200, raw_customer()), respond(200, raw_entry()))
    async with fake.api().session() as session:
        await session.get_customer(CUSTOMER)
        fake.clock.boot_time += 30
        fake.clock.wall_time += 30
        await session.get_customer(CUSTOMER)
        fake.clock.boot_time += 30
        fake.clock.wall_time += 30
        await credit(session)
    fresh, idle, write = (request.extensions["timeout"]["read"] for request in fake.requests)
    assert idle <= 5 < fresh == write
