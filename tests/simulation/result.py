"""The result of one seed."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """The counts, findings and history of one seed."""

    seed: int
    theme: str
    payments: int
    steps: int
    days: float
    faults: Counter[str]
    breaches: Counter[str]
    twice: int
    never: int
    wrong: int
    holes: int
    orphans: int
    findings: tuple[str, ...]
    history: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether a guarantee was violated."""
        return bool(self.twice or self.never or self.wrong)
