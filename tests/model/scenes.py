"""What is explored, and which scene shows what each rule prevents."""

from itertools import combinations

from tests.model.rules import Rule
from tests.model.scene import Scene
from tests.model.state import Fault

FAULTS = {
    "a late list": Fault.LAG,
    "a sleeping machine": Fault.SLEEP,
    "a cut list": Fault.CUT,
    "lists that lie for a while": Fault.LIE,
    "a saved 500": Fault.BURN,
    "a deleted customer": Fault.DELETE,
    "a stripped credit": Fault.STRIP,
    "a reorganisation": Fault.RENAME,
}
ALONE, BOTH = (0,), (0, 0)
"""Whose payments a scene has, by customer."""


def _scene(name: str, faults: int, *, owners: tuple[int, ...], **changes: object) -> Scene:
    unfinal = bool(faults & Fault.RENAME)
    return Scene(name, faults, owners=owners, unfinal=unfinal, **changes)  # type: ignore[arg-type]


def two_payments() -> list[Scene]:
    """Two processes and two payments of one customer under each fault, and without any."""
    scenes = [_scene("two payments", 0, owners=BOTH), _scene("two payments, a cursor", 0, owners=BOTH, cursor=True)]
    return scenes + [_scene(f"two payments, {name}", fault, owners=BOTH) for name, fault in FAULTS.items()]


def pairs() -> list[Scene]:
    """Two processes and one payment under each pair of faults, with one order where the payment is final."""
    faults = FAULTS | {"a hidden order": Fault.HIDE_ORDER}
    scenes = []
    for first, second in combinations(faults, 2):
        pair = faults[first] | faults[second]
        orders = 1 if pair & Fault.HIDE_ORDER or not pair & Fault.RENAME else 0
        scenes.append(_scene(f"{'an order, ' * orders}{first} and {second}", pair, owners=ALONE, orders=orders))
    return scenes


def special() -> list[Scene]:
    """What needs more orders, more epochs, customers without entries, or a target with a payment of its own."""
    return [
        _scene("two orders", 0, owners=ALONE, orders=2),
        _scene("a deleted customer, two orders", Fault.DELETE, owners=ALONE, orders=2),
        _scene("an order to a payer", 0, owners=(0, 1), orders=1),
        _scene("three epochs, a sleeping machine, a late list", Fault.SLEEP | Fault.LAG, owners=ALONE, epochs=3),
        _scene("three epochs, lists that lie, an admin who vouches", Fault.LIE, owners=ALONE, epochs=3, vouching=True),
        _scene("a new customer, a sleeping machine, an order", Fault.SLEEP, owners=ALONE, orders=1, new_customers=True),
    ]


def everything() -> list[Scene]:
    """The scenes of the complete run."""
    return [*pairs(), *special(), *two_payments()]


SMALL = (
    _scene("one payment", 0, owners=ALONE),
    *(_scene(f"one payment, {name}", fault, owners=ALONE) for name, fault in FAULTS.items()),
    _scene("one payment, an order", 0, owners=ALONE, orders=1),
)
"""Explored within seconds."""


def _small(faults: int, *, owners: tuple[int, ...] = ALONE, processes: int = 1, **changes: object) -> Scene:
    return _scene("", faults, owners=owners, processes=processes, **changes)


WITHOUT: dict[Rule, Scene] = {
    Rule.QUIET_ZONE: _small(0, new_customers=True),
    Rule.KEY_PER_EPOCH: _small(Fault.BURN),
    Rule.EVIDENCE_OF_THE_EPOCH: _small(Fault.SLEEP),
    Rule.SAME_CONNECTION: _small(Fault.SLEEP),
    Rule.BOTH_CLOCKS: _small(Fault.SLEEP),
    Rule.KEY_KEPT_AFTER_500: _small(Fault.BURN | Fault.LAG),
    Rule.KEY_KEPT_AFTER_MISMATCH: _small(Fault.RENAME | Fault.LAG),
    Rule.KEY_NAMES_THE_PAYMENT: _small(0, orders=1),
    Rule.LOOK_FIRST: _small(0),
    Rule.RENAMED_IS_ADOPTED: _small(Fault.RENAME),
    Rule.STRIPPED_HOLDS: _small(Fault.STRIP),
    Rule.ORDER_SAW_OLDER_ONLY: _small(Fault.STRIP, orders=1),
    Rule.ORDERS_FIRST: _small(0, orders=1),
    Rule.ORDERS_OF_THE_EPOCH: _small(Fault.SLEEP, processes=2, orders=1, new_customers=True),
    Rule.ALL_TARGETS: _small(0, orders=2),
    Rule.ORDERS_PROVEN: _small(Fault.HIDE_ORDER, orders=1),
    Rule.GAPLESS: _small(Fault.LIE),
    Rule.NEWEST_FITS_BALANCE: _small(Fault.LIE),
    Rule.REACHES_BACK: _small(Fault.LIE),
    Rule.TOLD_TWICE: _small(Fault.CUT),
    Rule.ABSENCE_IS_TOLD: _small(Fault.CUT),
    Rule.VOUCHED_FOR_ONE_EPOCH: _small(Fault.LIE, epochs=3, vouching=True),
    Rule.DELETED_MAY_HOLD_IT: _small(Fault.DELETE, orders=1),
    Rule.FRESH_IS_YOUNG: _small(Fault.RENAME),
    Rule.CURSOR_AFTER_LISTING: _small(0, owners=BOTH, cursor=True),
    Rule.CURSOR_WITHOUT_HOLES: _small(0, owners=BOTH, cursor=True),
}
"""By rule, the smallest scene in which its absence does harm."""
