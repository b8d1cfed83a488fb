"""The Stripe reader is read-only, rate limited, retries, and reports what it could not read."""

import asyncio
import io

import httpx
import pytest

from stateless_billing.audit.progress import ProgressPrinter
from stateless_billing.audit.readers.bulk_http import BulkHost
from stateless_billing.audit.readers.customers import AuditedCustomers, audited_customer, read_customer
from stateless_billing.audit.readers.stripe import (
    StripeObjectNotFound,
    StripeReader,
    StripeReadError,
    require_customer_id,
)
from stateless_billing.audit.report.report import Coverage
from stateless_billing.audit.report.row_spool import Spool
from stateless_billing.audit.rules.facts import AuditedCustomer
from stateless_billing.stripe.objects import Customer
from stateless_billing.stripe.rate_limiter import RateLimiter
from tests.audit.builders import OtherWork, credit, judge, quoted, single
from tests.audit.world import World
from tests.fakes.factories import FakeClock, tx_hash

pytestmark = pytest.mark.anyio


def create_reader(world: World) -> StripeReader:
    """Create a reader of a world's Stripe."""
    return StripeReader(
        BulkHost("https://stripe.example", max_connections=1, transports=[world.stripe_transport]),
        "sk_test_sandbox",
        RateLimiter(rate=1000, total_rate=4000, processes=1),
    )


def test_it_cannot_write() -> None:
    names = [name for name in dir(StripeReader) if not name.startswith("_")]
    assert sorted(names) == ["get_customer", "list_customers", "list_entries", "list_page", "now", "read_ledger"]


async def test_failed_reads_are_retried() -> None:
    world, failures = World(), [500, 429]
    world.get_or_add_customer("cus_A")

    def hook(_: httpx.Request) -> httpx.Response | None:
        if failures:
            return httpx.Response(failures.pop(), json={"error": {"message": "x"}})
        return None

    world.stripe_transport.hook = hook
    stripe = create_reader(world)
    assert [customer.id async for page in stripe.list_customers(None) for customer in page] == ["cus_A"]
    assert (stripe.reads, stripe.retried) == (1, 2)


async def test_unknown_objects_raise_not_found() -> None:
    stripe = create_reader(World())
    assert await stripe.get_customer("cus_Nobody") is None
    with pytest.raises(StripeObjectNotFound):
        await stripe.list_page("cus_Nobody", 0, 10)
    with pytest.raises(StripeObjectNotFound):
        require_customer_id("../evil")
    with pytest.raises(StripeReadError):
        await read_customer(stripe, "cus_Nobody", "")


async def test_a_rejected_key_is_not_retried() -> None:
    world = World()
    host = BulkHost("https://s", max_connections=1, transports=[world.stripe_transport])
    stripe = StripeReader(host, "sk_wrong", RateLimiter(rate=1000, total_rate=4000, processes=1))
    with pytest.raises(StripeReadError, match="401"):
        await stripe.now()
    assert len(world.stripe_transport.requests) == 1


async def test_a_repeating_list_is_rejected() -> None:
    world = World()
    customer = world.get_or_add_customer("cus_A")
    world.add_charges(customer, 150, 1_790_000_000, 1)
    first = world.stripe.handle(
        "GET",
        "/v1/customers/cus_A/balance_transactions?limit=100",
        {"authorization": "Bearer sk_test_sandbox", "stripe-version": "2026-10-28.endive"},
    )
    world.stripe_transport.hook = lambda _: httpx.Response(200, content=first.body)
    with pytest.raises(StripeReadError, match="repeats"):
        await create_reader(world).list_entries("cus_A", 0, 2_000_000_000)


def test_a_customer_is_reduced_to_wallet_and_cursors() -> None:
    metadata = {"wallet_address": " 0xAB ", "gateway:8453:a1b2c3d4": "1:0x", "other": "x"}
    customer = audited_customer(Customer("cus_A", deleted=False, currency="usd", metadata=metadata))
    assert (customer.wallet, dict(customer.cursors)) == ("0xab", {"gateway:8453:a1b2c3d4": "1:0x"})
    assert audited_customer(Customer("cus_A", deleted=True)).state == "customer_deleted"


def test_rows_are_sorted_and_a_later_verdict_replaces_an_earlier_one() -> None:
    spool = Spool()
    first, second = quoted(), quoted(1, block=50, tx_hash=tx_hash(2))
    rows = [single(judge([paid], [credit(paid)]).rows) for paid in (first, second)]
    for row in rows:
        spool.add(row)
    assert list(spool) == rows[::-1]
    worse = single(judge([first], [credit(first, cents=1)]).rows)
    spool.add(worse)
    assert len(spool) == 2
    assert spool.get(worse.fingerprint) == worse
    assert spool.totals.statuses == {"matched": 1, "amount_mismatch": 1}
    assert spool.totals.cents["credited"] == 5001
    spool.close()


def test_coverage_is_complete_only_while_nothing_is_missing() -> None:
    coverage = Coverage()
    coverage.count("entries_read", 3)
    assert coverage.as_dict() == {"complete": True, "missing": [], "entries_read": 3}
    coverage.missing += ["b", "a"]
    assert coverage.as_dict()["missing"] == ["a", "b"]
    assert not coverage.is_complete


def test_progress_estimates_the_remaining_time() -> None:
    stream, clock = io.StringIO(), FakeClock()
    progress = ProgressPrinter(clock, stream)
    progress.on_progress("ledgers", 0, 100)
    clock.wait(20)
    progress.on_progress("ledgers", 20, 100)
    clock.wait(1)
    progress.on_progress("ledgers", 21, 100)
    progress.on_message("done")
    assert stream.getvalue() == "ledgers: 20 of 100, 1 a second, 80 s left\ndone\n"


async def test_customers_on_disk_keep_their_order_and_let_other_work_go_on() -> None:
    customers = AuditedCustomers()
    for number in (*range(1_200), 0):
        customers.by_id.put(
            AuditedCustomer(f"cus_{number}", wallet=f"0x{number % 600}", cursors={"key": f"{number}:0x"})
        )
    assert list(customers.by_id) == [f"cus_{number}" for number in range(1_200)]
    assert customers.by_id["cus_7"] == AuditedCustomer("cus_7", wallet="0x7", cursors={"key": "7:0x"})
    assert "cus_1200" not in customers.by_id
    other_work = OtherWork()
    working = asyncio.create_task(other_work.run())
    claims = await customers.customers_by_wallet()
    working.cancel()
    assert claims["0x7"] == ("cus_7", "cus_607")
    assert other_work.turns == 3, "one for each 500 customers"
