"""Factories for test values, and a clock that only tests move."""

from dataclasses import dataclass
from typing import Any

from msgspec import structs

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
    """Create a transaction hash."""
    return f"0x{0xDD:02x}{number:062x}"


def block(number: int) -> Block:
    """Create the canonical block of a number."""
    return Block(number, f"0x{0xBB:02x}{number:062x}", START + number * BLOCK_SECONDS)


def payment(**changes: Any) -> Payment:
    """Create a quoted payment of $50 in block 100. `block` also changes the hash and time."""
    within = block(changes.get("block", 100))
    default = Payment(
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
    return structs.replace(default, **changes)


def entry(**changes: Any) -> Entry:
    """Create another system's charge, without metadata, one minute after block 100."""
    default = Entry(
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
    return structs.replace(default, **changes)


def heads(latest: int, safe: int, finalized: int) -> Heads:
    """Create the chain's heads from block numbers."""
    return Heads(block(latest), block(safe), block(finalized))


@dataclass
class FakeClock:
    """Both clocks, set by the test.

    Sleep moves both; setting the system time moves `wall_time` alone.
    """

    wall_time: float = float(START)
    boot_time: float = 1_000.0

    def wall(self) -> float:
        """Return the set Unix time."""
        return self.wall_time

    def boot(self) -> float:
        """Return the set boot time."""
        return self.boot_time

    def wait(self, seconds: float) -> None:
        """Advance both clocks."""
        self.wall_time += seconds
        self.boot_time += seconds
