"""Open streams are current within three seconds, and cost Stripe nothing and the nodes one request a second."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from chain.errors import NodeError
from chain.payment import customer_id_to_bytes32
from stateless_billing.crediting.daily_limit import DailyLimit, Remaining
from stateless_billing.payers.account_watch import WatchedAccount
from stateless_billing.payers.responses import AccountResponse
from stateless_billing.services.container import Services
from tests.fakes.factories import CUSTOMER, GATEWAY, WALLET, payment
from tests.fakes.in_process_service import NOW_BLOCK, NodesLine, Town, advanced

ORIGIN = "192.0.2.1"
MINUTE = 60


class CountedTown(Town):
    """A town that counts the requests its nodes get."""

    def __init__(self, *arguments: object, **options: str) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.node_requests: Counter[str] = Counter()

    def process(self, **environ: str) -> Services:
        """Create a process whose requests to nodes are counted."""
        services = super().process(**environ)
        for client in {provider._http for provider in services.account_watch._nodes.nodes}:
            assert isinstance(client, httpx.AsyncClient)
            client._transport = _Counting(self)
        return services


class _Counting(httpx.AsyncBaseTransport):
    def __init__(self, town: CountedTown) -> None:
        self._town = town
        self._line = NodesLine(town)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._town.node_requests["batch" if request.content.startswith(b"[") else "single"] += 1
        return await self._line.handle_async_request(request)


def wallet(number: int) -> str:
    """Return one of many wallets."""
    return f"0x{number:040x}"


def town_of(wallets: int, registered: str | None = None) -> CountedTown:
    """Create a town of customers with wallets; `registered` is the customer of every wallet on the chain."""
    town = CountedTown([])
    for number in range(1, wallets + 1):
        town.add(f"cus_Payer{number}", {"wallet_address": wallet(number)})
    town.add(CUSTOMER, {"wallet_address": WALLET})
    register(town, registered)
    return town


def register(town: Town, customer_id: str | None) -> None:
    """Register every wallet for a customer, or none."""
    value = customer_id_to_bytes32(customer_id) if customer_id else bytes(32)
    town.nodes[0].views["customerOf"] = int.from_bytes(value)


@asynccontextmanager
async def watching(services: Services, asked: str = WALLET) -> AsyncIterator[WatchedAccount]:
    """Open a page, then its stream."""
    await services.accounts.describe(asked, ORIGIN)
    async with services.account_watch.open(asked, ORIGIN, asyncio.Event()) as watched:
        yield watched


def newest_block() -> int:
    """Return the number of the newest block."""
    return NOW_BLOCK + int(asyncio.get_running_loop().time()) // 2


def shown(watched: WatchedAccount) -> AccountResponse:
    """Return the account as it is shown."""
    assert watched.response is not None
    return watched.response


def states(watched: WatchedAccount) -> list[str]:
    """Return the states shown, newest first."""
    return [paid.state for paid in shown(watched).payments]


def test_200_pages_of_40_origins_cost_one_batched_request_a_second_and_stripe_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    town = town_of(200)

    async def scenario() -> None:
        services = town.process(VISITOR_READS_PER_DAY="100000")
        async with AsyncExitStack() as pages:
            for number in range(1, 201):
                origin = f"198.51.100.{number % 40}"
                await services.accounts.describe(wallet(number), origin)
                await asyncio.sleep(1)
                await pages.enter_async_context(services.account_watch.open(wallet(number), origin, asyncio.Event()))
            await asyncio.sleep(5)
            town.node_requests.clear()
            town.stripe.log.counts.clear()
            await asyncio.sleep(10 * MINUTE)
            with capsys.disabled():
                asked = dict(town.node_requests), town.stripe.log.counts.total()
                print(f"\n200 pages, 40 origins, 600 s: requests to nodes {asked[0]}, to Stripe {asked[1]}")
            assert not town.stripe.log.counts
            assert town.node_requests.keys() == {"batch"}
            assert 590 <= town.node_requests["batch"] <= 600
        await asyncio.sleep(MINUTE)
        assert town.node_requests["batch"] <= 600, "without streams nothing is asked"

    town.run(scenario())


def test_a_payment_is_shown_within_three_seconds_and_costs_the_other_accounts_nothing() -> None:
    town = town_of(50)

    async def scenario() -> None:
        services = town.process()
        async with AsyncExitStack() as pages:
            for number in range(1, 51):
                await pages.enter_async_context(watching(services, wallet(number)))
                await asyncio.sleep(2)
            mine = await pages.enter_async_context(watching(services))
            await asyncio.sleep(3)
            town.node_requests.clear()
            town.stripe.log.counts.clear()
            town.nodes[0].payments.append(payment(block=newest_block()))
            await asyncio.sleep(3)
            assert states(mine) == ["confirming"]
            assert town.node_requests["single"] < 20
            assert not town.stripe.log.counts

    town.run(scenario())


def test_what_this_process_credits_is_shown_and_a_reading_of_stripe_is_not_caused() -> None:
    town = town_of(0)
    paid = payment(block=NOW_BLOCK - 100)

    async def scenario() -> None:
        services = town.process()
        async with watching(services) as mine:
            town.nodes[0].payments.append(paid)
            await asyncio.sleep(3)
            assert states(mine) == ["pending"]
            await advanced(services, paid)
            town.stripe.log.counts.clear()
            await asyncio.sleep(2)
            assert states(mine) == ["credited"]
            await asyncio.sleep(MINUTE)
            assert states(mine) == ["credited"]
            assert not town.stripe.log.counts

    town.run(scenario())


def test_seconds_count_up_while_a_payment_confirms_and_its_state_follows() -> None:
    town = town_of(0)

    async def scenario() -> None:
        services = town.process()
        async with watching(services) as mine:
            town.nodes[0].payments.append(payment(block=newest_block()))
            seen = []
            for _ in range(25):
                await asyncio.sleep(1)
                seen += [(paid.state, paid.confirmed) for paid in shown(mine).payments]
            assert seen[0][0] == "confirming"
            assert len({confirmed for state, confirmed in seen if state == "confirming"}) >= 4
            assert seen[-1][0] == "pending"

    town.run(scenario())


def test_a_vanished_payment_leaves_the_list() -> None:
    town = town_of(0)

    async def scenario() -> None:
        services = town.process()
        async with watching(services) as mine:
            town.nodes[0].payments.append(payment(block=newest_block(), cents=50_000))
            await asyncio.sleep(3)
            assert states(mine) == ["confirming"]
            town.nodes[0].payments.clear()
            for cache in services.account_watch._gateways[0].block_caches.values():
                cache.forget()
            await asyncio.sleep(3)
            assert states(mine) == []

    town.run(scenario())


def test_an_unknown_wallet_is_watched_alike_and_moves_when_it_is_registered() -> None:
    town = town_of(0)
    stranger = wallet(77)

    async def scenario() -> None:
        services = town.process()
        async with watching(services, stranger) as theirs:
            assert shown(theirs) == await services.accounts.describe(stranger, ORIGIN)
            assert not shown(theirs).found
            await asyncio.sleep(MINUTE)
            assert not theirs.moved
            register(town, CUSTOMER)
            await asyncio.sleep(3)
            assert theirs.moved, "only a new connection looks the customer up"

    town.run(scenario())


def test_a_registration_for_the_same_customer_is_shown() -> None:
    town = town_of(0)

    async def scenario() -> None:
        services = town.process()
        async with watching(services) as mine:
            assert not shown(mine).registered
            town.stripe.log.counts.clear()
            register(town, CUSTOMER)
            await asyncio.sleep(3)
            assert shown(mine).registered
            assert not mine.moved
            assert not town.stripe.log.counts
            register(town, "cus_Other")
            await asyncio.sleep(3)
            assert mine.moved

    town.run(scenario())


def test_connecting_again_within_an_hour_reads_stripe_not_at_all() -> None:
    town = town_of(0)

    async def scenario() -> None:
        services = town.process()
        await services.accounts.describe(WALLET, ORIGIN)
        town.stripe.log.counts.clear()
        for _ in range(10):
            await asyncio.sleep(5 * MINUTE)
            async with services.account_watch.open(WALLET, ORIGIN, asyncio.Event()):
                pass
        assert not town.stripe.log.counts

    town.run(scenario())


def test_the_maximum_recovers_when_a_payment_is_a_day_old() -> None:
    town = town_of(0)
    town.nodes[0].payments.append(payment(block=NOW_BLOCK - 3000, cents=400_000))

    async def scenario() -> None:
        services = town.process()
        await asyncio.sleep(24 * 3600 - 6000 - MINUTE)
        async with watching(services) as mine:
            assert shown(mine).maximum_cents == 100_000
            await asyncio.sleep(2 * MINUTE)
            assert shown(mine).maximum_cents == 500_000

    town.run(scenario())


def test_a_maximum_that_is_still_being_counted_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    town = town_of(0)
    unfinished = [None] * 4
    count = DailyLimit.remaining

    async def remaining(self: DailyLimit, customer_id: str, now: int, smallest_cents: int) -> Remaining | None:
        return unfinished.pop() if unfinished else await count(self, customer_id, now, smallest_cents)

    monkeypatch.setattr(DailyLimit, "remaining", remaining)

    async def scenario() -> None:
        services = town.process()
        async with watching(services) as mine:
            assert shown(mine).maximum_cents == 0
            await asyncio.sleep(10)
            assert shown(mine).maximum_cents > 0

    town.run(scenario())


def test_while_no_node_answers_it_waits_and_then_catches_up(caplog: pytest.LogCaptureFixture) -> None:
    town = town_of(0)

    def refuse(_: object) -> object:
        raise NodeError("down")

    async def scenario() -> None:
        services = town.process()
        async with watching(services) as mine:
            await asyncio.sleep(5)
            lies = town.nodes[0].lies
            lies["totalPayments"] = refuse
            town.nodes[0].payments.append(payment(block=newest_block(), gateway=GATEWAY))
            await asyncio.sleep(MINUTE)
            assert states(mine) == []
            assert [record.message for record in caplog.records if "not current" in record.message] != []
            assert len([record for record in caplog.records if "not current" in record.message]) == 1
            del lies["totalPayments"]
            await asyncio.sleep(3)
            assert len(states(mine)) == 1

    town.run(scenario())


class _SilentFirstNode(_Counting):
    """The first of two nodes shows its newest block, and never answers a batch."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "node0.test" and request.content.startswith(b"["):
            await asyncio.sleep(3600)
        return await super().handle_async_request(request)


def test_a_node_that_answers_no_batch_is_left_for_the_next() -> None:
    town = town_of(0)
    town.nodes.append(town.nodes[0])

    async def scenario() -> None:
        services = town.process()
        async with watching(services) as mine:
            await asyncio.sleep(5)
            for provider in services.account_watch._nodes.nodes:
                assert isinstance(provider._http, httpx.AsyncClient)
                provider._http._transport = _SilentFirstNode(town)
            town.nodes[0].payments.append(payment(block=newest_block(), gateway=GATEWAY))
            await asyncio.sleep(8)
            assert len(states(mine)) == 1

    town.run(scenario())


def test_a_list_of_a_node_that_is_a_block_behind_is_read_again() -> None:
    town = town_of(0)

    async def scenario() -> None:
        services = town.process()
        async with watching(services) as mine:
            await asyncio.sleep(5)
            behind = [0, 0]
            town.nodes[0].lies["paymentCount"] = lambda count: behind.pop() if behind else count
            town.nodes[0].payments.append(payment(block=newest_block(), gateway=GATEWAY))
            await asyncio.sleep(6)
            assert not behind
            assert len(states(mine)) == 1

    town.run(scenario())
