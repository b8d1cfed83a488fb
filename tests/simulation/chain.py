"""The chain as it really is: blocks, heads that stall, payments, and reorganisations above `finalized`.

A block's number follows from its time, five a second; its hash says on which branch it lies. Times are seconds of the
simulation, except in `Payment.time`, which is the block's own timestamp.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chain.payment import Payment

CHAIN_ID = 8453
START = 1_790_000_000
PER_SECOND = 5
_FIRST = 1_000_000  # the number of the block at second 0


@dataclass(frozen=True)
class Call:
    """One call of a gateway; `cents` 0 for a plain one, else `sequence` and `deadline` are those of the quote."""

    gateway: str
    customer: str
    wallet: str
    payer: str
    amount: int
    cents: int = 0
    sequence: int = 0
    deadline: int = 0


@dataclass(frozen=True)
class Transaction:
    """An EVM transaction: all of its calls happen, or none."""

    hash: str
    calls: tuple[Call, ...]


@dataclass
class Version:
    """What the canonical chain holds from second `since` on, until the next version."""

    since: float
    forks: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    payments: list[Payment] = field(default_factory=list)
    blocks: dict[str, int] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def hash(self, number: int) -> str:
        """The hash of the block with that number on this version's branches."""
        place = bisect_right(self.forks, (number, 1 << 60)) - 1
        return f"0x{self.forks[place][1]:04x}bb{number:058x}"


@dataclass
class Stall:
    """A head that stood still from `start` to `stop`."""

    start: float
    stop: float


class Chain:
    """`ahead` seconds lie between a block's timestamp and the true time it was made at."""

    def __init__(self, ahead: int, finality: float, safety: float) -> None:
        self.ahead, self.finality, self.safety = ahead, finality, safety
        self.versions = [Version(-1e9)]
        self.stalls: dict[str, list[Stall]] = {"latest": [], "finalized": []}
        self.transactions: dict[str, Transaction] = {}
        self.ever: dict[str, list[Payment]] = defaultdict(list)
        self.by_block: dict[str, list[Payment]] = defaultdict(list)
        self._forks = 0

    @property
    def now(self) -> Version:
        """The newest version."""
        return self.versions[-1]

    def at(self, moment: float) -> Version:
        """The version that was canonical at a second."""
        for version in reversed(self.versions):
            if version.since <= moment:
                return version
        return self.versions[0]

    def _running(self, head: str, moment: float) -> float:
        for stall in self.stalls[head]:
            if stall.start <= moment < stall.stop:
                moment = stall.start
        return moment

    def latest(self, moment: float) -> int:
        """The number of the head at a second."""
        return _FIRST + int(self._running("latest", moment) * PER_SECOND)

    def safe(self, moment: float) -> int:
        """The number of the safe head."""
        return max(self.finalized(moment), self._behind(moment, self.safety))

    def finalized(self, moment: float) -> int:
        """The number of the finalised head."""
        return self._behind(moment, self.finality)

    def _behind(self, moment: float, lag: float) -> int:
        return self.latest(self._running("finalized", moment) - lag)

    def time_of(self, number: int) -> int:
        """A block's timestamp."""
        return START + (number - _FIRST) // PER_SECOND + self.ahead

    def running(self, moment: float) -> bool:
        """Whether blocks are being made."""
        return self._running("latest", moment) == moment

    def submit(self, transaction: Transaction, moment: float) -> bool:
        """Take an EVM transaction into the next block; whether it succeeded."""
        self.transactions[transaction.hash] = transaction
        return self._include(self.now, transaction, self.latest(moment) + 1)

    def count(self, version: Version, gateway: str, customer: str) -> int:
        """A customer's next sequence."""
        return sum(one.gateway == gateway and one.customer_id == customer for one in version.payments)

    def _include(self, version: Version, transaction: Transaction, number: int) -> bool:
        made: list[Payment] = []
        time = self.time_of(number)
        for call in transaction.calls:
            sequence = self.count(version, call.gateway, call.customer) + sum(
                one.gateway == call.gateway and one.customer_id == call.customer for one in made
            )
            if call.cents and (sequence != call.sequence or time > call.deadline):
                version.failed.add(transaction.hash)
                version.blocks[transaction.hash] = number
                return False
            made.append(self._payment(version, transaction, call, number, sequence, made))
        version.payments += made
        version.blocks[transaction.hash] = number
        for one in made:
            self.ever[one.identity].append(one)
            self.by_block[one.block_hash].append(one)
        return True

    def _payment(
        self,
        version: Version,
        transaction: Transaction,
        call: Call,
        number: int,
        sequence: int,
        made: Sequence[Payment],
    ) -> Payment:
        before = [one.log_index for one in version.payments if one.block == number] + [one.log_index for one in made]
        return Payment(
            chain_id=CHAIN_ID,
            gateway=call.gateway,
            tx_hash=transaction.hash,
            ordinal=sum(one.gateway == call.gateway for one in made),
            customer_id=call.customer,
            wallet=call.wallet,
            payer=call.payer,
            sequence=sequence,
            amount=call.amount,
            cents=call.cents,
            block=number,
            block_hash=version.hash(number),
            time=self.time_of(number),
            log_index=max(before, default=number % 7) + 2,
        )

    def reorganise(self, moment: float, depth: int, fates: Sequence[str]) -> list[str]:
        """Replace the last `depth` blocks, never a finalised one. What became of each payment in them: `fates` in turn.

        `dropped` is gone, `moved` comes in another block, `renamed` in another EVM transaction, `kept` where it was.
        """
        old, head = self.now, self.latest(moment)
        fork = max(self.finalized(moment) + 1, head - depth + 1)
        self._forks += 1
        new = Version(
            moment,
            [*(one for one in old.forks if one[0] < fork), (fork, self._forks)],
            [one for one in old.payments if one.block < fork],
            {hash_: number for hash_, number in old.blocks.items() if number < fork},
        )
        new.failed = {hash_ for hash_ in old.failed if hash_ in new.blocks}
        self.versions.append(new)
        happened = []
        hit = sorted((number, hash_) for hash_, number in old.blocks.items() if number >= fork)
        last = fork
        for place, (number, hash_) in enumerate(hit):
            fate = fates[place % len(fates)]
            happened.append(fate)
            transaction = self.transactions[hash_]
            if fate == "dropped":
                continue
            if fate == "renamed":
                transaction = replace(transaction, hash=f"0x{self._forks:02x}{hash_[2:4]}{hash_[6:]}")
                self.transactions[transaction.hash] = transaction
            last = max(last, number + 7 if fate == "moved" else number)
            self._include(new, transaction, last)
        return happened
