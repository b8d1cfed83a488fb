"""The end of every seed: faults stop, open payments must be credited, and a new process must change nothing."""

import asyncio
from typing import TYPE_CHECKING

from stateless_billing.domain.epochs import epoch_position
from tests.simulation.plan import HOUR
from tests.simulation.replica import Replica

if TYPE_CHECKING:
    from tests.simulation.world import World

ROUNDS = 20  # proving an absence takes two readings, half an hour apart, in one epoch
ADMINS_EVERY = 4  # admins act every fourth round: their orders must be listed and read twice in between
ROUND_SECONDS = 2400


class Ending:
    """Runs the end of one world."""

    def __init__(self, world: "World") -> None:
        self.world = world

    async def play(self) -> None:
        """Stop faults and let time pass; then sweeps of a new process, and admins, must leave nothing open."""
        world = self.world
        world.calm = True
        world.nodes.down_until = -1.0
        for slot, replica in enumerate(world.replicas):
            if replica is not None:
                replica.kill()
                world.replicas[slot] = None
        world.note("world", "all faults end")
        world.grants.faults_end = int(world.unix())
        reconciling = world.replica(0) if world.plan.caps else None
        if reconciling:
            reconciling.spawn(reconciling.reconcile_forever())
        await asyncio.sleep(25.5 * HOUR)
        await self._leave_quiet_zones()
        if reconciling:
            reconciling.kill()
        await self._credit_all()
        world.oracle.left_open()
        if reconciling:
            reconciling = world.replica(0)
            reconciling.spawn(reconciling.reconcile_forever())
            await asyncio.sleep(5 * HOUR)
            reconciling.kill()
        world.grants.left_open()
        await self._again()

    async def _leave_quiet_zones(self) -> None:
        """Wait until no payment is in a quiet zone."""
        world = self.world
        for _ in range(40):
            times = int(world.unix()), int(world.unix()) + 60
            if not any(
                epoch_position(time, payment.time).in_quiet_zone
                for payment in world.oracle.uncredited()
                for time in times
            ):
                break
            await asyncio.sleep(600)

    async def _credit_all(self) -> None:
        world = self.world
        for number in range(ROUNDS):
            replica: Replica = world.replica(0)
            replica.spawn(replica.sweep(flush=True))
            await asyncio.sleep(ROUND_SECONDS / 2)
            if world.plan.admins and number % ADMINS_EVERY == 0:
                world.events.admins.finish(replica)
            await asyncio.sleep(ROUND_SECONDS / 2)
            world.stripe.finish_late_work()
            if number > 0 and not world.oracle.uncredited():
                break

    async def _again(self) -> None:
        """After Stripe dropped every key, a new process that processes everything again must not write."""
        world = self.world
        await asyncio.sleep(45 * HOUR)
        world.lies_again = world.plan.lies_again
        world.replicas[0] = None
        replica = world.replica(0)
        for _ in range(2 if world.plan.admins else 1):
            replica.spawn(replica.sweep(flush=True))
            for hash_ in world.chain.now.blocks:
                replica.spawn(replica.claim(hash_))
            await asyncio.sleep(120)
            if world.plan.admins:
                await asyncio.sleep(ROUND_SECONDS)
        world.oracle.finished()
