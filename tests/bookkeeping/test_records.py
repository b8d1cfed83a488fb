"""The bookkeeping customers identify the account and store the progress of the sweep."""

from typing import Any

import pytest
from eth_utils.crypto import keccak

from chain.gateway import Gateway
from stateless_billing.bookkeeping import records
from stateless_billing.bookkeeping.records import NotOurAccount, OpenCustomer, OpenPayments, ServiceRecords
from stateless_billing.stripe.errors import StripeFailure, StripeUnavailable
from stateless_billing.stripe.objects import Customer
from tests.chain.fake_node import FakeNode
from tests.fakes.factories import CHAIN_ID, GATEWAY
from tests.fakes.fake_stripe import FakeStripe, Respond, raw_customer, respond, respond_error

pytestmark = pytest.mark.anyio
SERVICE_METADATA = {"stateless_billing": "service", "grants": "cus_Grants", "swept:8453:a1b2c3d4": "7"}


def record(id_: str, **metadata: str) -> Respond:
    """Respond with a customer with this metadata."""
    return respond(200, raw_customer(id=id_, metadata=metadata))


def deleted(id_: str) -> Respond:
    """Respond with a deleted customer."""
    return respond(200, {"id": id_, "object": "customer", "deleted": True})


SERVICE = record("cus_Service", **SERVICE_METADATA)
GRANTS = record("cus_Grants", stateless_billing="grants")
MISSING = respond_error(404, "invalid_request_error", "resource_missing")


async def test_load() -> None:
    fake = FakeStripe(SERVICE, GRANTS)
    account_records = ServiceRecords(fake.api(), "cus_Service")
    service = await account_records.load()
    assert (service.id, account_records.grants_id) == ("cus_Service", "cus_Grants")
    assert [request.url.path for request in fake.requests] == ["/v1/customers/cus_Service", "/v1/customers/cus_Grants"]


@pytest.mark.parametrize(
    "responses",
    [
        [MISSING],
        [deleted("cus_Service")],
        [record("cus_Service")],  # an ordinary customer
        [record("cus_Service", stateless_billing="grants")],
        [SERVICE, MISSING],
        [SERVICE, deleted("cus_Grants")],
        [SERVICE, record("cus_Grants")],
        [SERVICE, record("cus_Grants", **SERVICE_METADATA)],
        [record("cus_Service", stateless_billing="service")],  # names no grants record
        [record("cus_Service", stateless_billing="service", grants="../v1")],
    ],
)
async def test_another_account_is_rejected(responses: list[Respond]) -> None:
    with pytest.raises(NotOurAccount):
        await ServiceRecords(FakeStripe(*responses).api(), "cus_Service").load()


@pytest.mark.parametrize(
    "responses",
    [[respond(500, "")], [respond_error(401, "invalid_request_error")], [SERVICE, respond(500, "")], [GRANTS]],
)
async def test_an_unreadable_account_is_not_another_account(responses: list[Respond]) -> None:
    with pytest.raises(StripeUnavailable):
        await ServiceRecords(FakeStripe(*responses).api(), "cus_Service").load()


async def test_update_merges_into_the_service_record() -> None:
    fake = FakeStripe(SERVICE)
    await ServiceRecords(fake.api(), "cus_Service").update({"a": "1"})
    assert (fake.requests[0].method, fake.requests[0].url.path) == ("POST", "/v1/customers/cus_Service")
    assert fake.sent_form() == {"metadata[a]": ["1"]}
    with pytest.raises(StripeFailure):
        await ServiceRecords(FakeStripe(respond(500, "")).api(), "cus_Service").update({"a": "1"})


async def test_nothing_is_created_if_the_search_fails() -> None:
    fake = FakeStripe(respond(500, ""), GRANTS)
    with pytest.raises(StripeFailure):
        await records.create_records(fake.api())
    assert [request.method for request in fake.requests] == ["GET", "GET"], "a read is repeated once"


MINE = Gateway(FakeNode(), CHAIN_ID, GATEWAY)


def service(**metadata: Any) -> Customer:
    """Create a service record; `__` in names stands for `:`."""
    values = {name.replace("__", ":"): value for name, value in metadata.items()}
    return Customer("cus_Service", deleted=False, metadata=values)


def test_keys() -> None:
    assert records.swept_key(MINE) == "swept:8453:a1b2c3d4"
    assert records.open_index_key(MINE, 12) == "open:8453:a1b2c3d4:12"
    key = records.open_customer_key(MINE, "cus_Alice1")
    assert key == f"open:8453:a1b2c3d4:{keccak(text='cus_Alice1').hex()[:8]}"


@pytest.mark.parametrize(
    ("text", "index"), [(None, 0), ("", 0), ("7", 7), ("x", 0), ("-1", 0), ("7.5", 0), ("٣", 0), ("²", 0), (" 7", 0)]
)
def test_parse_swept(text: str | None, index: int) -> None:
    metadata = {} if text is None else {"swept__8453__a1b2c3d4": text}
    assert records.parse_swept(service(**metadata), MINE) == index


def test_other_gateways_and_chains_are_ignored() -> None:
    assert records.parse_swept(service(swept__8453__b1b2c3d4="7", swept__1__a1b2c3d4="8"), MINE) == 0


def test_parse_open_payments() -> None:
    stored = service(
        open__8453__a1b2c3d4__12="customer_deleted",
        open__8453__a1b2c3d4__3="currency",
        open__8453__a1b2c3d4__x="no index",
        open__8453__a1b2c3d4__="no index",
        open__8453__b1b2c3d4__5="another gateway's",
        swept__8453__a1b2c3d4="7",
    )
    assert records.parse_open_payments(stored, MINE) == OpenPayments({}, {12: "customer_deleted", 3: "currency"})
    assert records.parse_open_payments(Customer("cus_Service", deleted=True), MINE) == OpenPayments()


def test_what_is_left_open_is_one_key_a_customer() -> None:
    opened = OpenPayments({"cus_Alice1": OpenCustomer(7, "over_limit")}, {3: "customer_invalid"})
    values = records.position_values(MINE, 20, opened)
    assert values == {
        "swept:8453:a1b2c3d4": "20",
        records.open_customer_key(MINE, "cus_Alice1"): "cus_Alice1:7:over_limit",
        "open:8453:a1b2c3d4:3": "customer_invalid",
    }
    stored = Customer("cus_Service", deleted=False, metadata={**values, "rate_override": "x"})
    assert records.parse_open_payments(stored, MINE) == opened
    assert records.stored_values(stored, MINE) == values


@pytest.mark.parametrize(
    "value", ["cus_Alice1", "cus_Alice1:x:currency", "cus_Ali-ce:1:currency", "cus_Alice1:-1:a", ""]
)
def test_a_value_that_names_no_sequence_is_ignored(value: str) -> None:
    stored = service(open__8453__a1b2c3d4__0a0b0c0d=value)
    assert records.parse_open_payments(stored, MINE) == OpenPayments()
