"""What an order can be about: a payment, or a wallet that several customers have."""

from dataclasses import dataclass
from typing import Protocol

from stateless_billing.domain.order_rules import WALLET_PREFIX


class OrderSubject(Protocol):
    """A payment or a wallet. Its orders are searched back to `time`, less a margin; 0: the record's beginning."""

    @property
    def identity(self) -> str: ...
    @property
    def time(self) -> int: ...


@dataclass(frozen=True, slots=True)
class WalletSubject:
    """A lower-case wallet. Its orders may be of any age."""

    wallet: str
    time: int = 0

    @property
    def identity(self) -> str:
        """What the row's `payment` says."""
        return WALLET_PREFIX + self.wallet
