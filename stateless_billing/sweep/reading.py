"""What one round of the sweep read: the heads, and each gateway's payments."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chain.gateway import UnreadableBlock, Window
from chain.payment import Payment
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.domain.finality import Heads, is_final
from stateless_billing.runtime.clock import Clock
from stateless_billing.sweep.checkpoint import GatewayCheckpoint


@dataclass
class Reading:
    """What a round read of a gateway after `heads`, window by window; work on a window may begin before the next.

    It `is_over` when nothing more is added.
    """

    checkpoint: GatewayCheckpoint
    heads: Heads
    uncredited: dict[str, Payment] = field(default_factory=dict)
    unreadable: list[UnreadableBlock] = field(default_factory=list)
    is_over: bool = False
    _payments: list[tuple[int, Payment]] = field(default_factory=list)
    _unfinalized: list[tuple[int, Payment]] = field(default_factory=list)

    def is_passed(self, is_credited: Callable[[Payment], bool]) -> Callable[[int, int], bool]:
        """Tell of which places in the index nothing has to be read: those that are final, and done or credited."""
        checkpoint, finalized = self.checkpoint, self.heads.finalized.number

        def is_passed(index: int, block: int) -> bool:
            if block > finalized:
                return False
            payment = checkpoint.unsealed.get(index)
            is_known = payment is not None and payment.block == block and is_credited(payment)
            return is_known or checkpoint.is_done_in(index, block)

        return is_passed

    def add(self, window: Window) -> None:
        """Add the next window."""
        self._payments += window.payments
        self._unfinalized += [entry for entry in window.payments if not is_final(entry[1], self.heads)]
        self.unreadable += window.unreadable

    def take(self) -> Sequence[tuple[int, Payment]]:
        """Return what was added and not taken before, without what is done; what is not final only at the end."""
        taken = [entry for entry in self._payments if self.is_over or is_final(entry[1], self.heads)]
        self._payments = [] if self.is_over else self._payments_above()
        return [entry for entry in taken if not self.checkpoint.is_done_in(entry[0], entry[1].block)]

    def _payments_above(self) -> list[tuple[int, Payment]]:
        return [entry for entry in self._payments if not is_final(entry[1], self.heads)]

    def unfinalized(self) -> Window:
        """All payments above `finalized`."""
        above = [block for block in self.unreadable if block.number > self.heads.finalized.number]
        return Window(0, self._unfinalized, above)


class RoundHeads:
    """A round's heads, read when a gateway first needs them, and what they say of the payments read after them."""

    def __init__(self, confirmations: Confirmations, clock: Clock) -> None:
        self._confirmations = confirmations
        self._clock = clock
        self._read_at = 0.0
        self._finalized = 0  # the highest of a round: `swept` may have passed payments up to it
        self.current: Heads | None = None
        self.counted: set[str] = set()
        """The gateways whose payments were counted after the heads were read."""

    def begin_round(self) -> None:
        """Forget the heads of the round before."""
        self.current, self.counted = None, set()

    async def read(self) -> Heads:
        """Return the round's heads. Raises: ChainError."""
        if self.current is None:
            self.current, self._read_at = await self._confirmations.heads(), self._clock.boot()
        return self.current

    def share(self, readings: Sequence[Reading], gateways: int) -> None:
        """Let others use the readings of all gateways, if they hold every payment above `finalized`."""
        if self.current is None or len(self.counted) < gateways:
            return
        if self.current.finalized.number >= self._finalized:
            self._finalized = self.current.finalized.number
            windows = [reading.unfinalized() for reading in readings]
            self._confirmations.share_unfinalized(self.current, windows, self._read_at)
