"""The actual chain: blocks, heads that stall, payments, and reorgs above `finalized`.

A block's number follows from its time, at five per second; its hash encodes its branch. Times are simulation seconds,
except `Payment.time`, which is the block's timestamp.
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
    """A call to a gateway. `cents` is 0 for a plain payment; otherwise `sequence` and `deadline` are the quote's."""

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
    """An EVM transaction: all of its calls succeed, or none."""

    hash: str
    calls: tuple[Call, ...]


@dataclass
class Version:
    """The canonical chain from second `since` until the next version."""

    since: float
    forks: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    payments: list[Payment] = field(default_factory=list)
    blocks: dict[str, int] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def hash(self, number: int) -> str:
        """The hash of a block on this version's branches."""
        index = bisect_right(self.forks, (number, 1 << 60)) - 1
        return f"0x{self.forks[index][1]:04x}bb{number:058x}"


@dataclass
class Stall:
    """A head that is stalled from `start` to `stop`."""

    start: float
    stop: float


class Chain:
    """The chain. Block timestamps are `ahead` seconds ahead of the actual time."""

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
        """The version that was canonical at a moment."""
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
        """The number of the head at a moment."""
        return _FIRST + int(self._running("latest", moment) * PER_SECOND)

    def safe(self, moment: float) -> int:
        """The number of the safe head."""
        return max(self.finalized(moment), self._behind(moment, self.safety))

    def finalized(self, moment: float) -> int:
        """The number of the finalized head."""
        return self._behind(moment, self.finality)

    def _behind(self, moment: float, lag: float) -> int:
        return self.latest(self._running("finalized", moment) - lag)

    def time_of(self, number: int) -> int:
        """A block's timestamp."""
        return START + (number - _FIRST) // PER_SECOND + self.ahead

    def stall(self, head: str, start: float, stop: float) -> None:
        """Let a head stand still for a time."""
        self.stalls[head].append(Stall(start, stop))

    def running(self, moment: float) -> bool:
        """Whether blocks are being produced."""
        return self._running("latest", moment) == moment

    def submit(self, transaction: Transaction, moment: float) -> bool:
        """Include an EVM transaction in the next block and return whether it succeeded."""
        self.transactions[transaction.hash] = transaction
        return self._include(self.now, transaction, self.latest(moment) + 1)

    def count(self, version: Version, gateway: str, customer: str) -> int:
        """A customer's next sequence."""
        return sum(paid.gateway == gateway and paid.customer_id == customer for paid in version.payments)

    def _include(self, version: Version, transaction: Transaction, number: int) -> bool:
        made: list[Payment] = []
        time = self.time_of(number)
        for call in transaction.calls:
            sequence = self.count(version, call.gateway, call.customer) + sum(
                paid.gateway == call.gateway and paid.customer_id == call.customer for paid in made
            )
            if call.cents and (sequence != call.sequence or time > call.deadline):
                version.failed.add(transaction.hash)
                version.blocks[transaction.hash] = number
                return False
            made.append(self._payment(version, transaction, call, number, sequence, made))
        version.payments += made
        version.blocks[transaction.hash] = number
        for payment in made:
            self.ever[payment.identity].append(payment)
            self.by_block[payment.block_hash].append(payment)
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
        in_block = [paid for paid in version.payments if paid.block == number]
        log_indexes = [paid.log_index for paid in (*in_block, *made)]
        return Payment(
            chain_id=CHAIN_ID,
            gateway=call.gateway,
            tx_hash=transaction.hash,
            ordinal=sum(paid.gateway == call.gateway for paid in made),
            customer_id=call.customer,
            wallet=call.wallet,
            payer=call.payer,
            sequence=sequence,
            amount=call.amount,
            cents=call.cents,
            block=number,
            block_hash=version.hash(number),
            time=self.time_of(number),
            log_index=max(log_indexes, default=number % 7) + 2,
        )

    def reorganize(self, moment: float, depth: int, fates: Sequence[str]) -> list[str]:
        """Replace the last `depth` blocks, never a finalized one, and return the fate of each payment in them.

        `fates` apply in turn: `dropped` removes a payment, `moved` puts it into another block, `renamed` into another
        EVM transaction, `kept` leaves it in place.
        """
        old, head = self.now, self.latest(moment)
        fork = max(self.finalized(moment) + 1, head - depth + 1)
        self._forks += 1
        new = Version(
            moment,
            [*(branch for branch in old.forks if branch[0] < fork), (fork, self._forks)],
            [payment for payment in old.payments if payment.block < fork],
            {hash_: number for hash_, number in old.blocks.items() if number < fork},
        )
        new.failed = {hash_ for hash_ in old.failed if hash_ in new.blocks}
        self.versions.append(new)
        applied = []
        hit = sorted((number, hash_) for hash_, number in old.blocks.items() if number >= fork)
        last = fork
        for index, (number, hash_) in enumerate(hit):
            fate = fates[index % len(fates)]
            applied.append(fate)
            transaction = self.transactions[hash_]
            if fate == "dropped":
                continue
            if fate == "renamed":
                transaction = replace(transaction, hash=f"0x{self._forks:02x}{hash_[2:4]}{hash_[6:]}")
                self.transactions[transaction.hash] = transaction
            last = max(last, number + 7 if fate == "moved" else number)
            self._include(new, transaction, last)
        return applied
