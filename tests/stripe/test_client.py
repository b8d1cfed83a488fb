"""What each of Stripe's answers means for a read and for a money write, through the real SDK."""

import httpx
import pytest

from stateless_billing.stripe.client import API_VERSION, StripeSession
from stateless_billing.stripe.errors import RequestRejected, StripeFailure
from tests.fakes.factories import CUSTOMER, START
from tests.fakes.fake_stripe import (
    KEY,
    FakeStripe,
    Says,
    answer,
    error,
    failing,
    named,
    raw_customer,
    raw_entry,
    raw_list,
)

pytestmark = pytest.mark.anyio
METADATA = {"kind": "payment"}


async def credit(session: StripeSession) -> object:
    """Credit 50 dollars."""
    return await session.create_entry(CUSTOMER, 5_000, "LITKEY payment 0x", METADATA, "payment:1", lambda _: True)


async def failed(says: Says, *, write: bool) -> StripeFailure:
    """How a call failed that got this answer."""
    fake = FakeStripe(says)
    async with fake.ledger().session() as session:
        with pytest.raises(StripeFailure) as caught:
            await (credit(session) if write else session.get_customer(CUSTOMER))
    assert len(fake.asked) == 1  # nobody retries behind our back
    assert KEY not in str(caught.value)
    return caught.value


HTML = "<html><body>502 Bad Gateway</body></html>"
# answer → what it means for a read, and for a write
ANSWERS: dict[str, tuple[Says, str, str]] = {
    "409 in progress": (
        error(409, "invalid_request_error", "idempotency_key_in_use"),
        "StripeUnavailable",
        "RequestInProgress",
    ),
    "409 lock_timeout": (error(409, "invalid_request_error", "lock_timeout"), "StripeUnavailable", "RequestInProgress"),
    "429 endpoint": (
        error(429, "rate_limit_error", stripe_rate_limited_reason="endpoint-rate"),
        "RateLimited",
        "RateLimited",
    ),
    "429 lock_timeout": (error(429, "invalid_request_error", "lock_timeout"), "LockTimeout", "LockTimeout"),
    "400 other parameters": (error(400, "idempotency_error"), "StripeUnavailable", "KeyReusedDifferently"),
    "500 saved": (error(500, "api_error", idempotent_replayed="true"), "StripeUnavailable", "OutcomeUnknown"),
    "500": (error(500, "api_error"), "StripeUnavailable", "OutcomeUnknown"),
    "500 cut": (answer(500, '{"error": {"type"'), "StripeUnavailable", "OutcomeUnknown"),
    "502 HTML": (answer(502, HTML), "StripeUnavailable", "OutcomeUnknown"),
    "503 HTML": (answer(503, HTML), "StripeUnavailable", "OutcomeUnknown"),
    "504 empty": (answer(504, ""), "StripeUnavailable", "OutcomeUnknown"),
    "424 dependency": (error(424, "api_error"), "StripeUnavailable", "OutcomeUnknown"),
    "200 cut": (answer(200, '{"id": "cbtxn_1", "amou'), "StripeUnavailable", "OutcomeUnknown"),
    "200 HTML": (answer(200, HTML), "StripeUnavailable", "OutcomeUnknown"),
    "200 of nothing": (answer(200, "{}"), "StripeUnavailable", "OutcomeUnknown"),
    "302": (answer(302, "", location="https://elsewhere.example"), "StripeUnavailable", "OutcomeUnknown"),
    "401": (error(401, "invalid_request_error"), "StripeUnavailable", "StripeUnavailable"),
    "403": (error(403, "invalid_request_error"), "StripeUnavailable", "StripeUnavailable"),
    "404 missing": (error(404, "invalid_request_error", "resource_missing"), "RequestRejected", "RequestRejected"),
    "400 invalid": (error(400, "invalid_request_error", "parameter_unknown"), "RequestRejected", "RequestRejected"),
    "402": (error(402, "card_error", "card_declined"), "RequestRejected", "RequestRejected"),
    "400 HTML": (answer(400, HTML), "StripeUnavailable", "OutcomeUnknown"),  # some proxy's, not Stripe's
    "400 of nothing": (answer(400, "{}"), "StripeUnavailable", "OutcomeUnknown"),
    "400 null": (answer(400, "null"), "StripeUnavailable", "OutcomeUnknown"),
    "400 a list": (answer(400, "[]"), "StripeUnavailable", "OutcomeUnknown"),
    "400 an error that is text": (answer(400, '{"error": "x"}'), "StripeUnavailable", "OutcomeUnknown"),
    "401 HTML": (answer(401, HTML), "StripeUnavailable", "OutcomeUnknown"),
    "404 HTML": (answer(404, HTML), "StripeUnavailable", "OutcomeUnknown"),
    "404 in another encoding": (
        lambda _: httpx.Response(404, content=b'{"error": "\xff"}'),
        "StripeUnavailable",
        "OutcomeUnknown",
    ),
    "408": (error(408, "invalid_request_error"), "StripeUnavailable", "OutcomeUnknown"),
    "429 HTML": (answer(429, HTML), "StripeUnavailable", "OutcomeUnknown"),
    "200 null": (answer(200, "null"), "StripeUnavailable", "OutcomeUnknown"),
    "200 a list": (answer(200, "[]"), "StripeUnavailable", "OutcomeUnknown"),
    "200 in another encoding": (
        lambda _: httpx.Response(200, content=b'{"id": "\xff"}'),
        "StripeUnavailable",
        "OutcomeUnknown",
    ),
    "200 text for a list": (answer(200, '"cbtxn_1"'), "StripeUnavailable", "OutcomeUnknown"),
    "connect": (failing(httpx.ConnectError), "StripeUnavailable", "StripeUnavailable"),
    "connect timeout": (failing(httpx.ConnectTimeout), "StripeUnavailable", "StripeUnavailable"),
    "read timeout": (failing(httpx.ReadTimeout), "StripeUnavailable", "OutcomeUnknown"),
    "reset": (failing(httpx.ReadError), "StripeUnavailable", "OutcomeUnknown"),
    "write timeout": (failing(httpx.WriteTimeout), "StripeUnavailable", "OutcomeUnknown"),
    "closed": (failing(httpx.RemoteProtocolError), "StripeUnavailable", "OutcomeUnknown"),
}


