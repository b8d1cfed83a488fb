"""The plan of a seed, fixed before it runs: the properties of the world and its events in order."""

from dataclasses import dataclass, field
from typing import Any

HOUR, DAY = 3600.0, 86_400.0
EPOCH = 23 * HOUR
LONG_IDLE = 1200.0  # if Stripe keeps idle connections longer, at least one clock of a sleeping machine notices
CUSTOMERS = ("cus_Alice1", "cus_Bob2", "cus_Carol3")
TARGETS = ("cus_Dora4", "cus_Emil5", "cus_Fay6")  # customers that orders name, besides the payers
LAST = "cus_Last7"  # always creditable; a target only after all faults ended
FORGED = "cus_Forged9"
ADMINS = ("dana@example.org", "eli@example.org", "fay@example.org")
DANAS_WALLET = "0x" + "da" * 20  # the other name by which the first of them signs in
SERVICE, GRANTS = "cus_Service0", "cus_Grants0"
GATEWAYS = ("0x" + "a1b2c3d4" + "0" * 32, "0x" + "b7c8d9e0" + "0" * 32)


@dataclass(frozen=True)
class Event:
    """At second `at`, `kind` happens with `args`."""

    at: float
    kind: str
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Everything a seed decides before the first step. `off` names faults that a shrunk run leaves out."""

    seed: int
    theme: str
    replicas: int = 2
    gateways: int = 1
    customers: int = 1
    nodes: int = 1
    ahead: int = 0
    finality: float = 1200.0
    list_lag: float = 0.0
    key_life: float = 30 * HOUR
    idle_timeout: float = 75.0
    page: int = 100
    faults: tuple[str, ...] = ()
    reads: float = 0.0
    writes: float = 0.0
    refused: float = 0.0
    late: float = 0.0
    node_errors: float = 0.0
    omits: float = 0.0
    price_faults: float = 0.0
    lags: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    skews: tuple[float, ...] = ()
    lying: bool = False
    poisoned: bool = False
    two_versions: bool = False
    whole_start: bool = False
    restart_seconds: float = 60.0  # the first pause before a process that does not start is started again
    save_refusals: bool = True
    caps: tuple[int, int, int] | None = None  # cents of one grant, of one operator and of all in a day; None: no grants
    admins: bool = False
    order_cap: int = 100_000  # cents that one admin orders alone, per order and in a day
    lies: float = 0.0  # the share of listings that are told otherwise than they are
    lie_kinds: tuple[str, ...] = ()
    lies_again: bool = False  # listings still lie when everything is seen again at the end
    record_late: float = 0.0  # the share of readings of the service record that take long
    oldest_first: bool = False  # a listing shows the rows of one second in the order in which they were written
    events: tuple[Event, ...] = ()
    off: frozenset[str] = field(default_factory=frozenset)
