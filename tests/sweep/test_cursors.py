"""Cursors advance only on listed credits, never on cached state; an unusable cursor blocks no payment."""

from typing import Any

import pytest

from chain.payment import Payment
from stateless_billing.sandbox.account import Entry
from stateless_billing.sweep.cursors import CursorUpdater
from tests.chain.fake_node import history
from tests.fakes.factories import WHOLE_TOKEN, payment, tx_hash
from tests.fakes.in_process_service import CREDITS, HOUR, SHORT, UPDATES, Town, sweeping

CURSOR = f"gateway:8453:{SHORT}"
FIVE = history(3, 2, customers=2)  # three of cus_Payer0, two of cus_Payer1


def payments_of(number: int, *payments: Payment) -> list[Payment]:
    """Those of these payments that belong to one customer."""
    return [subject for subject in payments if subject.customer_id == f"cus_Payer{number}"]


def own(sequence: int, **changes: object) -> Payment:
    """A final payment of the default customer."""
    defaults = {"sequence": sequence, "block": 100 + sequence, "tx_hash": tx_hash(sequence + 1)}
    return payment(**{**defaults, **changes})


STUCK = own(0, cents=4_321)


def credited_by_hand(town: Town) -> None:
    """Add a manual credit of the amount of STUCK without metadata, which holds STUCK until it is explained."""
    by_hand = Entry(-STUCK.cents, "usd", description="By hand")
    town.stripe.account.add_past(town.customer("cus_Alice1"), [(STUCK.time + HOUR, by_hand)])


def once_each(town: Town, payments: list[Payment]) -> bool:
    """Whether each payment is credited exactly once."""
    customer_ids = {subject.customer_id or "" for subject in payments}
    rows = [row for customer_id in customer_ids for row in town.rows(customer_id)]
    credited = sorted(row.metadata["payment"] for row in rows if row.metadata)
    return credited == sorted(subject.identity for subject in payments)


@pytest.mark.parametrize(
    "cursor",
    [
        f"9:{FIVE[0].tx_hash}",  # past the contract's payment count
        f"3:{FIVE[0].tx_hash}",  # does not name the payment before it
        f"999999999999999999:{FIVE[0].tx_hash}",
        "nonsense",
        f"0:{FIVE[0].tx_hash}",
    ],
)
def test_a_cursor_that_does_not_fit_the_chain_counts_as_absent(cursor: str) -> None:
    town = Town(FIVE)
    town.set_metadata("cus_Payer0", {CURSOR: cursor})

    async def scenario() -> None:
        services = await town.started()
        assert (await services.sweeper.run_once(force=True)).complete
        assert once_each(town, FIVE)
        last = payments_of(0, *FIVE)[-1]
        assert (town.cursor("cus_Payer0"), town.record()) == (f"3:{last.tx_hash}", ("5", {}))
        assert town.cursor("cus_Payer1") == f"2:{payments_of(1, *FIVE)[-1].tx_hash}"

    town.run(scenario())


def test_a_cursor_in_upper_case_is_accepted() -> None:
    town = Town(FIVE)
    last = payments_of(0, *FIVE)[-1]
    town.set_metadata("cus_Payer0", {CURSOR: f"3:{last.tx_hash.upper()}"})

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        assert town.rows("cus_Payer0") == []  # the cursor covers them
        assert town.record() == ("5", {})

    town.run(scenario())


