"""What Stripe's events say of a deleted customer and of a payment that it may have been credited for."""

from dataclasses import replace

import pytest

from stateless_billing.domain import ledger
from stateless_billing.runtime.clock import SystemClock
from stateless_billing.stripe.objects import Deletion, DeletionPage
from stateless_billing.support.deletions import CustomerDeletions, describe_deletion
from tests.fakes.factories import CUSTOMER, payment, tx_hash
from tests.fakes.fake_stripe import FakeStripe, raw_list, respond

pytestmark = pytest.mark.anyio
PAID = payment(sequence=3)
KEY = ledger.cursor_key(PAID.chain_id, PAID.gateway)
GONE = Deletion("evt_1", PAID.time + 7_000, CUSTOMER, {KEY: f"4:{tx_hash(1)}"})


def describe(deletion: Deletion) -> str:
    return describe_deletion(PAID, DeletionPage([replace(GONE, customer_id="cus_Else"), deletion], complete=False))


def test_the_last_cursor_says_whether_it_was_credited() -> None:
    text = describe(GONE)
    assert text.startswith("Stripe's events: it was deleted on 20")
    assert "(evt_1)" in text
    assert text.endswith("Its cursor was behind this payment then: it had been credited.")
    assert describe(replace(GONE, metadata={KEY: f"3:{tx_hash(1)}"})).endswith("it was not yet seen as credited.")
    for metadata in ({}, {KEY: "nonsense"}, {f"{KEY}0": f"9:{tx_hash(1)}"}):
        assert "knows of no credit" in describe(replace(GONE, metadata=metadata))
    assert describe(replace(GONE, time=PAID.time - 7_000)).endswith("That was before this payment was made.")
    assert "behind this payment" in describe(replace(GONE, time=PAID.time - 60)), "clocks differ"


def test_an_absent_deletion_is_said_to_be_older_only_if_all_were_read() -> None:
    other = [replace(GONE, customer_id="cus_Else")]
    assert "deleted before that" in describe_deletion(PAID, DeletionPage(other, complete=True))
    assert "Older ones were not read." in describe_deletion(PAID, DeletionPage(other, complete=False))


def event(number: int, customer: str = "cus_Else") -> dict[str, object]:
    snapshot = {"id": customer, "object": "customer", "metadata": {}}
    base = {"id": f"evt_{number}", "object": "event", "created": PAID.time + 9_000, "type": "customer.deleted"}
    return base | {"data": {"object": snapshot}}


async def test_pages_are_read_to_the_end_and_once_for_all_payments() -> None:
    more = raw_list(event(2)) | {"has_more": True}
    fake = FakeStripe(respond(200, more), respond(200, raw_list(event(1, CUSTOMER))))
    deletions = CustomerDeletions(fake.api(), SystemClock())
    for _ in range(2):
        assert "(evt_1)" in await deletions.describe(PAID)
    assert fake.sent_form()["starting_after"] == ["evt_2"]


async def test_a_missing_permission_is_said_and_is_no_fault_of_stripes() -> None:
    error = {"error": {"type": "invalid_request_error", "message": "no permission (rak_event_read)"}}
    fake = FakeStripe(respond(403, error))
    api = fake.api()
    assert "Events: Read is missing" in await CustomerDeletions(api, SystemClock()).describe(PAID)
    assert api.health.failure is None


async def test_a_failure_is_a_sentence() -> None:
    fake = FakeStripe(*[respond(500, {"error": {"type": "api_error"}})] * 2)
    assert "could not be read just now" in await CustomerDeletions(fake.api(), SystemClock()).describe(PAID)
