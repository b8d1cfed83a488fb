"""Kills and stops processes of the service, the node and the Stripe stand-in at random, until told to end."""

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

TURN = 1.0
OUTAGE = 4.0
START_TRIES = 10


class Monkey:
    """Three services and two sweepers under attack. `counts` tells what was done."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self._stack, self._random = stack, random.Random(seed)
        self._starts: list[Callable[[], Service]] = [lambda: stack.serve(SWEEP="off")] * 3 + [stack.sweeper] * 2
        self.processes = [start() for start in self._starts]
        self.dead: list[Service] = []
        self.counts: Counter[str] = Counter()
        self._ended = threading.Event()
        self._starting: dict[int, Future[None]] = {}  # by place: a start takes longer than a turn
        self._starters = ThreadPoolExecutor(len(self._starts))
        self._stops: list[Future[None]] = []  # who stands still holds up no kill
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
        """Any of the services; it may be dead."""
        return self.processes[self._random.randrange(3)].url

    def restart_all(self) -> None:
        """Start everything anew, once the attack is over."""
        for place in range(len(self._starts)):
            self._replace(place)
        wait(self._starting.values())

    def _rage(self) -> None:
        while not self._ended.wait(TURN):
            if there := [place for place in range(len(self.processes)) if self._is_there(place)]:
                self._replace(self._random.choice(there))
                self.counts["kills"] += 1
            dice = self._random.random()
            if dice < 0.3:
                self._stop_one(self._random.randrange(len(self.processes)))
            elif dice < 0.34:
                self._stop(self._stack.sandbox_pid, OUTAGE)
                self.counts["stripe_away"] += 1
            elif dice < 0.38:
                self._stop(self._stack.chain.process.pid, OUTAGE, group=True)
                self.counts["node_away"] += 1

    def _stop_one(self, place: int) -> None:
        process = self.processes[place].process
        if self._is_there(place) and process.poll() is None:
            self._stop(process.pid, self._random.uniform(1, 4))
            self.counts["stops"] += 1

    def _is_there(self, place: int) -> bool:
        return place not in self._starting or self._starting[place].done()

    def _replace(self, place: int) -> None:
        """Kill the process in a place and begin to start another."""
        self.processes[place].kill()
        self.dead.append(self.processes[place])
        self._starting[place] = self._starters.submit(self._start, place)

    def _start(self, place: int) -> None:
        for _ in range(START_TRIES):
            try:
                self.processes[place] = self._starts[place]()
            except RuntimeError:  # it found Stripe or the node away, and said so: again, as its platform would
                self.counts["starts_refused"] += 1
            else:
                return

    def _stop(self, pid: int, seconds: float, *, group: bool = False) -> None:
        send = os.killpg if group else os.kill

        def stand_still() -> None:
            with contextlib.suppress(ProcessLookupError):  # it was killed meanwhile
                send(pid, signal.SIGSTOP)
                time.sleep(seconds)
                send(pid, signal.SIGCONT)

        self._stops.append(self._stoppers.submit(stand_still))
