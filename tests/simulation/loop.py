"""An asyncio loop with virtual time and seeded order, which can suspend or kill simulated processes.

Every step carries its process in a context variable. The loop defers the steps of a sleeping process until it wakes,
and those of a dead process forever.
"""

import asyncio
import contextvars
import heapq
import inspect
import random
from collections.abc import Callable, Coroutine
from typing import Any


class Process:
    """A simulated machine. `fuse` counts down with its steps; at zero the loop calls `blow`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.asleep = False
        self.deferred: list[Any] = []
        self.fuse = 0
        self.blow: Callable[[], None] = lambda: None
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, self)


PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class SeededLoop(asyncio.BaseEventLoop):
    """Runs one ready step at a time, chosen by `rng`; if none is ready, time jumps to the next timer."""

    _ready: Any
    _scheduled: Any
    _asyncgens: Any
    _asyncgens_shutdown_called: bool

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._now = 0.0
        self._random = rng.random
        self.steps = 0
        self.tasks: list[asyncio.Task[Any]] = []
        self.set_exception_handler(lambda loop, context: None)

    def time(self) -> float:
        """Seconds since the start of the simulation."""
        return self._now

    def start(self, work: Coroutine[Any, Any, Any], context: contextvars.Context) -> asyncio.Task[Any]:
        """Start a task in the given context. Keep it, so that it is not garbage-collected before the end."""
        task = self.create_task(work, context=context)
        self.tasks.append(task)
        return task

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        """Close an abandoned generator as asyncio does, unless the loop has ended and could not run the close."""
        if self._asyncgens_shutdown_called:
            self._asyncgens.discard(agen)
        else:
            super()._asyncgen_finalizer_hook(agen)  # type: ignore[misc]

    def _write_to_self(self) -> None:
        """There is no selector to wake."""

    def _process_events(self, event_list: Any) -> None:
        """There are no sockets."""

    def _run_once(self) -> None:
        ready, timers = self._ready, self._scheduled
        while timers and (timers[0]._cancelled or timers[0]._when <= self._now):
            timer = heapq.heappop(timers)
            timer._scheduled = False
            if not timer._cancelled:
                ready.append(timer)
        if not ready:
            if not timers:
                raise RuntimeError("deadlock: no step is ready and no timer is scheduled")
            self._now = timers[0]._when
            return
        if len(ready) > 1:
            ready.rotate(-int(self._random() * len(ready)))
        handle = ready.popleft()
        if not handle._cancelled and self._may_run(handle):
            self.steps += 1
            handle._run()

    def _may_run(self, handle: Any) -> bool:
        process: Process | None = handle._context.get(PROCESS)
        if process is None:
            return True
        if process.fuse and not process.asleep:
            process.fuse -= 1
            if not process.fuse:
                process.blow()
        if process.dead or process.asleep:
            process.deferred.append(handle)
            return False
        return True

    def wake(self, process: Process, stood_still: float = 0.0) -> None:
        """Resume a process with the steps that were due while it slept.

        Suspending a machine stops the clock of its timers, which delays them by `stood_still`.
        """
        process.asleep = False
        deferred, process.deferred = process.deferred, []
        for handle in deferred:
            if isinstance(handle, asyncio.TimerHandle) and handle.when() + stood_still > self._now:
                self._scheduled.append(handle)
            else:
                self._ready.append(handle)
        if stood_still:
            for timer in self._scheduled:
                if timer._context.get(PROCESS) is process:
                    timer._when += stood_still
                    timer._scheduled = True
            heapq.heapify(self._scheduled)

    def run_while(self, process: Process) -> None:
        """Run all others while `process` sleeps in the middle of one of its steps.

        Raises: CancelledError if it is killed meanwhile, so that the step does not continue.
        """
        task = asyncio.current_task(self)
        if task:
            asyncio.tasks._leave_task(self, task)
        try:
            while process.asleep and not process.dead:
                self._run_once()
        finally:
            if task:
                asyncio.tasks._enter_task(self, task)
        if process.dead:
            raise asyncio.CancelledError

    def finish(self) -> None:
        """End every task, including those of dead processes, so that nothing remains for the garbage collector."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        for _ in range(20):
            unfinished = [task for task in asyncio.all_tasks(self) if not task.done()]
            if not unfinished:
                break
            self.run_until_complete(asyncio.wait(unfinished, timeout=60))
        self.run_until_complete(self.shutdown_asyncgens())
        self.run_until_complete(asyncio.sleep(1))  # lets earlier finalizers run
        for task in self.tasks:
            if task.done() and not task.cancelled():
                task.exception()
            work: Any = task.get_coro()
            if inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
                work.close()
        self.close()
