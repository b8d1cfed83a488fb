"""The verdict claims no more than was read."""

import json
from typing import Any

import pytest

from stateless_billing.audit.report.formats import WRITERS, verdict_lines
from stateless_billing.audit.report.limits import describe_cost, describe_scope
from stateless_billing.audit.report.report import Options
from tests.audit.builders import quoted
from tests.audit.test_run import PAID, count_statuses, run_audit, with_own_wallets
from tests.audit.world import World
from tests.fakes.factories import CUSTOMER, block, tx_hash

pytestmark = pytest.mark.anyio

NEVER_PAID = "ledgers of customers that never paid were not read"
TREASURY = "transfers to the treasury in blocks without a payment were not read"
BEFORE = "entries from before a customer's first payment were not read"
FORGED_CENTS = 99_900


def forge(world: World, customer_id: str = "cus_NeverPaid") -> None:
    """Write a credit of a payment that never was, as a holder of the key could."""
    forged = quoted(tx_hash=tx_hash(99), cents=FORGED_CENTS, customer_id=customer_id)
    world.add(world.get_or_add_customer(customer_id), world.credit_row(forged, created=block(50).time))


@pytest.mark.parametrize(
    ("options", "counts", "ledgers", "parts"),
    [
        ({}, {}, "payers", [NEVER_PAID, BEFORE, TREASURY]),
        ({"treasury": True}, {}, "payers", [NEVER_PAID, BEFORE]),
        ({"deep": True}, {}, "all", [TREASURY]),
        ({"deep": True, "treasury": True}, {}, "all", []),
        ({"customer": CUSTOMER}, {}, "customer", ["other customers were not read", BEFORE]),
        ({"customer": CUSTOMER, "deep": True}, {}, "customer", ["other customers were not read"]),
        (
            {"deep": True, "treasury": True},
            {"rates_not_checked": 1, "ledgers_read_by_windows": 2},
            "all",
            [
                "2 ledgers with many entries were read only around the payments",
                "1 recorded rate was not compared with the price feed",
            ],
        ),
        (
            {"deep": True, "treasury": True, "since": "2026-10-01", "until": "9000"},
            {},
            "all",
            ["nothing from before 2026-10-01 was read", "no payment after 9000 was read"],
        ),
    ],
)
def test_the_scope_names_what_the_options_leave_out(
    options: dict[str, Any], counts: dict[str, int], ledgers: str, parts: list[str]
) -> None:
    scope = describe_scope(Options(**options), counts)
    assert scope == {"ledgers": ledgers, "treasury": options.get("treasury", False), "not_read": parts}


async def test_a_cheap_audit_beside_a_forged_credit_says_where_it_did_not_look() -> None:
    world = World(with_own_wallets(PAID))
    forge(world)
    report = await run_audit(world)
    assert report.is_clean
    table = "".join(WRITERS["table"](report))
    assert table.splitlines()[0] == f"CLEAN OF WHAT WAS READ: {NEVER_PAID}; {BEFORE}; {TREASURY}"
    head = json.loads("".join(WRITERS["jsonl"](report)).splitlines()[0])
    assert head["coverage"]["scope"] == {
        "ledgers": "payers",
        "treasury": False,
        "not_read": [NEVER_PAID, BEFORE, TREASURY],
    }
    assert head["coverage"]["complete"]


async def test_a_deep_audit_finds_the_forged_credit() -> None:
    world = World(with_own_wallets(PAID))
    forge(world)
    report = await run_audit(world, deep=True)
    assert count_statuses(report) == {"matched": 6, "missing_payment": 1}
    assert report.spool.totals.exceptions == 1
    assert verdict_lines(report) == ["1 EXCEPTION", f"NOT LOOKED AT: {TREASURY}"]


async def test_a_verdict_with_exceptions_names_its_scope_on_a_line_of_its_own() -> None:
    world = World(with_own_wallets(PAID))
    world.add(world.get_or_add_customer("cus_Payer0"), world.credit_row(PAID[0], created=block(200).time))
    assert verdict_lines(await run_audit(world)) == [
        "1 EXCEPTION",
        f"NOT LOOKED AT: {NEVER_PAID}; {BEFORE}; {TREASURY}",
    ]


@pytest.mark.parametrize("deep", [False, True])
async def test_recorded_rates_that_were_not_compared_are_named(deep: bool) -> None:
    plain = quoted(cents=0)
    report = await run_audit(World([plain]), deep=deep)
    assert report.is_clean
    [verdict] = verdict_lines(report)
    assert ("1 recorded rate was not compared with the price feed" in verdict) is not deep


def test_the_cost_is_said_before_reading_with_its_part_of_the_read_allowance() -> None:
    sentence = describe_cost(1_234, 15, deep=True)
    assert "every entry of every customer: 1234 Stripe reads or more" in sentence
    assert "takes 83 s or more" in sentence
    assert "500 reads for each of its transactions, and at least 10,000 a month: these are 13 % or more" in sentence
    assert "the credits of every payment" in describe_cost(1, 15, deep=False)
