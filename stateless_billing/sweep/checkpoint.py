"""The sweep's position in one gateway's payment index. No I/O."""

from dataclasses import dataclass, field

from chain.gateway import Gateway
from chain.payment import Payment


@dataclass
class GatewayCheckpoint:
    """All payments below index `swept` are done, except those in `open`; `done_above` holds those done above it.

    `persisted` is `swept` and `open` as in the service record. `passed_blocks` holds the blocks of all payments closed
    or left open since then. `open` maps an index to its cause, `open_payments` to its payment.
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
        """Move `swept` past all payments that are done."""
        while self.swept in self.done_above:
            self.done_above.discard(self.swept)
            self.swept += 1

    def close(self, index: int, payment: Payment) -> None:
        """Mark a payment as done."""
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
        """Note that the service record now holds this position."""
        self.persisted = self.swept, dict(self.open)
        self.passed_blocks.clear()

    def rollback(self) -> None:
        """Return to the position in the service record."""
        self.swept = self.persisted[0]
        self.open = dict(self.persisted[1])
        self.done_above.clear()
        self.open_payments.clear()
        self.passed_blocks.clear()

    def is_waiting(self, index: int) -> bool:
        """Whether the payment at this index is not done."""
        return index in self.open or (index >= self.swept and index not in self.done_above)
