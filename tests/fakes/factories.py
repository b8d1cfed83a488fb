"""Plain values that tests start from, and a clock that stands still until a test moves it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from chain.payment import Block, Payment
from stateless_billing.domain.finality import Heads
from stateless_billing.domain.ledger import Entry

CHAIN_ID = 8453
GATEWAY = "0x" + "a1b2c3d4" + "0" * 32
OTHER_GATEWAY = "0x" + "b7" * 20
WALLET = "0x" + "11" * 20
PAYER = "0x" + "22" * 20
CUSTOMER = "cus_Alice1"
START = 1_790_000_000  # the time of block 0
BLOCK_SECONDS = 2
WHOLE_TOKEN = 10**18


def tx_hash(number: int) -> str:
    """A made-up EVM transaction hash."""
    return f"0x{0xDD:02x}{number:062x}"


def block(number: int) -> Block:
    """The canonical block with this number."""
    return Block(number, f"0x{0xBB:02x}{number:062x}", START + number * BLOCK_SECONDS)


def payment(**changes: Any) -> Payment:
    """A quoted payment of 50 dollars in block 100; `block` moves its hash and time along."""
    within = block(changes.get("block", 100))
    usual = Payment(
        chain_id=CHAIN_ID,
        gateway=GATEWAY,
        tx_hash=tx_hash(1),
        ordinal=0,
        customer_id=CUSTOMER,
        wallet=WALLET,
        payer=PAYER,
        sequence=0,
        amount=9_000 * WHOLE_TOKEN,
        cents=5_000,
        block=within.number,
        block_hash=within.hash,
        time=within.time,
        log_index=3,
    )
    return replace(usual, **changes)


def entry(**changes: Any) -> Entry:
    """A charge of other systems: an entry without our metadata, one minute after block 100."""
    usual = Entry(
        id="cbtxn_1",
        cents=-700,
        created=block(100).time + 60,
        currency="usd",
        customer=CUSTOMER,
        type="adjustment",
        description="Usage",
        ending_cents=0,
        metadata={},
    )
    return replace(usual, **changes)


def heads(latest: int, safe: int, finalized: int) -> Heads:
    """The chain's heads by number."""
    return Heads(block(latest), block(safe), block(finalized))


@contextmanager
def ordinary_stack() -> Iterator[None]:
    """Recursion as deep as Python allows by itself: packages that are imported late raise the limit for all."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@dataclass
class FakeClock:
    """Both clocks, set by the test. A machine that sleeps moves both; an administrator moves `wall_time` alone."""

    wall_time: float = float(START)
    boot_time: float = 1_000.0

    def wall(self) -> float:
        """Unix seconds, as set."""
        return self.wall_time

    def boot(self) -> float:
        """Seconds passed, as set."""
        return self.boot_time

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.wall_time += seconds
        self.boot_time += seconds
