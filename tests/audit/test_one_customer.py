"""A report of one customer holds that customer alone."""

from collections.abc import Sequence

import pytest

from stateless_billing.audit.report.formats import verdict_lines
from stateless_billing.audit.report.report import Options, Report
from stateless_billing.domain.epochs import EPOCH_SECONDS, QUIET_SECONDS
from stateless_billing.sandbox.account import Entry as Row
from tests.audit.builders import quoted
from tests.audit.test_run import PAID, add_service_record, count_statuses, with_own_wallets
from tests.audit.world import World
from tests.fakes.factories import CUSTOMER, WALLET, block, tx_hash

pytestmark = pytest.mark.anyio

OURS = "cus_Payer0"
OTHERS = [f"cus_Other{number}" for number in range(32)]


async def report_of(world: World, customer: str | None, **settings: str) -> Report:
    """Audit one customer."""
    values = {"SERVICE_CUSTOMER_ID": "cus_Service"} | settings
    async with world.create_auditor(**values) as auditor:
        return await auditor.run(Options(customer=customer))


def reserve(world: World, customers: Sequence[str], created: int) -> None:
    """Reserve a grant for each customer, and give none."""
    add_service_record(world)
    caps = f"{10**9}:{10**9}:{10**9}"
    rows = []
    for number, customer in enumerate(customers):
        world.get_or_add_customer(customer)
        metadata = {"kind": "reservation", "grant": f"g{number}", "operator": "o", "reason": "r", "caps": caps}
        rows.append((created, Row(-500, "usd", "Reservation", metadata | {"customer": customer})))
    world.add(world.get_or_add_customer("cus_Grants"), *rows)


@pytest.mark.parametrize("age", [60, EPOCH_SECONDS + QUIET_SECONDS + 60])
async def test_other_customers_reservations_are_not_in_it(age: int) -> None:
    world = World(with_own_wallets(PAID), now=block(9_000).time + 200_000)
    reserve(world, OTHERS, world.now - age)
    report = await report_of(world, OURS)
    assert {row.stripe_customer for row in report.spool} == {OURS}
    assert count_statuses(report) == {"matched": 3}
    assert verdict_lines(report)[0].startswith("CLEAN OF WHAT WAS READ: other customers were not read")
    everything = await report_of(world, None)
    assert count_statuses(everything)["pending" if age == 60 else "grant_over_cap"] == 32
    assert everything.is_clean == (age == 60)


async def test_its_own_reservation_past_its_time_is_an_exception() -> None:
    world = World(with_own_wallets(PAID), now=block(9_000).time + 200_000)
    reserve(world, [OTHERS[0], OURS], world.now - EPOCH_SECONDS - QUIET_SECONDS - 60)
    report = await report_of(world, OURS)
    assert count_statuses(report) == {"matched": 3, "grant_over_cap": 1}
    [row] = [row for row in report.spool if row.exception]
    assert f"$5.00 reserved for {OURS}" in row.reason
    assert row.reason.endswith("neither given nor taken back")


async def test_a_reservation_for_a_deleted_customer_accuses_nobody() -> None:
    world = World(with_own_wallets(PAID), now=block(9_000).time + 200_000)
    reserve(world, [OTHERS[0]], world.now - 2 * EPOCH_SECONDS)
    world.stripe.account.by_id[OTHERS[0]].deleted = True
    report = await report_of(world, None)
    assert count_statuses(report) == {"matched": 6, "held": 1}


async def test_without_the_service_record_it_judges_no_grant_and_says_so() -> None:
    world = World(with_own_wallets(PAID))
    metadata = {"kind": "grant", "grant": "g", "operator": "o", "reason": "r"}
    world.add(world.get_or_add_customer(OURS), (block(200).time, Row(-500, "usd", "Grant", metadata)))
    report = await report_of(world, OURS, SERVICE_CUSTOMER_ID="")
    assert count_statuses(report) == {"matched": 3}
    assert "set SERVICE_CUSTOMER_ID" in report.coverage.missing[0]
    assert (await report_of(world, "cus_Payer1", SERVICE_CUSTOMER_ID="")).is_clean


@pytest.mark.parametrize("is_recorded", [True, False])
async def test_a_missing_credit_needs_the_service_record(is_recorded: bool) -> None:
    world = World()
    world.node.payments = [quoted()]
    world.get_or_add_customer(CUSTOMER, WALLET)
    add_service_record(world)
    report = await report_of(world, CUSTOMER, **({} if is_recorded else {"SERVICE_CUSTOMER_ID": ""}))
    assert count_statuses(report) == {"missing_credit": 1}
    assert report.coverage.is_complete is is_recorded


async def test_its_credit_of_another_customers_payment_is_a_finding() -> None:
    payments = with_own_wallets(PAID)
    world = World(payments)
    add_service_record(world)
    other = next(payment for payment in payments if payment.customer_id != OURS)
    [credit] = world.add(world.get_or_add_customer(OURS), world.credit_row(other, created=other.time + 60))
    report = await report_of(world, OURS)
    assert count_statuses(report) == {"matched": 3, "wrong_customer": 1}
    [row] = [row for row in report.spool if row.exception]
    assert (row.stripe_txn, row.stripe_customer) == (credit, OURS)
    assert (await report_of(world, "cus_Payer1")).is_clean
    assert tx_hash(1) in {row.tx_hash for row in report.spool}
