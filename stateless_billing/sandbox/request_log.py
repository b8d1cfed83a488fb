"""The request log: one row per request, and counts per endpoint, so that tests can count reads and writes."""

from collections import Counter, deque
from dataclasses import dataclass

from stateless_billing.sandbox.answers import Json

MAX_ROWS = 50_000


@dataclass(slots=True)
class LogRow:
    """A request. `status` is 0 while it runs or if its answer was lost; `endpoint` is method and template."""

    id: str
    time: float
    method: str
    endpoint: str
    path: str
    idempotency_key: str
    version: str
    fault: str = ""
    status: int = 0
    replayed: bool = False

    def to_json(self) -> Json:
        """Return the row for the control interface."""
        return {name: getattr(self, name) for name in self.__slots__}


class RequestLog:
    """The latest rows, and complete counts."""

    def __init__(self) -> None:
        self.rows: deque[LogRow] = deque(maxlen=MAX_ROWS)
        self.counts: Counter[str] = Counter()

    def add(self, row: LogRow) -> None:
        """Log a request as it arrives."""
        self.rows.append(row)
        self.counts[row.endpoint] += 1

    def reset(self) -> None:
        """Clear rows and counts."""
        self.rows.clear()
        self.counts.clear()

    @property
    def reads(self) -> int:
        """The number of read requests."""
        return sum(count for endpoint, count in self.counts.items() if endpoint.startswith("GET "))

    @property
    def writes(self) -> int:
        """The number of write requests."""
        return sum(count for endpoint, count in self.counts.items() if not endpoint.startswith("GET "))
