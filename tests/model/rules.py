"""The rules, each of which can be switched off, and the decisions that follow from them.

The state machine and the comparison with the service's own decisions call the same functions.
"""

from collections.abc import Collection, Iterable
from enum import Enum, auto

from tests.specifications.epochs import Position
from tests.specifications.matching import Shown


class Rule(Enum):
    """One rule of exactly-once crediting; its value says what holds while it is on."""

    __hash__ = object.__hash__  # that of Enum is slow, and rules are looked up a hundred million times

    QUIET_ZONE = "nothing is sent within half an hour of an epoch's border"
    KEY_PER_EPOCH = "each epoch has its own key"
    EVIDENCE_OF_THE_EPOCH = "a check counts in its own epoch only, begun half an hour after the border"
    SAME_CONNECTION = "a write never opens a connection: it uses that of the reads before it"
    BOTH_CLOCKS = "both clocks are checked right before a write"
    KEY_KEPT_AFTER_500 = "a key never changes because of a 500"
    KEY_KEPT_AFTER_MISMATCH = "a key never changes because Stripe says that the parameters differ"
    KEY_NAMES_THE_PAYMENT = "the key names the event's customer and sequence, whoever is credited"
    LOOK_FIRST = "the ledgers are checked before a write"
    RENAMED_IS_ADOPTED = "a credit of the same sequence and facts under another name is the payment's credit"
    STRIPPED_HOLDS = "a credit of these cents without its metadata holds the payment"
    ORDER_SAW_OLDER_ONLY = "an order excuses only entries older than itself"
    ORDERS_FIRST = "the orders are read before a write"
    ORDERS_OF_THE_EPOCH = "a reading of the orders counts in its own epoch only, begun half an hour after the border"
    ALL_TARGETS = "every customer that any order ever named is checked"
    ORDERS_PROVEN = "from the second epoch on the orders' ledger is proven by its balance"
    GAPLESS = "from the second epoch on a listing's balances leave no gap"
    NEWEST_FITS_BALANCE = "from the second epoch on the newest entry ends at the balance read before"
    REACHES_BACK = "from the second epoch on a listing reaches an entry older than the payment, or the beginning"
    TOLD_TWICE = "from the second epoch on an absence is told twice, half an hour apart"
    ABSENCE_IS_TOLD = "a listing that shows the credit, or what may be it, is no telling of its absence"
    VOUCHED_FOR_ONE_EPOCH = "an admin vouches for a ledger in one epoch only"
    DELETED_MAY_HOLD_IT = "from the second epoch on a deleted customer may have carried the credit"
    FRESH_IS_YOUNG = "only a payment younger than ten minutes is sent without a check"
    CURSOR_AFTER_LISTING = "the cursor moves over a payment only once a listing shows its credit"
    CURSOR_WITHOUT_HOLES = "the cursor waits at the first payment that is not credited"


ALL_RULES = frozenset(Rule)


class Finding(Enum):
    """What the entries of a listing say together."""

    CREDITED = auto()
    STRIPPED = auto()
    CONFLICT = auto()
    NOTHING = auto()


def judge_entries(shown: Iterable[Shown], rules: Collection[Rule] = ALL_RULES) -> Finding:
    """Judge a listing: the strongest entry decides, whatever their order."""
    kinds = set(shown)
    if Shown.ITS_NAME in kinds or (Shown.FORMER_NAME in kinds and Rule.RENAMED_IS_ADOPTED in rules):
        return Finding.CREDITED
    if Shown.BARE in kinds and Rule.STRIPPED_HOLDS in rules:
        return Finding.STRIPPED
    return Finding.CONFLICT if Shown.OTHER_FACTS in kinds else Finding.NOTHING


def may_send(evidence: Position | None, now: Position, *, young: bool, rules: Collection[Rule] = ALL_RULES) -> bool:
    """Whether a write may be sent at `now`; `evidence` is where its check began, None without one."""
    if now.quiet and Rule.QUIET_ZONE in rules:
        return False
    if evidence is None:
        return young or Rule.FRESH_IS_YOUNG not in rules
    return is_of_the_epoch(evidence, now) or Rule.EVIDENCE_OF_THE_EPOCH not in rules


def is_of_the_epoch(begun: Position, now: Position) -> bool:
    """Whether something read at `begun` counts at `now`: the same epoch, and not from its quiet beginning."""
    return begun == now


def orders_count(begun: Position, now: Position, rules: Collection[Rule] = ALL_RULES) -> bool:
    """Whether a reading of the orders counts at `now`. Within one quiet zone nothing is sent, so any counts."""
    if Rule.ORDERS_OF_THE_EPOCH not in rules or begun == now:
        return True
    began_after_the_border = begun.epoch == 0 or not begun.quiet
    return begun.epoch == now.epoch and began_after_the_border


def is_proven(waited_half_an_hour: bool, rules: Collection[Rule] = ALL_RULES) -> bool:
    """Whether a second telling, so long after the first of the same epoch, proves an absence."""
    return waited_half_an_hour or Rule.TOLD_TWICE not in rules


def deleted_blocks(epoch: int, *, acknowledged: bool, rules: Collection[Rule] = ALL_RULES) -> bool:
    """Whether a deleted customer that may carry the credit holds its payment; in epoch 0 the key decides."""
    return epoch > 0 and not acknowledged and Rule.DELETED_MAY_HOLD_IT in rules
