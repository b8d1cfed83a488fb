"""The end of every seed: faults cease, what is open must be credited, and a new process must change nothing."""

import asyncio
from typing import TYPE_CHECKING

from stateless_billing.domain.epochs import epoch_position
from tests.simulation.plan import HOUR
from tests.simulation.replica import Replica

if TYPE_CHECKING:
    from tests.simulation.world import World

ROUNDS = 20  # a ledger must tell an absence twice, half an hour apart, in one epoch
ADMINS_EVERY = 4  # admins act in every fourth round: what they ordered must be listed and told first
ROUND_SECONDS = 2400


class Ending:
    """Plays the end of one world."""

    def __init__(self, world: "World") -> None:
        self.world = world

    async def play(self) -> None:
        """Faults end and time passes; then the sweeps of one new process, and admins, must leave nothing open."""
        world = self.world
        world.calm = True
        world.nodes.down_until = -1.0
        for slot, found in enumerate(world.replicas):
            if found is not None:
                found.kill()
                world.replicas[slot] = None
        world.note("world", "all faults end")
        world.grants.faults_end = int(world.unix())
        looking = world.replica(0) if world.plan.caps else None
        if looking:
            looking.spawn(looking.forever_looking())
        await asyncio.sleep(25.5 * HOUR)
        await self._leave_borders()
        if looking:
            looking.kill()
        await self._credit_all()
        world.oracle.left_open()
        if looking:
            looking = world.replica(0)
            looking.spawn(looking.forever_looking())
            await asyncio.sleep(5 * HOUR)
            looking.kill()
        world.grants.left_open()
        await self._again()

    async def _leave_borders(self) -> None:
        """Wait until no payment is near a border between two keys."""
        world = self.world
        for _ in range(40):
            times = int(world.unix()), int(world.unix()) + 60
            if not any(
                epoch_position(time, one.time).in_quiet_zone for one in world.oracle.uncredited() for time in times
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
            world.stripe.settle()
            if number > 0 and not world.oracle.uncredited():
                break

    async def _again(self) -> None:
        """When every key is forgotten, a new process that sees everything again must not write anything."""
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
