"""Kills and stops processes of the service, the node and the Stripe stand-in at random, until told to end."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

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
        self._thread = threading.Thread(target=self._rage)

    def __enter__(self) -> "Monkey":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def url(self) -> str:
        """Any of the services; it may be dead."""
        return self.processes[self._random.randrange(3)].url

    def restart_all(self) -> None:
        """End the attack with everything started anew."""
        for place, start in enumerate(self._starts):
            self._replace(place, start)

    def _rage(self) -> None:
        while not self._ended.wait(TURN):
            dice = self._random.random()
            if dice < 0.5:
                place = self._random.randrange(len(self.processes))
                self._replace(place, self._starts[place])
                self.counts["kills"] += 1
            elif dice < 0.8:
                self._stop(self._random.choice(self.processes).process.pid, self._random.uniform(1, 4), group=False)
                self.counts["stops"] += 1
            elif dice < 0.87:
                self._stop(self._stack.sandbox_pid, OUTAGE, group=False)
                self.counts["stripe_away"] += 1
            elif dice < 0.94:
                self._stop(self._stack.chain.process.pid, OUTAGE, group=True)
                self.counts["node_away"] += 1

    def _replace(self, place: int, start: Callable[[], Service]) -> None:
        self.processes[place].kill()
        self.dead.append(self.processes[place])
        for _ in range(START_TRIES):
            try:
                self.processes[place] = start()
            except RuntimeError:  # it found Stripe or the node away, and said so: again, as its platform would
                self.counts["starts_refused"] += 1
            else:
                return

    @staticmethod
    def _stop(pid: int, seconds: float, *, group: bool) -> None:
        send = os.killpg if group else os.kill
        send(pid, signal.SIGSTOP)
        time.sleep(seconds)
        send(pid, signal.SIGCONT)
