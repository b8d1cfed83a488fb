"""Repair fixes what people and reorgs broke, exactly once."""

import asyncio

from msgspec import structs

from chain.payment import Payment
from stateless_billing import settings
from stateless_billing.audit.auditor import Auditor, ProgressReporting
from stateless_billing.audit.progress import ignore_progress
from stateless_billing.audit.repair import Repair, repair
from stateless_billing.audit.report.report import Options, Report
from stateless_billing.domain.ledger import Price, credit_description, credit_metadata
from stateless_billing.sandbox.account import Entry
from stateless_billing.sandbox.effects import listing_ends_empty
from stateless_billing.sandbox.records import Transaction
from tests.audit.world import KEY, AuditNode
from tests.fakes.factories import CUSTOMER, GATEWAY, WALLET, payment, tx_hash
from tests.fakes.in_process_service import HOUR, SERVICE, LoopClock, NodesLine, StripeLine, Town, advanced

TARGET = "cus_Target1"
ADMIN = "admin@example.org"
FIRST = payment()
SECOND = payment(sequence=1, tx_hash=tx_hash(2), block=101)
TEMPLATE = "/v1/customers/{customer}/balance_transactions"


def create_town(*payments: Payment) -> Town:
    """Create a town with an auditable node and one more customer."""
    town = Town(payments)
    town.nodes = [AuditNode(payments)]
    town.add(TARGET)
    town.set_metadata(CUSTOMER, {"wallet_address": WALLET})
    return town


def add(town: Town, customer: str, entry: Entry, created: float) -> Transaction:
    """Write a row with a past time, as an older version or a person would have."""
    return town.stripe.account.add_past(town.customer(customer), [(int(created), entry)])[0]


def credit(town: Town, customer: str, paid: Payment, created: float, **metadata: str) -> Transaction:
    """Write a credit of a payment as this service does."""
    all_metadata = credit_metadata(paid, Price(paid.cents)) | metadata
    return add(town, customer, Entry(-paid.cents, "usd", credit_description(paid), all_metadata), created)


def old_order(town: Town, paid: Payment, text: str, created: float) -> Transaction:
    """Write an order of an older version, without bounds."""
    metadata = {"kind": "order", "payment": paid.identity, "order": text, "operator": ADMIN, "reason": "asked for"}
    return add(town, SERVICE, Entry(-1, "usd", f"Order by {ADMIN}: {text}", metadata), created)


async def run_audit(town: Town) -> Report:
    """Audit the town up to Stripe's last complete second."""
    await asyncio.sleep(2)
    environ = {
        "STRIPE_API_KEY": KEY,
        "PLAIN_HTTP": "on",
        "STRIPE_API_BASE": "http://stripe.test",
        "STRIPE_RATE": "100",
        "STRIPE_TOTAL_RATE": "400",
        "RPC_URLS": "http://node0.test",
        "GATEWAY_ADDRESSES": GATEWAY,
        "PRICE_API_BASE": "http://prices.test",
        "SERVICE_CUSTOMER_ID": SERVICE,
    }
    watching = ProgressReporting(ignore_progress, ignore_progress)
    auditor = Auditor(
        settings=settings.load(settings.AUDIT, environ),
        clock=LoopClock(),
        reporting=watching,
        explorer=None,
        node_transport=NodesLine(town),
        stripe_transport_factory=lambda: StripeLine(town),
    )
    async with auditor:
        return await auditor.run(Options())


async def find_exceptions(town: Town) -> list[tuple[str, str | None]]:
    """Return the exceptions of a complete audit with their customers."""
    report = await run_audit(town)
    assert report.coverage.missing == []
    return sorted((str(row.status), row.stripe_customer) for row in report.spool if row.exception)


async def run_repair(town: Town) -> tuple[int, list[str]]:
    """Apply a repair in a fresh process. Return how many steps remain and the output."""
    output: list[str] = []
    steps = Repair(await town.started(), await run_audit(town), ADMIN, output.append).plan_steps()
    return await repair(steps, output.append, apply=True), output


def count_rows(town: Town) -> int:
    """Count the rows in Stripe."""
    return sum(len(customer.rows) for customer in town.stripe.account.by_id.values())


def test_a_redirected_payment_that_its_own_customer_also_received() -> None:
    town = create_town(FIRST, SECOND)

    async def scenario() -> None:
        now = LoopClock().wall()
        credit(town, CUSTOMER, FIRST, now)
        given = old_order(town, SECOND, f"redirect:{TARGET}", now + 60)
        credit(town, TARGET, SECOND, now + 61, order=given.id)
        credit(town, CUSTOMER, SECOND, now + 7200)
        await asyncio.sleep(2 * HOUR + 60)
        assert await find_exceptions(town) == [("duplicate_credit", TARGET)]
        remaining, output = await run_repair(town)
        assert remaining == 1, "younger than an hour"
        assert "younger than an hour" in "".join(output)
        await asyncio.sleep(HOUR)
        assert (await run_repair(town))[0] == 0
        assert await find_exceptions(town) == []
        assert [row.amount for row in town.rows(CUSTOMER)] == [-5000, -5000, 5000]
        before = count_rows(town)
        assert await run_repair(town) == (0, [])
        assert count_rows(town) == before
        assert (await advanced(await town.started(), SECOND)).credited_customer == TARGET

    town.run(scenario())