def test_a_rejected_cursor_lets_the_sweep_pass_and_is_retried_with_backoff() -> None:
    town = Town([own(0)])
    full = {f"key{number}": "x" for number in range(50)}
    town.set_metadata("cus_Alice1", full)

    def cursor_writes() -> int:
        return sum(row.endpoint == UPDATES and "cus_Alice1" in row.path for row in town.stripe.log.rows)

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        assert (town.record(), cursor_writes(), town.cursor("cus_Alice1")) == (("1", {}), 1, None)
        for sequence in range(1, 31):  # a payment every 30 seconds
            town.nodes[0].payments.append(own(sequence))
            await sweeping(services, 30)
        assert once_each(town, [own(sequence) for sequence in range(31)])
        assert 3 <= cursor_writes() <= 5
        await sweeping(services, HOUR)
        await services.sweeper.run_once(force=True)
        assert town.record() == ("31", {})
        town.set_metadata("cus_Alice1", {})
        town.nodes[0].payments.append(own(31))
        await sweeping(services, 2 * HOUR)
        assert town.cursor("cus_Alice1") == f"32:{own(31).tx_hash}"

    town.run(scenario())


@pytest.mark.parametrize("lost", [False, True], ids=["record kept", "record lost"])
def test_a_payment_below_a_cent_behind_an_open_one_does_not_block_the_cursor(lost: bool) -> None:
    dust = own(1, cents=0, amount=WHOLE_TOKEN // 1_000)
    town = Town([STUCK, dust, own(2)])
    credited_by_hand(town)

    async def scenario() -> None:
        first = await town.started()
        await first.sweeper.run_once(force=True)
        assert (town.record(), town.cursor("cus_Alice1")) == (("3", {"cus_Alice1": "0:ledger_altered"}), None)
        assert once_each(town, [own(2)])
        if lost:
            town.set_metadata("cus_Service", {"stateless_billing": "service", "grants": "cus_Grants"})
        second = await town.started(OTHER_CREDITS="^By hand")  # explains the manual credit
        await second.sweeper.run_once(force=True)
        assert once_each(town, [STUCK, own(2)])
        assert town.record() == ("3", {})
        town.nodes[0].payments.append(own(3))
        third = await town.started(OTHER_CREDITS="^By hand")
        await third.sweeper.run_once(force=True)
        assert (town.record(), town.cursor("cus_Alice1")) == (("4", {}), f"4:{own(3).tx_hash}")

    town.run(scenario())


def test_a_lagging_listing_invalidates_a_credit_but_never_duplicates_it() -> None:
    town = Town([own(0), own(1)])
    town.stripe.list_lag = 1_500

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        assert once_each(town, [own(0), own(1)])
        assert (town.record(), town.cursor("cus_Alice1")) == ((None, {}), None)  # no listing shows the credits
        assert services.status_cache.credited_status(own(0)) is None
        await sweeping(services, HOUR)
        await services.sweeper.run_once(force=True)
        writes = [row for row in town.stripe.log.rows if row.endpoint == CREDITS]
        assert len(writes) > 2
        assert len({row.idempotency_key for row in writes}) == 2
        assert [row.replayed for row in writes][:2] == [False, False]
        assert all(row.replayed for row in writes[2:])
        assert once_each(town, [own(0), own(1)])
        assert (town.record(), town.cursor("cus_Alice1")) == (("2", {}), f"2:{own(1).tx_hash}")

    town.run(scenario())


def test_a_cursor_stops_at_the_first_uncredited_payment() -> None:
    town = Town([own(0), own(1, cents=4_321), own(2)])
    credited_by_hand(town)

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        assert once_each(town, [own(0), own(2)])
        assert (town.record(), town.cursor("cus_Alice1")) == (
            ("3", {"cus_Alice1": "1:ledger_altered"}),
            f"1:{own(0).tx_hash}",
        )

    town.run(scenario())


def test_a_cursor_written_past_an_uncredited_payment_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant of the test above: each slice moves the cursor to its end, whatever the listing shows."""
    original: Any = CursorUpdater._write_cursor

    async def write_cursor(self: CursorUpdater, *arguments: Any) -> None:
        *others, unverified, start, listed = arguments
        await original(self, *others, unverified, start, listed | set(unverified))

    monkeypatch.setattr(CursorUpdater, "_write_cursor", write_cursor)
    with pytest.raises(AssertionError):
        test_a_cursor_stops_at_the_first_uncredited_payment()
