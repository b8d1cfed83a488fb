"""One simulated process of the service: the production objects, its clocks, and what can happen to a process."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

from chain.errors import ChainError
from stateless_billing.bookkeeping.records import NotOurAccount
from stateless_billing.domain.errors import ProblemError
from stateless_billing.grants.entries import GrantRequest
from stateless_billing.grants.grant_ledger import Grant
from stateless_billing.operators.roster import Operator
from stateless_billing.services.container import Services
from stateless_billing.services.startup import StartupRefused
from stateless_billing.stripe.errors import StripeFailure
from tests.simulation.chain import START
from tests.simulation.line import StripeLine
from tests.simulation.loop import Process

if TYPE_CHECKING:
    from tests.simulation.world import World


class ReplicaClock:
    """`skew` is how wrong the wall clock is; what the clocks missed while the machine slept is taken off them."""

    def __init__(self, world: "World", skew: float) -> None:
        self._world = world
        self.skew = skew
        self.wall_missed = 0.0
        self.boot_missed = 0.0
        self.read: Callable[[], None] = lambda: None

    def wall(self) -> float:
        """Unix seconds, as this machine believes."""
        self.read()
        return START + self._world.seconds() + self.skew - self.wall_missed

    def boot(self) -> float:
        """Seconds since the machine was started, as it believes."""
        self.read()
        return self._world.seconds() + 1e5 - self.boot_missed


class Replica(Process):
    """A process with empty memory, of one `version` of the service."""

    def __init__(self, world: "World", name: str, version: int, skew: float) -> None:
        super().__init__(name)
        self.world, self.version = world, version
        self.clock = ReplicaClock(world, skew)
        self.services = self.context.run(
            Services, world.settings[version], self.clock, world.nodes, lambda: StripeLine(world, self)
        )
        self.ready = asyncio.Event()
        self.trap: tuple[str, int, int] | None = None
        self.judging = False
        self._readings = 0
        self.clock.read = self._clock_read
        self._sweeping = False
        self.work: list[asyncio.Task[Any]] = []
        self.begun: list[Coroutine[Any, Any, Any]] = []

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something in this process; an exception that nobody expects is a finding."""
        self.begun.append(work)
        self.work.append(self.world.loop.start(self._guarded(work), self.context))

    async def _guarded(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except (ChainError, StripeFailure) as error:
            self.world.note(self.name, f"gave up: {type(error).__name__}")
        except Exception as error:
            if not self.world.over:
                self.world.oracle.wrong(f"{self.name} failed with {type(error).__name__}: {error}")

    async def boot(self) -> None:
        """Start as the service does, and again after a while where that fails, as its supervisor would."""
        pause = 60.0
        while True:
            try:
                if self.world.plan.whole_start:
                    await self.services.start()
                else:
                    self.services.sweeper.start(await self.services.records.load())
                if self.world.plan.caps:
                    await self.services.grants.ledger.reconcile_at_start()
            except NotOurAccount:
                self.world.coverage.hit("wrong_account")
                self.kill()
            except (StartupRefused, StripeFailure, ChainError) as error:
                self.world.note(self.name, f"does not start: {type(error).__name__}")
            else:
                self.ready.set()
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, 3600.0)

    async def sweep(self, *, flush: bool = False) -> None:
        """One sweep; a process never sweeps twice at once."""
        await self.ready.wait()
        if self._sweeping:
            return
        self._sweeping = True
        try:
            await self.services.sweeper.run_once(force=flush)
        finally:
            self._sweeping = False

    async def forever(self) -> None:
        """Sweep as the service does, at long intervals; other sweeps of this process are left out."""
        await self.ready.wait()
        self._sweeping = True
        await self.services.sweeper.run(4000, 9000)

    async def claim(self, tx_hash: str, *, credit: bool = True) -> None:
        """A claim from a browser."""
        await self.ready.wait()
        answer = await self.services.claims.of(tx_hash, credit=credit)
        told = [(one["state"], one["cause"], one["sequence"]) for one in answer["payments"]]
        self.world.note(self.name, f"claim {tx_hash[:8]}: {answer['state']} {told}")

    async def give(self, wish: GrantRequest) -> None:
        """A moderator presses a form."""
        await self.ready.wait()
        with self._refused():
            self._told(await self.services.grants.give(wish, confirm_duplicate=True))

    async def undo(self, reservation: str, operator: Operator) -> None:
        """A grant is taken back."""
        await self.ready.wait()
        with self._refused():
            self._told(await self.services.grants.undo(reservation, operator, "mistake"))

    async def look(self) -> None:
        """Somebody opens the list of grants."""
        await self.ready.wait()
        for grant in await self.services.grants.ledger.reconcile():
            self._told(grant)

    async def forever_looking(self) -> None:
        """Look whenever one is due, as the service does, at long intervals."""
        await self.ready.wait()
        await self.services.grants.ledger.run(600)

    @contextlib.contextmanager
    def _refused(self) -> Iterator[None]:
        try:
            yield
        except ProblemError as refusal:
            self.world.note(self.name, f"refuses: {refusal.code}")

    def _told(self, grant: Grant) -> None:
        self.world.note(self.name, f"grant {grant.reservation.grant[-3:]}: {grant.state} {grant.detail}")

    async def point(self, name: str) -> None:
        """A step on the way of a request to Stripe: where a trap is set for it, the process sleeps or dies here.

        Or a little later, within its own computing: when it has read its clocks so many times more.
        """
        if self.trap is None or self.trap[0] not in (name, "any"):
            return
        place, left, readings = self.trap
        self.trap = (place, left - 1, readings) if left > 1 else None
        if left > 1:
            return
        if name in ("begin_write", "before_write"):
            self.world.coverage.hit("suspended_before_write")
        if readings:
            self._readings = readings
            return
        self.blow()
        await asyncio.sleep(0)

    def _clock_read(self) -> None:
        if self._readings and not self.judging:
            self._readings -= 1
            if not self._readings and not self.asleep and not self.dead:
                self.blow()
                self.world.loop.run_while(self)

    def suspend(self, seconds: float, missed: tuple[bool, bool]) -> None:
        """Sleep; `missed` says whether wall and boot clock do not notice."""
        if self.dead or self.asleep:
            return
        self.asleep = True
        world = self.world
        world.coverage.hit("suspended")
        if seconds > 24 * 3600:
            world.coverage.hit("suspended_a_day")
        world.note(self.name, f"sleeps for {seconds / 3600:.2f} h, wall and boot clock miss it: {missed}")
        world.busy_until = max(world.busy_until, world.seconds() + seconds)
        world.loop.call_later(seconds, self._wake, seconds, missed, context=world.context)

    def _wake(self, seconds: float, missed: tuple[bool, bool]) -> None:
        if self.dead:
            return
        world = self.world
        if any(missed):
            world.coverage.hit("clocks_stood_still")
        self.clock.wall_missed += seconds if missed[0] else 0.0
        self.clock.boot_missed += seconds if missed[1] else 0.0
        if missed[0]:
            world.loop.call_later(60 + seconds % 600, self._set_clock, context=world.context)
        world.note(self.name, "wakes")
        suspended = any(missed) or int(seconds) % 2 == 0  # else only this process was stopped
        world.loop.wake(self, seconds if suspended else 0.0)

    def _set_clock(self) -> None:
        self.clock.wall_missed = 0.0

    def disarm(self) -> None:
        """Nothing happens to it any more: it may come to its end."""
        self.dead = self.asleep = False
        self.fuse, self.trap, self._readings = 0, None, 0

    def kill(self) -> None:
        """Stop for ever, in the middle of whatever it does."""
        self.dead = True
        self.world.note(self.name, "is killed")

    def cancel(self) -> None:
        """Be told to end: everything under way is cancelled, then the process is gone."""
        for task in self.work:
            task.cancel()
        self.world.note(self.name, "is told to end")
        self.world.loop.call_later(2.0, self.kill, context=self.world.context)
