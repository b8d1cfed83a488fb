"""What customers have open in the service record: no value there, and no node, lets a payment be forgotten."""

import asyncio
from typing import Any

import httpx
import pytest

from chain.payment import Payment
from stateless_billing.bookkeeping import records
from stateless_billing.bookkeeping.records import OpenCustomer
from tests.chain.fake_node import FakeNode
from tests.fakes.factories import CHAIN_ID, CUSTOMER, payment, tx_hash
from tests.fakes.in_process_service import NOW_BLOCK, SERVICE, SHORT, UPDATES, Town, sweeping
from tests.sweep.test_checkpoint import own, read_checkpoint

RECORD = {"stateless_billing": "service", "grants": "cus_Grants"}
SWEPT = f"swept:{CHAIN_ID}:{SHORT}"
OPEN = f"open:{CHAIN_ID}:{SHORT}:"


def of(customer_id: str, sequence: int, block: int, **changes: Any) -> Payment:
    """A payment of a customer, the only one of its block."""
    return payment(customer_id=customer_id, sequence=sequence, block=block, tx_hash=tx_hash(block), **changes)


def open_keys(town: Town) -> dict[str, str]:
    """The `open` keys of the service record."""
    metadata = town.customer(SERVICE).contact.metadata
    return {name.removeprefix(OPEN): value for name, value in metadata.items() if name.startswith(OPEN)}


def swept(town: Town) -> str | None:
    """The `swept` index of the service record."""
    return town.customer(SERVICE).contact.metadata.get(SWEPT)


def test_of_two_customers_with_one_key_the_second_holds_up_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_open_customer_digits", lambda customer_id: "0123abcd")
    payments = [of("cus_One", 0, 100), of("cus_Two", 0, 101), of("cus_Three", 0, 102)]
    town = Town(payments, strangers=["cus_One", "cus_Two"])

    async def scenario() -> None:
        await (await town.started()).sweeper.run_once(force=True)
        assert (swept(town), open_keys(town)) == ("1", {"0123abcd": "cus_One:0:customer_invalid"})
        assert town.rows("cus_Three")
        for customer_id in ("cus_One", "cus_Two"):
            town.add(customer_id)
        await (await town.started()).sweeper.run_once(force=True)
        assert (swept(town), open_keys(town)) == ("3", {})
        assert town.rows("cus_One")
        assert town.rows("cus_Two")

    town.run(scenario())


def test_an_index_of_an_earlier_version_stays_one_while_its_customers_key_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "_open_customer_digits", lambda customer_id: "0123abcd")
    payments = [of("cus_One", 0, 100), of("cus_Two", 0, 101)]
    town = Town(payments, strangers=["cus_One", "cus_Two"])

    async def scenario() -> None:
        town.set_metadata(SERVICE, RECORD | {SWEPT: "2", f"{OPEN}0": "stripe_down", f"{OPEN}1": "stripe_down"})
        await (await town.started()).sweeper.run_once(force=True)
        assert open_keys(town) == {"0123abcd": "cus_One:0:customer_invalid", "1": "customer_invalid"}
        for customer_id in ("cus_One", "cus_Two"):
            town.add(customer_id)
        await (await town.started()).sweeper.run_once(force=True)
        assert (swept(town), open_keys(town)) == ("2", {})
        assert town.rows("cus_One")
        assert town.rows("cus_Two")

    town.run(scenario())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("0123abcd", "cus_One:0"),
        ("0123abcd", "paid by hand"),
        ("0123abcd", "cus_One:-1:over_limit"),
        ("0123abcd", "cus_One:0:over limit"),
        ("12345678", "see ticket"),  # eight digits of a hash, or an index that is not behind `swept`
        ("2", "over_limit"),
        ("", "over_limit"),
    ],
)
def test_an_open_key_that_cannot_be_read_makes_all_payments_looked_at_again(key: str, value: str) -> None:
    town = Town([of("cus_One", 0, 100), of("cus_Two", 0, 101)])

    async def scenario() -> None:
        town.set_metadata(SERVICE, RECORD | {SWEPT: "2", OPEN + key: value})
        await (await town.started()).sweeper.run_once(force=True)
        assert (swept(town), open_keys(town)) == ("2", {})
        assert town.rows("cus_One")
        assert town.rows("cus_Two")

    town.run(scenario())


