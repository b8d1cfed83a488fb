"""Simulates processes that share Stripe's limits, in virtual time: `python -m tests.bench.scale`.

Each process is the service's rate limiter with a model of the rest: connections, and a queue of credits of two calls
each. Stripe is the sandbox's limit of any sliding second.
"""

import argparse
import asyncio
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from stateless_billing.sandbox.answers import Refusal
from stateless_billing.sandbox.limits import RateLimits
from stateless_billing.stripe.client import MAX_CONNECTIONS
from stateless_billing.stripe.rate_limiter import Endpoint, RateLimiter
from tests.bench.figures import marked
from tests.fakes.virtual_time import run_virtually

LATENCY, JITTER = 0.15, 0.003  # of a call; the mean of what comes on top of each way
RETRY_SECONDS = 3.0  # after a 429, as a payment waits that is `pending: rate_limited`
CALLS = (Endpoint.READ_CUSTOMER, Endpoint.CREATE_ENTRY)
SEED = 1
CAPACITY = MAX_CONNECTIONS / (len(CALLS) * (LATENCY + 2 * JITTER))  # credits a second that one process can carry


@dataclass
class Stripe:
    """The account: its limits, and when each write succeeded."""

    limit: int
    chance: random.Random
    written: list[float] = field(default_factory=list)
    refused: int = 0
    calls: int = 0

    def __post_init__(self) -> None:
        self.limits = RateLimits(endpoint=self.limit, account=4 * self.limit)

    async def call(self, endpoint: Endpoint) -> str:
        """Answer after the latency; return the reason of a 429, or nothing."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(LATENCY / 2 + self.chance.expovariate(1 / JITTER))
        reason = ""
        self.calls += 1
        try:
            self.limits.admit(endpoint, loop.time(), livemode=True)
        except Refusal as refusal:
            reason = refusal.headers["Stripe-Rate-Limited-Reason"]
            self.refused += 1
        else:
            if endpoint is Endpoint.CREATE_ENTRY:
                self.written.append(loop.time())
        await asyncio.sleep(LATENCY / 2 + self.chance.expovariate(1 / JITTER))
        return reason


class Process:
    """A process: credits wait for a connection, then for the pace."""

    def __init__(self, stripe: Stripe, limiter: RateLimiter, chance: random.Random) -> None:
        self._stripe = stripe
        self._limiter = limiter
        self._chance = chance
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._tasks: set[asyncio.Task[None]] = set()

    def claim(self) -> None:
        """Credit a payment."""
        task = asyncio.create_task(self._credit())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _credit(self) -> None:
        while True:
            if await self._is_credited():
                return
            await asyncio.sleep(RETRY_SECONDS * self._chance.uniform(0.5, 1.5))

    async def _is_credited(self) -> bool:
        async with self._slots:
            await self._limiter.acquire_together(*CALLS)
            return await self._call(CALLS[0]) and await self._call(CALLS[1])

    async def _call(self, endpoint: Endpoint) -> bool:
        await self._limiter.wait_to_send(endpoint)
        if reason := await self._stripe.call(endpoint):
            self._limiter.on_rate_limited(endpoint, reason)
            return False
        self._limiter.on_success(endpoint)
        return True

    def end(self) -> None:
        """Die at once."""
        for task in self._tasks:
            task.cancel()


@dataclass(frozen=True, kw_only=True)
class Load:
    """How credits come to the processes, and what happens at half time.

    `offered` is the credits a second as a part of the bound, `at_once` whether as many wait already at the start,
    `first` the part that the first process gets, and `matched` whether the settings give it as large a share. `ends`
    processes die and `joins` come. `processes_set` is what PROCESSES says of n processes. `goal` is the least part of
    the bound that is wanted.
    """

    name: str
    goal: float | None = None
    offered: float = 1.3
    at_once: bool = False
    first: float | None = None
    matched: bool = False
    ends: int = 0
    joins: int = 0
    processes_set: Callable[[int], int] = lambda count: count


LOADS = (
    Load(name="equal", goal=0.95),
    Load(name="equal, all at once", at_once=True),
    Load(name="one gets 80 %", offered=1.0, first=0.8),
    Load(name="one gets 80 %, settings to match", offered=1.0, first=0.8, matched=True),
    Load(name="one dies", ends=1),
    Load(name="one comes", joins=1),
    Load(name="PROCESSES half of them", processes_set=lambda count: max(1, count // 2)),
    Load(name="PROCESSES twice as many", processes_set=lambda count: 2 * count),
)
LIMITS, COUNTS = (25, 100, 500), (1, 3, 10, 30)


@dataclass(frozen=True, kw_only=True)
class Result:
    """Writes a second over the bound, and 429s over all calls."""

    bound: float
    efficiency: float
    refused: float
    second_half: float


def bound_of(processes: int, limit: int, load: Load) -> float:
    """The credits a second that are possible: Stripe's limit, or less if connections carry less."""
    if load.first is None or processes == 1:
        return min(limit, processes * CAPACITY)
    return min(load.first * limit, CAPACITY) + min((1 - load.first) * limit, (processes - 1) * CAPACITY)


