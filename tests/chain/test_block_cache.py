"""Blocks are read once while they stay on the chain, and a reading with them is never another than one without."""

import asyncio
from collections.abc import Callable
from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chain.gateway import Gateway
from chain.payment import Payment
from chain.payment_index import BlockCache, PaymentIndex
from tests.chain.fake_node import FakeNode, history
from tests.fakes.factories import CHAIN_ID, GATEWAY, block
from tests.fakes.virtual_time import VirtualLoop, run_virtually

WHOLE = list(enumerate(history(2, 1, 3)))


class Forking(FakeNode):
    """A node whose chain is another one from some block on, as often as a test likes."""

    def __init__(self, payments: list[Payment]) -> None:
        super().__init__(payments)
        self.forks: dict[int, int] = {}
        self.before_logs: Callable[[], None] = lambda: None
        self.lies["eth_getBlockByNumber"] = lambda raw: raw | {"hash": self.hash(int(raw["number"], 16))}

    def hash(self, number: int) -> str:
        """A block's hash: it names every fork at or below it."""
        below = repr([(at, times) for at, times in sorted(self.forks.items()) if at <= number])
        return f"0xbb{number:030x}{sha256(below.encode()).hexdigest()[:32]}"

    def fork(self, number: int) -> None:
        """Another chain from this block on, with the same payments paid in other amounts."""
        self.forks[number] = self.forks.get(number, 0) + 1
        moved = [
            replace(payment, block_hash=self.hash(payment.block), amount=payment.amount + (payment.block >= number))
            for payment in self.payments
        ]
        self.payments = moved

    def _eth_getLogs(self, wanted: dict[str, object]) -> list[dict[str, object]]:  # noqa: N802
        shown = super()._eth_getLogs(wanted)
        self.before_logs()
        return shown


def blocks_read(node: FakeNode) -> int:
    """How many blocks' logs were read since the last time."""
    count = node.asked.count("eth_getLogs")
    node.asked.clear()
    return count


def test_what_is_still_on_the_chain_is_read_once() -> None:
    async def main() -> None:
        node = FakeNode(history(2, 1, 3))
        gateway = Gateway(node, CHAIN_ID, GATEWAY)
        assert (await gateway._read_window(0, 6)).payments == WHOLE
        assert blocks_read(node) == 3
        assert (await gateway._read_window(0, 6)).payments == WHOLE
        assert node.asked.count("eth_getBlockByNumber") == 1, "the newest vouches for all"
        assert blocks_read(node) == 0
        node.payments = history(2, 1, 3, 1)
        assert (await gateway.payments_above(102)).payments[-1][1].block == 106
        assert blocks_read(node) == 1
        await gateway.bound_to(node)._read_window(0, 7)
        assert blocks_read(node) == 4, "what another one showed is not asked"

    run_virtually(main())


def test_after_a_while_it_is_read_again_since_the_node_may_have_lied() -> None:
    async def main() -> None:
        node = FakeNode(history(2, 1, 3))
        gateway = Gateway(node, CHAIN_ID, GATEWAY)
        node.lies["eth_getLogs"] = lambda logs: [
            log | {"data": log["data"][:130] + f"{1:064x}" + log["data"][194:]} for log in logs
        ]
        lied = (await gateway._read_window(0, 6)).payments
        del node.lies["eth_getLogs"]
        assert (await gateway._read_window(0, 6)).payments == lied != WHOLE
        await asyncio.sleep(901)
        assert (await gateway._read_window(0, 6)).payments == WHOLE

    run_virtually(main())


def test_a_reorganisation_while_it_is_read_keeps_nothing() -> None:
    async def main() -> None:
        node = Forking(history(1, 1, 1))
        node.fork(100)
        gateway = Gateway(node, CHAIN_ID, GATEWAY)

        def once() -> None:
            node.before_logs = lambda: None
            node.fork(100)

        node.before_logs = once
        await gateway._read_window(0, 3)
        blocks_read(node)
        shown = await gateway._read_window(0, 3)
        assert blocks_read(node) == 3
        assert [payment for _, payment in shown.payments] == node.payments

    run_virtually(main())


def test_a_reading_that_ends_after_another_one_changed_it_keeps_nothing() -> None:
    async def main() -> None:
        first, second = history(1, 1)
        cache = BlockCache()
        begun = cache.generation
        cache.forget()
        cache.store({100: [first]}, begun)
        assert cache.recent([100]) == {}
        cache.store({100: [first]}, cache.generation)
        assert cache.recent([100, 102]) == {100: [first]}
        cache.store({102: [second]}, begun)
        assert cache.recent([100, 102]) == {100: [first]}

    run_virtually(main())


