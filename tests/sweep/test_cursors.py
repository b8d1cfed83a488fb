"""Cursors: they follow what a listing shows, never what is remembered, and one that does not fit stops nobody."""

import pytest

from chain.payment import Payment
from stateless_billing.sandbox.account import Entry
from tests.chain.fake_node import history
from tests.fakes.factories import WHOLE_TOKEN, payment, tx_hash
from tests.fakes.in_process_service import CREDITS, HOUR, SHORT, UPDATES, Town, sweeping

CURSOR = f"gateway:8453:{SHORT}"
FIVE = history(3, 2, customers=2)  # three of cus_Payer0, two of cus_Payer1


def of(number: int, *payments: Payment) -> list[Payment]:
    """One customer's of these."""
    return [one for one in payments if one.customer_id == f"cus_Payer{number}"]


def own(sequence: int, **changes: object) -> Payment:
    """A final payment of the one customer."""
    usual = {"sequence": sequence, "block": 100 + sequence, "tx_hash": tx_hash(sequence + 1)}
    return payment(**{**usual, **changes})


STUCK = own(0, cents=4_321)


def credited_by_hand(town: Town) -> None:
    """Somebody credited just as much as STUCK is owed, and did not say what for: it is held until that is said."""
    by_hand = Entry(-STUCK.cents, "usd", description="By hand")
    town.stripe.account.add_past(town.customer("cus_Alice1"), [(STUCK.time + HOUR, by_hand)])


def once_each(town: Town, payments: list[Payment]) -> bool:
    """Whether each payment is credited once."""
    rows = [row for one in {one.customer_id or "" for one in payments} for row in town.rows(one)]
    return sorted(row.metadata["payment"] for row in rows if row.metadata) == sorted(one.identity for one in payments)


@pytest.mark.parametrize(
    "cursor",
    [
        f"9:{FIVE[0].tx_hash}",  # ahead of the contract
        f"3:{FIVE[0].tx_hash}",  # names another payment than the one before it
        f"999999999999999999:{FIVE[0].tx_hash}",
        "nonsense",
        f"0:{FIVE[0].tx_hash}",
    ],
)
def test_a_cursor_that_does_not_fit_counts_as_absent_and_stops_nobody(cursor: str) -> None:
    town = Town(FIVE)
    town.set_metadata("cus_Payer0", {CURSOR: cursor})

    async def scenario() -> None:
        services = await town.started()
        assert (await services.sweeper.run_once(force=True)).complete
        assert once_each(town, FIVE)
        last = of(0, *FIVE)[-1]
        assert (town.cursor("cus_Payer0"), town.record()) == (f"3:{last.tx_hash}", ("5", {}))
        assert town.cursor("cus_Payer1") == f"2:{of(1, *FIVE)[-1].tx_hash}"

    town.run(scenario())


def test_a_cursor_in_capitals_covers_what_it_says() -> None:
    town = Town(FIVE)
    last = of(0, *FIVE)[-1]
    town.set_metadata("cus_Payer0", {CURSOR: f"3:{last.tx_hash.upper()}"})

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        assert town.rows("cus_Payer0") == []  # it says that they are credited
        assert town.record() == ("5", {})

    town.run(scenario())


def test_a_refused_cursor_lets_the_sweep_pass_and_is_tried_again_with_back_off() -> None:
    town = Town([own(0)])
    full = {f"key{number}": "x" for number in range(50)}
    town.set_metadata("cus_Alice1", full)

    def tries() -> int:
        return sum(row.endpoint == UPDATES and "cus_Alice1" in row.path for row in town.stripe.log.rows)

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        assert (town.record(), tries(), town.cursor("cus_Alice1")) == (("1", {}), 1, None)
        for sequence in range(1, 31):  # a payment every half a minute
            town.nodes[0].payments.append(own(sequence))
            await sweeping(services, 30)
        assert once_each(town, [own(sequence) for sequence in range(31)])
        assert 3 <= tries() <= 5
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
        assert (town.record(), town.cursor("cus_Alice1")) == (("3", {0: "ledger_altered"}), None)
        assert once_each(town, [own(2)])
        if lost:
            town.set_metadata("cus_Service", {"stateless_billing": "service", "grants": "cus_Grants"})
        second = await town.started(OTHER_CREDITS="^By hand")  # somebody says what it was
        await second.sweeper.run_once(force=True)
        assert once_each(town, [STUCK, own(2)])
        assert town.record() == ("3", {})
        town.nodes[0].payments.append(own(3))
        third = await town.started(OTHER_CREDITS="^By hand")
        await third.sweeper.run_once(force=True)
        assert (town.record(), town.cursor("cus_Alice1")) == (("4", {}), f"4:{own(3).tx_hash}")

    town.run(scenario())


def test_a_listing_that_lags_makes_a_credit_forgotten_and_never_doubled() -> None:
    town = Town([own(0), own(1)])
    town.stripe.list_lag = 1_500

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        assert once_each(town, [own(0), own(1)])
        assert (town.record(), town.cursor("cus_Alice1")) == ((None, {}), None)  # no listing shows them
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


def test_a_cursor_waits_at_the_first_payment_that_is_not_credited() -> None:
    town = Town([own(0), own(1, cents=4_321), own(2)])
    credited_by_hand(town)

    async def scenario() -> None:
        services = await town.started()
        await services.sweeper.run_once(force=True)
        assert once_each(town, [own(0), own(2)])
        assert (town.record(), town.cursor("cus_Alice1")) == (("3", {1: "ledger_altered"}), f"1:{own(0).tx_hash}")

    town.run(scenario())
