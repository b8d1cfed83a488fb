"""What one seed came to."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """What one seed came to."""

    seed: int
    theme: str
    payments: int
    steps: int
    days: float
    faults: Counter[str]
    twice: int
    never: int
    wrong: int
    holes: int
    orphans: int
    findings: tuple[str, ...]
    history: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether a promise was broken."""
        return bool(self.twice or self.never or self.wrong)