def test_of_two_keys_of_one_customer_the_lower_sequence_counts() -> None:
    town = Town([of("cus_One", sequence, 100 + sequence) for sequence in range(3)])

    async def scenario() -> None:
        keys = {f"{OPEN}0123abcd": "cus_One:0:currency", f"{OPEN}abcd0123": "cus_One:2:currency"}
        town.set_metadata(SERVICE, RECORD | {SWEPT: "3"} | keys)
        await (await town.started()).sweeper.run_once(force=True)
        assert (len(town.rows("cus_One")), open_keys(town)) == (3, {})

    town.run(scenario())


def test_one_node_that_hides_open_payments_does_not_close_them() -> None:
    """It counts one payment of the customer less, so that its entry would end before the last open one."""
    payments = [of("cus_One", 0, 100), of("cus_One", 1, 101), of("cus_Two", 0, 102)]
    town = Town(payments)
    town.nodes = [FakeNode([payments[0], payments[2]]), FakeNode(payments)]

    async def scenario() -> None:
        entry = {records.open_customer_key(town.process().gateways[0], "cus_One"): "cus_One:0:stripe_down"}
        town.set_metadata(SERVICE, RECORD | {SWEPT: "3"} | entry)
        town.nodes[0].lies["totalPayments"] = lambda _: 3
        town.nodes[0].lies["paymentBlocks"] = lambda _: [102]
        services = await town.started()
        await services.sweeper.run_once(force=True)
        assert list(open_keys(town).values()) == ["cus_One:0:stripe_down"]
        town.nodes[0].lies.clear()
        town.nodes[0].payments = payments
        await sweeping(services, 4 * 60)
        assert (swept(town), open_keys(town), len(town.rows("cus_One"))) == ("3", {}, 2)

    town.run(scenario())


def test_a_key_of_payments_that_are_not_behind_swept_yet_does_not_stop_the_sweep() -> None:
    """`swept` waited for an earlier payment when the later one was left open."""
    payments = [of("cus_One", 0, 100), of("cus_Two", 0, 101), of("cus_Two", 1, 102), of("cus_Two", 2, 103)]
    payments += [of("cus_One", 1, 104)]
    town = Town(payments)
    town.nodes.append(FakeNode(payments))

    async def scenario() -> None:
        gateway = town.process().gateways[0]
        entries = {
            records.open_customer_key(gateway, "cus_One"): "cus_One:0:stripe_down",
            records.open_customer_key(gateway, "cus_Two"): "cus_Two:2:stripe_down",
        }
        town.set_metadata(SERVICE, RECORD | {SWEPT: "1"} | entries)
        services = await town.started()
        await sweeping(services, 4 * 60)
        assert (swept(town), open_keys(town)) == ("5", {})
        assert (len(town.rows("cus_One")), len(town.rows("cus_Two"))) == (2, 3)

    town.run(scenario())


def test_nothing_is_closed_on_the_word_of_a_node_that_shows_swept_above_finalized() -> None:
    town = Town([of("cus_One", 0, 100), of("cus_One", 1, NOW_BLOCK - 10)])

    async def scenario() -> None:
        entry = {records.open_customer_key(town.process().gateways[0], "cus_One"): "cus_One:0:stripe_down"}
        town.set_metadata(SERVICE, RECORD | {SWEPT: "2"} | entry)
        await (await town.started()).sweeper.run_once(force=True)
        assert (swept(town), len(open_keys(town)), town.cursor("cus_One")) == ("2", 1, None)

    town.run(scenario())


