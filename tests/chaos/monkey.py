"""Kills and suspends processes of the service, the node and the Stripe sandbox at random."""

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from stateless_billing.sandbox.stack import Service, Stack

TURN_SECONDS = 1.0
OUTAGE_SECONDS = 4.0
MAX_START_ATTEMPTS = 10


class Monkey:
    """Attacks three services and two sweepers. `counts` counts what it did."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self._stack, self._random = stack, random.Random(seed)
        self._starts: list[Callable[[], Service]] = [lambda: stack.serve(SWEEP="off")] * 3 + [stack.sweeper] * 2
        self.processes = [start() for start in self._starts]
        self.dead: list[Service] = []
        self.counts: Counter[str] = Counter()
        self._ended = threading.Event()
        self._starting: dict[int, Future[None]] = {}  # by slot: a start takes longer than a turn
        self._starters = ThreadPoolExecutor(len(self._starts))
        self._stops: list[Future[None]] = []  # in threads, so that a suspension does not delay a kill
        self._stoppers = ThreadPoolExecutor(8)
        self._thread = threading.Thread(target=self._rage)

    def __enter__(self) -> "Monkey":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        wait([*self._stops, *self._starting.values()])

    def url(self) -> str:
        """The URL of a random service, which may be dead."""
        return self.processes[self._random.randrange(3)].url

    def restart_all(self) -> None:
        """Restart everything after the attack."""
        for slot in range(len(self._starts)):
            self._replace(slot)
        wait(self._starting.values())

    def _rage(self) -> None:
        while not self._ended.wait(TURN_SECONDS):
            if running := [slot for slot in range(len(self.processes)) if self._is_running(slot)]:
                self._replace(self._random.choice(running))
                self.counts["kills"] += 1
            dice = self._random.random()
            if dice < 0.3:
                self._stop_one(self._random.randrange(len(self.processes)))
            elif dice < 0.34:
                self._stop(self._stack.sandbox_pid, OUTAGE_SECONDS)
                self.counts["stripe_away"] += 1
            elif dice < 0.38:
                self._stop(self._stack.chain.process.pid, OUTAGE_SECONDS, group=True)
                self.counts["node_away"] += 1

    def _stop_one(self, slot: int) -> None:
        process = self.processes[slot].process
        if self._is_running(slot) and process.poll() is None:
            self._stop(process.pid, self._random.uniform(1, 4))
            self.counts["stops"] += 1

    def _is_running(self, slot: int) -> bool:
        return slot not in self._starting or self._starting[slot].done()

    def _replace(self, slot: int) -> None:
        """Kill the process in a slot and start another in the background."""
        self.processes[slot].kill()
        self.dead.append(self.processes[slot])
        self._starting[slot] = self._starters.submit(self._start, slot)

    def _start(self, slot: int) -> None:
        for _ in range(MAX_START_ATTEMPTS):
            try:
                self.processes[slot] = self._starts[slot]()
            except RuntimeError:  # Stripe or the node was down: retry, as its platform would
                self.counts["starts_refused"] += 1
            else:
                return

    def _stop(self, pid: int, seconds: float, *, group: bool = False) -> None:
        send = os.killpg if group else os.kill

        def suspend() -> None:
            with contextlib.suppress(ProcessLookupError):  # it was killed meanwhile
                send(pid, signal.SIGSTOP)
                time.sleep(seconds)
                send(pid, signal.SIGCONT)

        self._stops.append(self._stoppers.submit(suspend))