@pytest.mark.parametrize(("says", "read", "write"), ANSWERS.values(), ids=list(ANSWERS))
async def test_what_an_answer_means(says: Says, read: str, write: str) -> None:
    assert (named(await failed(says, write=False)), named(await failed(says, write=True))) == (read, write)


async def test_a_failure_tells_stripes_words_and_request() -> None:
    failure = await failed(error(404, "invalid_request_error", "resource_missing"), write=True)
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
async def test_a_write_that_is_answered_with_something_else_is_unclear(entry: dict[str, object]) -> None:
    assert named(await failed(answer(200, entry), write=True)) == "OutcomeUnknown"


async def test_a_credit_is_sent_with_its_key_and_stripes_sign() -> None:
    fake = FakeStripe(answer(200, raw_entry(7)))
    async with fake.ledger().session() as session:
        entry = await session.create_entry(
            CUSTOMER, 5_000, "LITKEY payment 0x", METADATA, "payment:8453:0xa:cus:0:3", lambda _: True
        )
    assert (entry.id, entry.cents) == ("cbtxn_7", 5_000)
    [asked] = fake.asked
    assert (asked.method, asked.url.path) == ("POST", f"/v1/customers/{CUSTOMER}/balance_transactions")
    assert fake.form() == {
        "amount": ["-5000"],
        "currency": ["usd"],
        "description": ["LITKEY payment 0x"],
        "metadata[kind]": ["payment"],
    }
    assert asked.headers["idempotency-key"] == "payment:8453:0xa:cus:0:3"
    assert asked.headers["stripe-version"] == API_VERSION
    assert asked.headers["authorization"] == f"Bearer {KEY}"


async def test_the_same_credit_is_sent_in_the_same_bytes_by_another_process() -> None:
    sent = []
    for _ in range(2):
        fake = FakeStripe(answer(200, raw_customer()), answer(200, raw_entry()))
        async with fake.ledger().session() as session:
            await session.get_customer(CUSTOMER)
            await credit(session)
        kept = {name: value for name, value in fake.asked[1].headers.items() if name != "content-length"}
        sent.append((fake.asked[1].content, kept))
    assert sent[0] == sent[1]
    assert "x-stripe-client-telemetry" not in sent[0][1]


async def test_a_customer_is_read() -> None:
    fake = FakeStripe(answer(200, raw_customer(balance=-300, metadata={"wallet_address": "0x1"})))
    async with fake.ledger().session() as session:
        found = await session.get_customer(CUSTOMER)
        assert session.now() == START
    assert (found.balance_cents, found.value("wallet_address"), found.deleted) == (300, "0x1", False)


async def test_a_deleted_customer_is_read_as_such() -> None:
    fake = FakeStripe(answer(200, {"id": CUSTOMER, "object": "customer", "deleted": True}))
    async with fake.ledger().session() as session:
        assert (await session.get_customer(CUSTOMER)).deleted


@pytest.mark.parametrize("customer_id", ["", "cus_", "cus_a/../b", "cus_a?x", "../v1", "acct_1", "cus_" + "a" * 29])
async def test_what_is_no_customer_id_never_reaches_a_url(customer_id: str) -> None:
    fake = FakeStripe(answer(200, raw_customer()))
    async with fake.ledger().session() as session:
        for call in (
            session.get_customer(customer_id),
            session.list_entries(customer_id, 0),
            session.set_metadata(customer_id, {}),
            session.create_entry(customer_id, 1, "", {}, "k", lambda _: True),
        ):
            with pytest.raises(RequestRejected) as caught:
                await call
            assert caught.value.code == "customer_invalid"
    assert fake.asked == []


@pytest.mark.parametrize("values", [{"swept:1:a": "5", "open:1:a:3": ""}])
async def test_metadata_is_merged_and_an_empty_value_removes_its_key(values: dict[str, str]) -> None:
    fake = FakeStripe(answer(200, raw_customer()))
    async with fake.ledger().session() as session:
        await session.set_metadata(CUSTOMER, values)
    assert fake.asked[0].url.path == f"/v1/customers/{CUSTOMER}"
    assert fake.form() == {"metadata[swept:1:a]": ["5"], "metadata[open:1:a:3]": [""]}


async def test_a_bookkeeping_customer_is_made_under_its_key() -> None:
    fake = FakeStripe(answer(200, raw_customer(id="cus_New")))
    async with fake.ledger().session() as session:
        assert await session.create_customer("Grants", {"stripe_billing": "x"}, "init:grants") == "cus_New"
    assert fake.asked[0].headers["idempotency-key"] == "init:grants"


async def test_another_customer_is_no_answer() -> None:
    for raw in (raw_customer(id="cus_Other"), {"id": "cus_Other", "object": "customer", "deleted": True}):
        failure = await failed(answer(200, raw), write=False)
        assert (named(failure), str(failure)) == ("StripeUnavailable", "Stripe answered with another customer")


async def test_the_list_that_failed_to_arrive_is_not_an_empty_one() -> None:
    fake = FakeStripe(answer(200, raw_list(raw_entry(), has_more=True)), answer(500, HTML))
    async with fake.ledger().session() as session:
        with pytest.raises(StripeFailure):
            await session.list_entries(CUSTOMER, START)