class Fleet:
    """The processes of one run."""

    def __init__(self, count: int, limit: int, load: Load, seed: int = SEED) -> None:
        self._count = count
        self._limit = limit
        self._load = load
        self.chance = random.Random(seed)
        self.stripe = Stripe(limit, random.Random(seed + 1))
        self.processes: list[Process] = []
        for _ in range(count - load.joins if count > 1 else 1):
            self.processes.append(self._process())

    def _process(self) -> Process:
        limit, processes = self._limit, self._load.processes_set(self._count)
        if self._load.matched and self._load.first and self._count > 1:
            first = round(limit * self._load.first)
            limit, processes = (limit - first, self._count - 1) if self.processes else (first, 1)
        limiter = RateLimiter(rate=limit, total_rate=4 * limit, processes=processes)
        return Process(self.stripe, limiter, self.chance)

    async def run(self, seconds: float) -> None:
        """Offer credits for so long."""
        loop = asyncio.get_running_loop()
        rate = self._load.offered * self._limit
        for _ in range(int(rate * seconds) if self._load.at_once else 0):
            self._choose().claim()
        for half in (1, 2):
            while loop.time() < half * seconds / 2:
                self._choose().claim()
                await asyncio.sleep(self.chance.expovariate(rate))
            if half == 1 and self._count > 1:
                self._change()
        for process in self.processes:
            process.end()

    def _choose(self) -> Process:
        first = self._load.first
        if first is None or len(self.processes) == 1:
            return self.chance.choice(self.processes)
        return self.processes[0] if self.chance.random() < first else self.chance.choice(self.processes[1:])

    def _change(self) -> None:
        for _ in range(self._load.ends):
            self.processes.pop().end()
        self.processes += [self._process() for _ in range(self._load.joins)]


def play(count: int, limit: int, load: Load, seconds: float, seed: int = SEED) -> Result:
    """Run a load; the first tenth of the time, in which the pipeline fills, is not counted."""
    random.seed(seed)  # the limiter draws from it
    fleet = Fleet(count, limit, load, seed)
    run_virtually(fleet.run(seconds))
    bound = bound_of(count, limit, load)

    def efficiency(begin: float) -> float:
        return sum(begin <= time < seconds for time in fleet.stripe.written) / (seconds - begin) / bound

    return Result(
        bound=bound,
        efficiency=efficiency(seconds / 10),
        second_half=efficiency(seconds / 2),
        refused=fleet.stripe.refused / max(1, fleet.stripe.calls),
    )


def _play(run: tuple[int, int, int], seconds: float) -> Result:
    load, limit, count = run
    return play(count, limit, LOADS[load], min(seconds, 12_000 / limit))


def main() -> None:
    """Print a table of each load."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--limits", type=int, nargs="+", default=LIMITS)
    options = parser.parse_args()
    runs = [(load, limit, count) for load in range(len(LOADS)) for limit in options.limits for count in COUNTS]
    with ProcessPoolExecutor(2) as pool:
        played = dict(zip(runs, pool.map(partial(_play, seconds=options.seconds), runs), strict=True))
    for number, load in enumerate(LOADS):
        goal = f" (goal {100 * load.goal:.0f} %)" if load.goal else ""
        print(f"\n{load.name}: part of the bound{goal} · in the second half · 429s of all calls\n")
        print("| limit, processes | " + " | ".join(f"{count}" for count in COUNTS) + " |")
        print("|---" * (len(COUNTS) + 1) + "|")
        for limit in options.limits:
            results = [played[number, limit, count] for count in COUNTS]
            parts = [
                marked(f"{100 * each.efficiency:.1f} %", is_missed=each.efficiency < (load.goal or 0))
                for each in results
            ]
            cells = [
                f"{part} · {100 * each.second_half:.1f} · {100 * each.refused:.1f}"
                for part, each in zip(parts, results, strict=True)
            ]
            print(f"| {limit}/s | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
