"""How far the sweep is with one gateway."""

from dataclasses import dataclass, field

from chain.gateway import Gateway
from chain.payment import Payment


@dataclass
class GatewayCheckpoint:
    """How far one gateway is done: all below `swept` except what is `open`; `closed` are those done above it.

    `seen` holds the blocks of all that was closed or left open since `recorded`, which is `swept` and `open` as the
    service record has them.
    """

    gateway: Gateway
    swept: int
    open: dict[int, str]
    recorded: tuple[int, dict[int, str]]
    closed: set[int] = field(default_factory=set)
    begun: bool = False
    opened: dict[int, Payment] = field(default_factory=dict)
    uncredited: dict[int, Payment] = field(default_factory=dict)
    seen: dict[int, int] = field(default_factory=dict)

    def advance(self) -> None:
        """Move `swept` over what is closed."""
        while self.swept in self.closed:
            self.closed.discard(self.swept)
            self.swept += 1

    def close(self, index: int, payment: Payment) -> None:
        """This payment is done."""
        self.open.pop(index, None)
        self.opened.pop(index, None)
        self._pass(index, payment)

    def leave_open(self, index: int, payment: Payment, cause: str) -> None:
        """Let `swept` pass a final payment that cannot be credited now."""
        self.open[index] = cause
        self._pass(index, payment)

    def _pass(self, index: int, payment: Payment) -> None:
        self.seen[index] = payment.block
        if index >= self.swept:
            self.closed.add(index)

    def remember(self) -> None:
        """What is done is in the service record."""
        self.recorded = self.swept, dict(self.open)
        self.seen.clear()

    def rollback(self) -> None:
        """To what the service record says."""
        self.swept, self.open = self.recorded[0], dict(self.recorded[1])
        for one in (self.closed, self.opened, self.seen):
            one.clear()

    def is_waiting(self, index: int) -> bool:
        """Whether the payment at this place is not known to be credited."""
        return index in self.open or (index >= self.swept and index not in self.closed)