def test_a_cached_block_of_which_the_contract_counts_more_is_read_again() -> None:
    async def main() -> None:
        made = history(2)
        node = FakeNode(made)
        gateway = Gateway(node, CHAIN_ID, GATEWAY)
        gateway.block_caches[node].store({made[0].block: made[:1]}, 0)
        assert [payment for _, payment in (await gateway.payments_above(99)).payments] == made

    run_virtually(main())


def test_the_anchor_is_of_the_newest_block_that_is_left() -> None:
    """Also after the newest was forgotten, or ran out before the others; an older block does not replace it."""

    async def main() -> None:
        old, middle, new = history(1, 1, 1)
        cache = BlockCache()
        assert cache.anchor() is None
        cache.store({104: [new]}, cache.generation)
        await asyncio.sleep(600)
        cache.store({100: [old], 102: [middle]}, cache.generation)
        assert cache.anchor() == new
        await asyncio.sleep(600)
        assert cache.anchor() == middle
        cache.forget(102)
        assert cache.anchor() == old
        cache.store({104: [new]}, cache.generation)
        assert cache.anchor() == new
        cache.forget()
        assert cache.anchor() is None
        cache.store({102: [middle]}, cache.generation)
        assert cache.anchor() == middle

    run_virtually(main())


class CountingLoop(VirtualLoop):
    """Counts how often somebody asks for the time."""

    asked = 0

    def time(self) -> float:
        """Return the seconds of the virtual clock."""
        self.asked += 1
        return super().time()


def test_the_anchor_costs_the_same_however_many_blocks_are_cached() -> None:
    """The cache asks for the time once for each block that it looks at."""

    async def main() -> None:
        looks = []
        for size in (10, 1_000):
            cache = BlockCache()
            cache.store({paid.block: [paid] for paid in history(*[1] * size)}, cache.generation)
            before = loop.asked
            assert cache.anchor()
            looks.append(loop.asked - before)
        assert looks[0] == looks[1] > 0

    loop = CountingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())


STEPS = st.lists(
    st.tuples(st.sampled_from(["fork", "read", "above", "pay", "wait"]), st.integers(0, 11)), min_size=2, max_size=30
)


@settings(max_examples=150)
@given(STEPS)
def test_whatever_happens_it_tells_what_the_chain_shows_now(steps: list[tuple[str, int]]) -> None:
    async def main() -> None:
        node = Forking(history(1, 2))
        node.fork(1)
        gateway = Gateway(node, CHAIN_ID, GATEWAY)
        for step, number in steps:
            if step == "fork":
                node.fork(100 + number)
            elif step == "pay":
                new = history(*[1] * 12)[number % 12]
                last = node.payments[-1]
                paid = replace(
                    new,
                    block=last.block + 1 + number % 3,
                    sequence=sum(payment.customer_id == new.customer_id for payment in node.payments),
                )
                node.payments.append(replace(paid, block_hash=node.hash(paid.block), time=block(paid.block).time))
            elif step == "wait":
                await asyncio.sleep(number * 20)
            else:
                fresh = PaymentIndex(node, CHAIN_ID, GATEWAY)
                total = len(node.payments)
                if step == "read":
                    start = number % total
                    window = await gateway._read_window(start, total)
                    assert window.payments == await fresh.window(start, total)
                else:
                    above = await fresh.read_entries(await fresh.blocks_above(95 + number))
                    assert (await gateway.payments_above(95 + number)).payments == above

    run_virtually(main())


def test_a_customers_payments_come_from_cached_blocks_that_are_still_on_the_chain() -> None:
    async def main() -> None:
        made = history(2, 2, 2, 2, customers=1)
        node = Forking(made)
        node.fork(0)
        made = node.payments
        gateway = Gateway(node, CHAIN_ID, GATEWAY)
        await gateway.payments_above(99)
        blocks_read(node)
        assert await gateway.payments_of("cus_Payer0", 0, 8) == made
        assert blocks_read(node) == 0
        assert await gateway.payments_of("cus_Payer0", 0, 8, verify_receipts=True) == made
        assert blocks_read(node) == 4, "an identity that is relied on is read again"
        node.fork(102)
        assert await gateway.payments_of("cus_Payer0", 0, 8) == node.payments != made
        assert blocks_read(node) == 4

    run_virtually(main())
