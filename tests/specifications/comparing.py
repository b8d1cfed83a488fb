"""Compares the pure core with its specifications on one case each; a difference is a sentence."""

import random
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from chain.payment import Payment
from stateless_billing.domain import epochs, finality, ledger, money
from stateless_billing.domain.finality import ConfirmationTier, Heads, UnfinalizedSums
from stateless_billing.domain.ledger import Entry, MatchOutcome
from stateless_billing.grants import caps
from tests.fakes.factories import block, entry, payment, tx_hash
from tests.specifications import caps as caps_rule
from tests.specifications import depth as depth_rule
from tests.specifications import epochs as epochs_rule
from tests.specifications import matching
from tests.specifications import money as money_rule
from tests.specifications.ledgers import LETTERS, OTHER_CREDITS, ledger_of, subjects
from tests.specifications.matching import Shown

_OUTCOMES = {
    Shown.ITS_NAME: MatchOutcome.CREDITED,
    Shown.FORMER_NAME: MatchOutcome.CREDITED,
    Shown.BARE: MatchOutcome.ALTERED,
    Shown.OTHER_FACTS: MatchOutcome.OTHER_FACTS,
    Shown.UNRELATED: MatchOutcome.ABSENT,
}
SUBJECTS = tuple(subjects())


def match(subject: Payment, cents: int | None, entries: Sequence[Entry], *, redirected: bool) -> str:
    """Whether `match` finds what its specification finds."""
    answer = ledger.match(subject, cents, entries, OTHER_CREDITS, redirected=redirected)
    kind, identifier = matching.judge(subject, cents, entries, OTHER_CREDITS, redirected=redirected)
    expected = _OUTCOMES[kind], identifier
    given = answer.outcome, answer.entry.id if answer.entry else None
    return "" if given == expected else f"match says {given}, should say {expected}: {entries}"


def word(letters: Sequence[str]) -> str:
    """Whether `match` is right about a small ledger, from every payment's view."""
    for subject, cents, redirected in SUBJECTS:
        if difference := match(subject, cents, ledger_of(letters, subject), redirected=redirected):
            return f"{''.join(letters)!r} redirected={redirected} cents={cents}: {difference}"
    return ""


def random_ledger(rng: random.Random) -> str:
    """A longer ledger in any order of listing, with edited fields."""
    subject, cents, redirected = rng.choice(SUBJECTS)
    entries = ledger_of(rng.choices(LETTERS, k=rng.randint(0, 9)), subject)
    entries = [_edited(row, entries, rng) if rng.random() < 0.4 else row for row in entries]
    rng.shuffle(entries)
    return match(subject, cents, entries, redirected=redirected)


def _edited(row: Entry, entries: Sequence[Entry], rng: random.Random) -> Entry:
    """What people do to an entry's metadata, and what else an entry may be."""
    name = rng.choice(["kind", "payment", "sequence", "wallet", "amount", "rate_source", "order", "reverses"])
    value = row.metadata.get(name, "")
    edits: list[Callable[[], Entry]] = [
        lambda: replace(row, metadata={key: held for key, held in row.metadata.items() if key != name}),
        lambda: replace(row, metadata={**row.metadata, name: rng.choice([value.upper(), f" {value} ", "", "1"])}),
        lambda: replace(row, metadata={**row.metadata, "kind": rng.choice(ledger.KINDS)}),
        lambda: replace(row, metadata={**row.metadata, "reverses": rng.choice(entries).id, "kind": "reversal"}),
        lambda: replace(row, created=row.created + rng.choice([-3_661, -3_660, -181, -180, -120, -61, 5])),
        lambda: replace(row, cents=row.cents + rng.choice([-1, 1, -2 * row.cents])),
        lambda: replace(row, type=rng.choice(["initial", "applied_to_invoice"])),
        lambda: replace(row, description=rng.choice(["", f" litkey PAYMENT {tx_hash(1)} ", f"see {tx_hash(1)}"])),
    ]
    return rng.choice(edits)()


def random_epoch(rng: random.Random) -> str:
    """A time, mostly near a border."""
    origin = rng.randrange(1_700_000_000, 1_900_000_000)
    border = rng.randrange(0, 40) * epochs_rule.EPOCH
    now = (
        origin + border + rng.choice([rng.randint(-1_805, 1_805), rng.randint(-5_000, 90_000), -1_800, 1_800, 599, 600])
    )
    position = epochs.epoch_position(now, origin)
    expected = epochs_rule.position(now, origin)
    if (position.epoch, position.in_quiet_zone) != expected:
        return f"age {now - origin}: {position}, should be {expected}"
    if epochs.can_skip_check(now, origin) != epochs_rule.is_young(now, origin):
        return f"age {now - origin}: young or not"
    wait = epochs.seconds_until_writable(now, origin)
    ends = not epochs_rule.position(now + wait, origin).quiet
    needed = wait == 0 or epochs_rule.position(now + wait - 1, origin).quiet
    return "" if ends and needed and (wait > 0) == expected.quiet else f"age {now - origin}: waits {wait}"