def test_an_entry_adopted_during_a_reading_is_read_too() -> None:
    checkpoint = read_checkpoint(9, first_open=5)
    checkpoint.open.causes = {1: "over_limit"}
    checkpoint.adopt(1, own(1))  # while it is looked up where the entry ends
    checkpoint.begin_reading(CUSTOMER, 5, 9, 200)
    assert checkpoint.unread[CUSTOMER] == (1, 9)
    assert checkpoint.open.customers[CUSTOMER] == OpenCustomer(1, "over_limit")


def test_restarting_from_the_first_payment_cannot_roll_back_behind_that() -> None:
    checkpoint = read_checkpoint(9, first_open=5)
    checkpoint.restart()
    checkpoint.rollback()
    assert (checkpoint.swept, len(checkpoint.open)) == (0, 0)


def test_a_quoted_payment_does_not_wait_behind_plain_ones_that_are_not_final() -> None:
    """Anybody may send the minimum for a wallet; these payments wait for finality, its owner's quoted one does not."""
    dust = [of("cus_One", sequence, NOW_BLOCK - 100 + sequence, cents=0) for sequence in range(70)]
    town = Town([*dust, of("cus_One", 70, NOW_BLOCK - 20)])

    async def scenario() -> None:
        await sweeping(await town.started(), 30, busy=3)
        assert [row.metadata["sequence"] for row in town.rows("cus_One")] == ["70"]

    town.run(scenario())


def test_a_failing_round_is_not_repeated_at_once_while_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town([of("cus_One", 0, 100)])

    async def scenario() -> None:
        services = await town.started()
        rounds = 0

        async def fail(*arguments: object, **options: object) -> None:
            nonlocal rounds
            rounds += 1
            raise ValueError

        monkeypatch.setattr(services.sweeper, "_round", fail)
        services.sweeper._tasks._tasks[("", "")] = asyncio.create_task(asyncio.sleep(1_000))
        await sweeping(services, 60, busy=3)
        assert rounds <= 21

    town.run(scenario())


def test_a_key_written_by_an_unanswered_request_is_removed_later() -> None:
    town = Town([of("cus_One", 0, 100), of("cus_Two", 0, 101)], strangers=["cus_One"])

    async def scenario() -> None:
        services = await town.started()
        town.meddle = lose_answers
        await services.sweeper.run_once(force=True)
        town.meddle = lambda _: None
        await town_applies(town, services.records)
        assert len(open_keys(town)) == 1
        town.add("cus_One")
        await sweeping(services, 32 * 3600, busy=600, idle=600)
        assert (swept(town), open_keys(town)) == ("2", {})

    def lose_answers(request: httpx.Request) -> None:
        if request.method == "POST" and request.url.path.endswith(SERVICE):
            raise httpx.ReadError("the connection closed")

    async def town_applies(town: Town, service_records: records.ServiceRecords) -> None:
        """Stripe executed the request whose answer was lost."""
        gateway = town.process().gateways[0]
        key = records.open_customer_key(gateway, "cus_One")
        await service_records.update({SWEPT: "2", key: "cus_One:0:customer_invalid"})

    town.run(scenario())
    assert town.stripe.log.counts[UPDATES]


def test_disagreement_ends_the_work_that_relies_on_it() -> None:
    town = Town([of("cus_One", 0, 100)])

    async def scenario() -> None:
        services = await town.started()
        work = asyncio.create_task(asyncio.sleep(1_000))
        services.sweeper._tasks._tasks[("", "")] = work
        work.add_done_callback(lambda _: services.sweeper._tasks._tasks.clear())
        checkpoint = services.sweeper._checkpoints[0]
        checkpoint.swept = 1
        await services.sweeper._roll_back(checkpoint)
        assert work.cancelled()
        assert checkpoint.swept == 0

    town.run(scenario())
