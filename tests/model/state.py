"""A state of the world: two processes, two payments, and what Stripe has stored. All of it hashable and sortable."""

from typing import NamedTuple

from tests.specifications.epochs import Position

_new = tuple.__new__


class Fault:
    """What may go wrong once in a run, each only if the scene allows it."""

    LAG = 1  # a list shows an entry up to half an hour late
    SLEEP = 2  # a machine sleeps between two steps, for as long as it likes
    CUT = 4  # one listing omits rows that add up to 0, so that its balances fit
    LIE = 8  # for a while listings omit rows, or end early, which their balances show
    HIDE_ORDER = 16  # for a while the orders' listing omits its newest row
    DELETE = 32  # a customer is deleted, its entries with it
    STRIP = 64  # a person removes a credit's metadata
    RENAME = 128  # a reorganisation moves a payment to another EVM transaction
    BURN = 256  # Stripe saves a 500 under a key


class Lie:
    """How listings omit rows for the time being."""

    NONE = 0
    GAP = 1  # a row in the middle is missing
    NEWEST = 2  # the newest rows are missing
    END = 3  # the list ends early
    ORDERS = 4  # the newest order is missing


class Credit(NamedTuple):
    """A payment's credit. `hidden`: 0 listed, 1 not listed yet, 2 not listed yet across one border of half an hour."""

    customer: int
    name: int
    hidden: int
    stripped: int
    after_order: int  # whether it is younger than the payment's newest order


class Request(NamedTuple):
    """A write on its way to Stripe; `border` is 1 once half an hour's border passed since it was sent."""

    payment: int
    customer: int
    name: int
    epoch: int
    other_key: int
    border: int


class Told(NamedTuple):
    """Whose ledgers a process found without the credit, as bits by customer: just now, and half an hour ago."""

    now: int = 0
    before: int = 0


class Process(NamedTuple):
    """A process. `step`: 0 idle, 1 has read the orders, 2 has checked and is about to write."""

    step: int = 0
    payment: int = 0
    name: int = 0  # of the payment, as this process read it
    orders: int = 0
    flawed: int = 0  # whether the orders' listing contradicted its balance
    orders_at: int = 0  # phase
    checked_at: int = 0  # phase, NOT_CHECKED for a fresh payment
    asleep: int = 0  # how it slept
    border: int = 0  # 1 once a border of half an hour passed since its last step
    told: tuple[Told, Told] = (Told(), Told())
    other_keys: tuple[int, int] = (0, 0)  # only with a rule off: the payment is to be sent under another key
    request: Request | tuple[()] = ()


NOT_CHECKED = 99


class Asleep:
    """How a machine slept before it went on."""

    AWAKE = 0
    CLOCKS_STOOD_STILL = 1  # both of them; its connection was closed meanwhile
    ONE_CLOCK_STOOD_STILL = 2  # its connection stayed open
    BEFORE_ITS_LAST_READ = 3  # which then told it the right time


class Key(NamedTuple):
    """What Stripe has stored under a key: an answer, or (`burnt`) a 500. `later`: the 500 is completed later."""

    burnt: int
    customer: int = 0
    name: int = 0
    later: int = 0


class Payment(NamedTuple):
    """A payment, its order (an index of ORDERS), its keys by epoch, and its credit."""

    credit: Credit | tuple[()] = ()
    name: int = 0
    final: int = 1
    order: int = 0
    keys: tuple[Key | tuple[()], ...] = ((), (), ())


class State(NamedTuple):
    """The world. `wrong`: 1 a payment was credited twice, 2 a cursor covers a payment that is not credited."""

    phase: int
    faults: int
    orders_left: int
    payments: tuple[Payment, ...]
    processes: tuple[Process, ...]
    lie: int = 0
    deleted: int = 0  # customer + 1
    vouched: int = 0  # epoch + 1 in which an admin vouched for the first customer
    gone: int = 0  # whether an admin says that the deleted customer had no credit
    cursor: int = 0
    wrong: int = 0


def with_processes(state: State, processes: tuple[Process, ...]) -> State:
    """Replace the processes; faster than `_replace`, which matters a million times."""
    return _new(State, (*state[:4], processes, *state[5:]))


def with_process(state: State, index: int, process: Process) -> State:
    """Replace one process."""
    processes = state.processes
    return with_processes(state, (*processes[:index], process, *processes[index + 1 :]))


def with_payment(state: State, number: int, payment: Payment) -> State:
    """Replace one payment."""
    payments = state.payments
    return _new(State, (*state[:3], (*payments[:number], payment, *payments[number + 1 :]), *state[4:]))


class Orders(NamedTuple):
    """What the orders about a payment say: whom to credit (None: the event's customer), and all that they named."""

    text: str
    target: int | None
    named: tuple[int, ...]
    stands: bool


ORDERS = (
    Orders("none", None, (), stands=False),
    Orders("credit Bob", 1, (1,), stands=True),
    Orders("credit Bob, then withdrawn", None, (1,), stands=False),
    Orders("credit Bob, then credit Carol", 2, (1, 2), stands=True),
)
NEXT_ORDERS = {0: (1,), 1: (2, 3)}


def which(number: int) -> str:
    """A payment's name."""
    return f"the {('first', 'second')[number]} payment"


CUSTOMERS = ("Alice", "Bob", "Carol")


class Phase(NamedTuple):
    """A part of the time since the payments' block. In a long one any number of half hours may pass."""

    position: Position
    text: str
    is_long: bool = False


PHASES = (
    Phase(Position(0, quiet=False), "the first 22½ hours"),
    Phase(Position(0, quiet=True), "the half hour before the border of 23 h"),
    Phase(Position(1, quiet=True), "the half hour after it"),
    Phase(Position(1, quiet=False), "the payment is 23½ h old"),
    Phase(Position(1, quiet=False), "the payment is more than 24 h old", is_long=True),
    Phase(Position(1, quiet=True), "the half hour before the border of 46 h"),
    Phase(Position(2, quiet=True), "the half hour after it"),
    Phase(Position(2, quiet=False), "the payment is 46½ h old"),
    Phase(Position(2, quiet=False), "the payment is more than 47½ h old", is_long=True),
)
"""All payments are of the same block."""
LAST_PHASE = {2: 4, 3: 8}  # by the number of epochs
FORGOTTEN_FROM = (4, 8, 99)
"""The first phase in which Stripe may have forgotten a key, by its epoch: 24 hours after its first use at least."""
