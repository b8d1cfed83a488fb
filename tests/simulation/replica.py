"""One simulated process of the service: the production objects, its clocks, and its faults."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

from chain.errors import ChainError
from stateless_billing.bookkeeping.records import NotOurAccount
from stateless_billing.domain.errors import ProblemError, StartupRefused
from stateless_billing.grants.entries import GrantRequest
from stateless_billing.grants.grant_ledger import Grant
from stateless_billing.operators.roster import Operator
from stateless_billing.services.container import Services
from stateless_billing.stripe.errors import StripeFailure
from tests.simulation.chain import START
from tests.simulation.line import StripeLine
from tests.simulation.loop import Process

if TYPE_CHECKING:
    from tests.simulation.world import World


class ReplicaClock:
    """A machine's clocks: the wall clock is off by `skew`, and both lag by what they missed during sleep."""

    def __init__(self, world: "World", skew: float) -> None:
        self._world = world
        self.skew = skew
        self.wall_missed = 0.0
        self.boot_missed = 0.0
        self.read: Callable[[], None] = lambda: None

    def wall(self) -> float:
        """Unix seconds by this machine's clock."""
        self.read()
        return START + self._world.seconds() + self.skew - self.wall_missed

    def boot(self) -> float:
        """Seconds since boot by this machine's clock."""
        self.read()
        return self._world.seconds() + 1e5 - self.boot_missed


class Replica(Process):
    """A new process of one `version` of the service."""

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
        """Run a coroutine in this process. An unexpected exception is a violation."""
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
        """Start as the service does, retrying with backoff as its supervisor would."""
        pause = self.world.plan.restart_seconds
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
            pause = min(2 * pause, 60 * self.world.plan.restart_seconds)

    async def sweep(self, *, flush: bool = False) -> None:
        """Sweep once; a process never runs two sweeps concurrently."""
        await self.ready.wait()
        if self._sweeping:
            return
        self._sweeping = True
        try:
            await self.services.sweeper.run_once(force=flush)
        finally:
            self._sweeping = False

    async def forever(self) -> None:
        """Sweep as the service does, at long intervals; skip other sweeps of this process."""
        await self.ready.wait()
        self._sweeping = True
        await self.services.sweeper.run(4000, 9000)

    async def claim(self, tx_hash: str, *, credit: bool = True) -> None:
        """Claim an EVM transaction like a browser."""
        await self.ready.wait()
        claims = self.services.claims
        answer = await (claims.claim(tx_hash) if credit else claims.status(tx_hash))
        payments = [(payment.state, payment.cause, payment.sequence) for payment in answer.payments]
        self.world.note(self.name, f"claim {tx_hash[:8]}: {answer.state} {payments}")

    async def give(self, request: GrantRequest) -> None:
        """Submit a grant form."""
        await self.ready.wait()
        with self._refused():
            self._note_grant(await self.services.grants.give(request, confirm_duplicate=True))

    async def undo(self, reservation: str, operator: Operator) -> None:
        """Reverse a grant."""
        await self.ready.wait()
        with self._refused():
            self._note_grant(await self.services.grants.undo(reservation, operator, "mistake"))

    async def reconcile(self) -> None:
        """Reconcile the grants once."""
        await self.ready.wait()
        for grant in await self.services.grants.ledger.reconcile():
            self._note_grant(grant)

    async def reconcile_forever(self) -> None:
        """Reconcile the grants as the service does, at long intervals."""
        await self.ready.wait()
        await self.services.grants.ledger.run(600)

    @contextlib.contextmanager
    def _refused(self) -> Iterator[None]:
        try:
            yield
        except ProblemError as refusal:
            self.world.note(self.name, f"refuses: {refusal.code}")

    def _note_grant(self, grant: Grant) -> None:
        self.world.note(self.name, f"grant {grant.reservation.grant[-3:]}: {grant.state} {grant.detail}")

    async def point(self, name: str) -> None:
        """A stage of a request to Stripe. If a trap is set for it, the process sleeps or dies here.

        A trap may also fire a little later, during computation: after a number of further clock readings.
        """
        if self.trap is None or self.trap[0] not in (name, "any"):
            return
        stage, remaining, readings = self.trap
        self.trap = (stage, remaining - 1, readings) if remaining > 1 else None
        if remaining > 1:
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
        """Sleep. `missed` says whether the wall and the boot clock stop meanwhile."""
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
        suspended = any(missed) or int(seconds) % 2 == 0  # otherwise only this process was stopped
        world.loop.wake(self, seconds if suspended else 0.0)

    def _set_clock(self) -> None:
        self.clock.wall_missed = 0.0

    def disarm(self) -> None:
        """Remove all faults, so that the process can end."""
        self.dead = self.asleep = False
        self.fuse, self.trap, self._readings = 0, None, 0

    def kill(self) -> None:
        """Stop forever, in the middle of any step."""
        self.dead = True
        self.world.note(self.name, "is killed")

    def cancel(self) -> None:
        """Terminate gracefully: cancel everything in progress, then stop."""
        for task in self.work:
            task.cancel()
        self.world.note(self.name, "is terminated")
        self.world.loop.call_later(2.0, self.kill, context=self.world.context)