def random_amount(rng: random.Random) -> str:
    """An amount, a rate and a discount, often where rounding turns."""
    market = rng.choice([rng.randint(1, 10**24), rng.randint(1, 10**17), 10 ** rng.randint(0, 24)])
    discount = rng.choice([0, 0, 2_500, 9_999, rng.randint(0, 9_999)])
    cents = rng.choice([rng.randint(1, 10**9), rng.randint(1, 100)])
    amount = rng.choice([rng.randint(1, 10**27), money_rule.tokens(cents, market, discount) + rng.choice([-1, 0, 1])])
    given = (
        money.cents_down(amount, market, discount),
        money.amount_up(cents, market, discount),
        money.rate_down(cents, amount or 1),
    )
    expected = (
        money_rule.cents(amount, market, discount),
        money_rule.tokens(cents, market, discount),
        money_rule.rate(cents, amount or 1),
    )
    return "" if given == expected else f"{amount=} {market=} {discount=} {cents=}: {given}, should be {expected}"


TIERS = (ConfirmationTier(10_000, 15, None), ConfirmationTier(100_000, None, "safe"), finality.FINALIZED)


def random_depth(rng: random.Random) -> str:
    """A payment among others that are not final yet."""
    others = [_some_payment(rng, number) for number in range(rng.randint(0, 6))]
    subject = rng.choice(others) if others and rng.random() < 0.3 else _some_payment(rng, 9)
    most = rng.choice([0, 10_000, 200_000])
    tier = finality.tier_for(subject, UnfinalizedSums(others, finality.most_early_cents(TIERS, most)), TIERS, most)
    expected = depth_rule.tier(subject, others, [(one.cents, one.seconds, one.tag) for one in TIERS], most)
    if (tier.cents, tier.seconds, tier.tag) != expected:
        return f"{subject} among {others}, at most {most}: {tier}, should be {expected}"
    heights = sorted(rng.randint(95, 130) for _ in range(3))
    heads = Heads(block(heights[2]), block(heights[1]), block(heights[0]))
    now = rng.choice([heads.latest.time + 3, heads.latest.time + 4_000, subject.time - rng.randint(118, 123)])
    given = finality.measure_depth(subject, tier, heads, now).reached
    reached = depth_rule.is_reached(subject, expected, heads, now)
    return "" if given == reached else f"{subject} {tier} {heads} {now}: reached {given}, should be {reached}"


def _some_payment(rng: random.Random, number: int) -> Payment:
    height = rng.randint(100, 120)
    return replace(
        payment(block=height, tx_hash=tx_hash(rng.choice([1, number])), log_index=rng.randint(0, 2)),
        customer_id=rng.choice(["cus_A", "cus_B"]),
        cents=rng.choice([0, 1, 5_000, 9_999, 10_000, 90_000, 100_000]),
    )


def random_caps(rng: random.Random) -> str:
    """A ledger of reservations, reversals of them and other rows; each reservation is judged."""
    rows: list[Entry] = []
    balance, now = rng.choice([0, 0, 300]), block(0).time
    begins_at_zero = balance == 0
    for place in range(rng.randint(1, 8)):
        now += rng.choice([0, 1, 3_600, 40_000, 86_399, 86_400])
        row = _grant_row(rng, place, now, rows)
        balance += row.cents
        rows.append(replace(row, ending_cents=balance))
    listing = rows[::-1]
    for place, row in enumerate(rows):
        mine = caps.parse_reservation(row)
        if mine is None:
            continue
        verdict = caps.judge_caps(mine, listing, complete=True)
        reaches_back = begins_at_zero or rows[0].created < row.created - caps_rule.DAY
        expected = caps_rule.verdict(place, rows) if reaches_back else "unknown"
        given = "unknown" if verdict is None else verdict.broken or "fits"
        if given != expected:
            return f"row {place}: {given}, should be {expected}: {rows}"
    return ""


def _grant_row(rng: random.Random, place: int, now: int, rows: Sequence[Entry]) -> Entry:
    metadata = {
        "kind": "reservation",
        "grant": f"g{place}",
        "operator": rng.choice(["a", "b"]),
        "reason": "goodwill",
        "customer": "cus_A",
        "caps": rng.choice(["2000:3000:5000", "500:900:900"]),
    }
    cents = rng.choice([100, 500, 501, 900, 2_000, 2_001])
    if rows and rng.random() < 0.4:
        reversed_row = rng.choice(rows)
        cents = -reversed_row.cents
        metadata = {"kind": "reversal", "reverses": reversed_row.id}
    elif rng.random() < 0.15:
        metadata = {"kind": "other"}
        cents = rng.choice([-100, 100])
    return entry(id=f"cbtxn_{place}", cents=cents, created=now, metadata=metadata)


RANDOM: dict[str, Callable[[random.Random], str]] = {
    "match": random_ledger,
    "epochs": random_epoch,
    "rounding": random_amount,
    "depth": random_depth,
    "caps": random_caps,
}
"""One generated case of each rule."""
