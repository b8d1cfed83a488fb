"""Reading Stripe: only reading, paced, stubborn, and honest about what was not read."""

import io

import httpx
import pytest

from stateless_billing.audit.progress import ProgressPrinter
from stateless_billing.audit.readers.customers import audited_customer, read_customer
from stateless_billing.audit.readers.stripe import (
    StripeObjectNotFound,
    StripeReader,
    StripeReadError,
    require_customer_id,
)
from stateless_billing.audit.report.report import Coverage
from stateless_billing.audit.report.row_spool import Spool
from stateless_billing.stripe.objects import Customer
from stateless_billing.stripe.rate_limiter import RateLimiter
from tests.audit.made import credit, judged, only, quoted
from tests.audit.world import World
from tests.fakes.factories import FakeClock, tx_hash

pytestmark = pytest.mark.anyio


def reader(world: World) -> StripeReader:
    """A reader of a world's Stripe."""
    return StripeReader([world.stripe_line], "sk_test_sandbox", "https://stripe.example", RateLimiter(1000, 1))


def test_it_cannot_write() -> None:
    names = [name for name in dir(StripeReader) if not name.startswith("_")]
    assert sorted(names) == ["get_customer", "list_customers", "list_entries", "list_page", "now", "read_ledger"]


async def test_what_fails_is_tried_again() -> None:
    world, failures = World(), [500, 429]
    world.customer("cus_A")

    def hook(_: httpx.Request) -> httpx.Response | None:
        if failures:
            return httpx.Response(failures.pop(), json={"error": {"message": "x"}})
        return None

    world.stripe_line.hook = hook
    stripe = reader(world)
    assert [one.id async for page in stripe.list_customers(None) for one in page] == ["cus_A"]
    assert (stripe.reads, stripe.retried) == (1, 2)


async def test_what_is_not_there_is_missing() -> None:
    stripe = reader(World())
    assert await stripe.get_customer("cus_Nobody") is None
    with pytest.raises(StripeObjectNotFound):
        await stripe.list_page("cus_Nobody", 0, 10)
    with pytest.raises(StripeObjectNotFound):
        require_customer_id("../evil")
    with pytest.raises(StripeReadError):
        await read_customer(stripe, "cus_Nobody", "")


async def test_a_key_that_is_refused_is_not_tried_again() -> None:
    world = World()
    stripe = StripeReader([world.stripe_line], "sk_wrong", "https://s", RateLimiter(1000, 1))
    with pytest.raises(StripeReadError, match="401"):
        await stripe.now()
    assert len(world.stripe_line.asked) == 1


async def test_a_list_that_repeats_itself_is_refused() -> None:
    world = World()
    customer = world.customer("cus_A")
    world.charges(customer, 150, 1_790_000_000, 1)
    first = world.stripe.handle(
        "GET",
        "/v1/customers/cus_A/balance_transactions?limit=100",
        {"authorization": "Bearer sk_test_sandbox", "stripe-version": "2026-10-28.endive"},
    )
    world.stripe_line.hook = lambda _: httpx.Response(200, content=first.body)
    with pytest.raises(StripeReadError, match="repeats"):
        await reader(world).list_entries("cus_A", 0, 2_000_000_000)


def test_what_is_kept_of_a_customer() -> None:
    metadata = {"wallet_address": " 0xAB ", "gateway:8453:a1b2c3d4": "1:0x", "other": "x"}
    kept = audited_customer(Customer("cus_A", deleted=False, currency="usd", metadata=metadata))
    assert (kept.wallet, dict(kept.cursors)) == ("0xab", {"gateway:8453:a1b2c3d4": "1:0x"})
    assert audited_customer(Customer("cus_A", deleted=True)).state == "customer_deleted"


def test_rows_come_back_in_order_and_a_later_verdict_takes_the_earliers_place() -> None:
    spool = Spool()
    one, two = quoted(), quoted(1, block=50, tx_hash=tx_hash(2))
    rows = [only(judged([paid], [credit(paid)]).rows) for paid in (one, two)]
    for row in rows:
        spool.add(row)
    assert list(spool) == rows[::-1]
    worse = only(judged([one], [credit(one, cents=1)]).rows)
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


def test_progress_says_how_long_it_will_take() -> None:
    stream, clock = io.StringIO(), FakeClock()
    progress = ProgressPrinter(clock, stream)
    progress.on_progress("ledgers", 0, 100)
    clock.wait(20)
    progress.on_progress("ledgers", 20, 100)
    clock.wait(1)
    progress.on_progress("ledgers", 21, 100)
    progress.on_message("done")
    assert stream.getvalue() == "ledgers: 20 of 100, 1 a second, 80 s left\ndone\n"
