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
    persisted: tuple[int, dict[int, str]]
    done_above: set[int] = field(default_factory=set)
    in_progress: bool = False
    open_payments: dict[int, Payment] = field(default_factory=dict)
    uncredited: dict[int, Payment] = field(default_factory=dict)
    passed_blocks: dict[int, int] = field(default_factory=dict)

    def advance(self) -> None:
        """Move `swept` over what is closed."""
        while self.swept in self.done_above:
            self.done_above.discard(self.swept)
            self.swept += 1

    def close(self, index: int, payment: Payment) -> None:
        """This payment is done."""
        self.open.pop(index, None)
        self.open_payments.pop(index, None)
        self._record_passed(index, payment)

    def leave_open(self, index: int, payment: Payment, cause: str) -> None:
        """Let `swept` pass a final payment that cannot be credited now."""
        self.open[index] = cause
        self._record_passed(index, payment)

    def _record_passed(self, index: int, payment: Payment) -> None:
        self.passed_blocks[index] = payment.block
        if index >= self.swept:
            self.done_above.add(index)

    def mark_persisted(self) -> None:
        """What is done is in the service record."""
        self.persisted = self.swept, dict(self.open)
        self.passed_blocks.clear()

    def rollback(self) -> None:
        """To what the service record says."""
        self.swept, self.open = self.persisted[0], dict(self.persisted[1])
        for one in (self.done_above, self.open_payments, self.passed_blocks):
            one.clear()

    def is_waiting(self, index: int) -> bool:
        """Whether the payment at this place is not known to be credited."""
        return index in self.open or (index >= self.swept and index not in self.done_above)