def test_a_payment_that_two_epochs_credited() -> None:
    town = create_town(FIRST)

    async def scenario() -> None:
        now = LoopClock().wall()
        credit(town, CUSTOMER, FIRST, now)
        second = credit(town, CUSTOMER, FIRST, now + 26 * HOUR)
        await asyncio.sleep(60 * HOUR)
        assert await find_exceptions(town) == [("duplicate_credit", CUSTOMER)]
        remaining, output = await run_repair(town)
        assert remaining == 0, "".join(output)
        assert "waiting 30 minutes" in "".join(output), "a day later the ledger must be read twice"
        assert await find_exceptions(town) == []
        assert town.rows(CUSTOMER)[-1].metadata["reverses"] == second.id
        before = count_rows(town)
        assert await run_repair(town) == (0, [])
        assert count_rows(town) == before

    town.run(scenario())


def test_a_payment_redirected_after_its_customer_was_deleted_is_shown_until_it_is_accepted() -> None:
    town = create_town(FIRST)

    async def scenario() -> None:
        now = LoopClock().wall()
        credit(town, CUSTOMER, FIRST, now)
        town.stripe.account.delete(CUSTOMER)
        given = old_order(town, FIRST, f"redirect:{TARGET}", now + 60)
        credit(town, TARGET, FIRST, now + 61, order=given.id)
        await asyncio.sleep(2 * HOUR)
        assert await find_exceptions(town) == [("customer_gone", TARGET)]
        assert await run_repair(town) == (0, []), "only people can know"

    town.run(scenario())


def test_a_redirect_under_the_same_key_needs_no_acceptance() -> None:
    town = create_town(FIRST)

    async def scenario() -> None:
        town.stripe.account.delete(CUSTOMER)
        now = LoopClock().wall()
        bounds = {"value": "5000", "caps": "100000:100000"}
        metadata = {"kind": "order", "payment": FIRST.identity, "order": f"redirect:{TARGET}", "operator": ADMIN}
        add(town, SERVICE, Entry(-1, "usd", "Order", metadata | {"reason": "asked for"} | bounds), now)
        assert (await advanced(await town.started(), FIRST)).credited_customer == TARGET
        await asyncio.sleep(60)
        assert await find_exceptions(town) == []

    town.run(scenario())


def test_other_cents_after_a_reorg_are_corrected() -> None:
    before = structs.replace(FIRST, cents=500)
    town = create_town(FIRST)

    async def scenario() -> None:
        wrong = credit(town, CUSTOMER, before, LoopClock().wall())
        await asyncio.sleep(2 * HOUR)
        assert await find_exceptions(town) == [("amount_mismatch", CUSTOMER)]
        remaining, output = await run_repair(town)
        assert remaining == 0, "".join(output)
        assert await find_exceptions(town) == []
        rows = [(row.amount, row.metadata.get("reverses")) for row in town.rows(CUSTOMER)]
        assert rows == [(-500, None), (500, wrong.id), (-5000, None)]
        assert await run_repair(town) == (0, [])
        assert (await advanced(await town.started(), FIRST)).cents == 5000

    town.run(scenario())


def test_a_ledger_that_is_shown_empty_is_not_read_and_no_finding() -> None:
    town = create_town(FIRST)

    async def scenario() -> None:
        credit(town, CUSTOMER, FIRST, LoopClock().wall())
        await asyncio.sleep(2 * HOUR)
        path = f"/v1/customers/{CUSTOMER}/balance_transactions"
        town.stripe.faults.add(listing_ends_empty(), method="GET", template=TEMPLATE, path=path, times=None)
        report = await run_audit(town)
        assert [row.status for row in report.spool] == []
        assert [sentence for sentence in report.coverage.missing if "end with its customer's balance" in sentence]

    town.run(scenario())


def test_another_customers_own_payment_that_looks_alike_is_not_taken_back() -> None:
    own = payment(customer_id=TARGET, tx_hash=tx_hash(3), block=102)
    town = create_town(FIRST, own)

    async def scenario() -> None:
        now = LoopClock().wall()
        given = old_order(town, FIRST, f"redirect:{TARGET}", now)
        credit(town, TARGET, FIRST, now + 1, order=given.id)
        credit(town, CUSTOMER, FIRST, now + 100)
        credit(town, TARGET, own, now + 200)
        await asyncio.sleep(3 * HOUR)
        assert (await run_repair(town))[0] == 0
        assert [row.amount for row in town.rows(CUSTOMER)] == [-5000, 5000]
        assert [row.amount for row in town.rows(TARGET)] == [-5000, -5000]

    town.run(scenario())


def test_a_credit_that_was_sent_before_the_redirect_was_known_is_the_payments_credit() -> None:
    town = create_town(FIRST)

    async def scenario() -> None:
        now = LoopClock().wall()
        credit(town, CUSTOMER, FIRST, now)
        old_order(town, FIRST, f"redirect:{TARGET}", now + 30)
        await asyncio.sleep(2 * HOUR)
        assert await find_exceptions(town) == []
        assert await run_repair(town) == (0, [])

    town.run(scenario())
