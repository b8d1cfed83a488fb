"""Judges orders: which one a credit followed, whether that one stood, and whether two people decided where two must.

Written without the service's own rules: it reads the rows in the order in which Stripe wrote them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from chain.payment import Payment
from stateless_billing.sandbox.records import Transaction
from tests.simulation.plan import DAY, EPOCH

if TYPE_CHECKING:
    from tests.simulation.oracle import Credit, Oracle
    from tests.simulation.world import World

AT_ONCE = 1500  # seconds within which a process that nothing stopped has followed what it read
VERBS = ("release", "redirect", "withdraw")


@dataclass
class OrderOracle:
    """Every order in Stripe's order, and every reversal of a credit."""

    world: "World"
    oracle: "Oracle"
    rows: list[Transaction] = field(default_factory=list)
    texts: dict[str, dict[str, str]] = field(default_factory=dict)
    reversed: dict[str, Transaction] = field(default_factory=dict)

    def written(self, row: Transaction) -> None:
        """Take a new order."""
        before = self.rows[-1] if self.rows else None
        meta = self.texts[row.id] = dict(row.metadata)
        hit = self.world.coverage.hit
        hit("order")
        if before and before.created == row.created and self.texts[before.id]["payment"] == meta["payment"]:
            hit("orders_race")
        standing = self.standing(meta["payment"], self.rows)
        self.rows.append(row)
        if meta["order"].startswith("withdraw"):
            hit("order_withdrawn")
        elif standing and _verb(meta["order"]) and standing is not self.standing(meta["payment"], self.rows):
            hit("order_superseded")
        if meta.get("confirms"):
            named = self.texts.get(meta["confirms"], {})
            same = named.get("operator") == meta["operator"]
            hit("order_self_confirmed" if same else "order_confirmed")
        elif self._needs_second(row, self.rows):
            hit("order_above_cap")
        for name, fault in (("unproven:", "vouched"), ("gone:", "gone_told")):
            if name in meta["order"]:
                hit(fault)

    def named(self, payment: str) -> list[str]:
        """Every customer that orders ever named for a payment."""
        found = [self.target(row) for row in self.rows if self.texts[row.id]["payment"] == payment]
        return list(dict.fromkeys(filter(None, found)))

    def target(self, row: Transaction) -> str | None:
        """Who is to be credited by an order, where it says so."""
        name, _, rest = self.texts[row.id]["order"].partition(";")[0].partition(":")
        return rest.partition(":")[0] if name == "redirect" else None

    def standing(self, payment: str, rows: Sequence[Transaction]) -> Transaction | None:
        """The newest row with a verb that stands, by these rows."""
        for row in reversed(rows):
            meta = self.texts[row.id]
            decides = meta["payment"] == payment and _verb(meta["order"]) and not meta.get("confirms")
            if decides and (not self._needs_second(row, rows) or self._confirmed(row, rows)):
                return row
        return None

    def _confirmed(self, row: Transaction, rows: Sequence[Transaction]) -> bool:
        mine = self.texts[row.id]
        return any(
            meta.get("confirms") == row.id
            and meta["operator"] != mine["operator"]
            and all(meta[name] == mine[name] for name in ("payment", "order", "value"))
            for meta in (self.texts[one.id] for one in rows)
        )

    def _needs_second(self, row: Transaction, rows: Sequence[Transaction]) -> bool:
        meta = self.texts[row.id]
        alone, a_day = (int(part) for part in meta["caps"].split(":"))
        rate, market = ordered_rate(meta["order"]), meta.get("market")
        if rate and market and Decimal(rate) > Decimal(market) * 12 / 10:
            return True
        total = 0
        for one in rows:
            other = self.texts[one.id]
            counts = other["operator"] == meta["operator"] and not other.get("confirms")
            if counts and one.created >= row.created - DAY and not self._confirmed(one, rows):
                total += int(other["value"])
            if one is row:
                break
        return int(meta["value"]) > alone or total > a_day

    def credited(self, credit: "Credit", payment: Payment) -> None:
        """Judge a new credit: whom it went to, by which order, and how much of it."""
        row, say = credit.row, self.oracle.wrong
        followed = next((one for one in self.rows if one.id == credit.metadata.get("order")), None)
        if credit.metadata.get("order") and followed is None:
            say(f"credit for {credit.identity[-70:]} follows {credit.metadata['order']}, which is no order")
            return
        owner = (self.target(followed) if followed else None) or payment.customer_id
        if row.customer != owner:
            say(f"credit for {credit.identity[-70:]} went to {row.customer}, not to {owner}")
        if followed and -row.amount > int(self.texts[followed.id]["value"]):
            say(f"{-row.amount} cents credited where an order allows {self.texts[followed.id]['value']}")
        epoch = int(max(0, row.created - payment.time) // EPOCH)
        if followed and not self._two_decided(followed, epoch):
            say(f"order {followed.id} was followed, needs a second admin and has none")
        if not any(one is followed for one in self._allowed(payment, row, epoch)):
            what = self.texts[followed.id]["order"] if followed else "no order"
            say(f"credit for {credit.identity[-70:]} follows {what} in epoch {epoch}, which did not stand then")

    def _two_decided(self, followed: Transaction, epoch: int) -> bool:
        """Whether an order had its second admin; rows that a list hid in the first epoch may count for nothing."""
        rows = [followed] if epoch == 0 and self._blind() else self.rows
        return not self._needs_second(followed, rows) or self._confirmed(followed, self.rows)

    def _blind(self) -> bool:
        """Whether a list of orders may have been told otherwise than it is."""
        plan = self.world.plan
        return bool(plan.lies or plan.list_lag or "stale_list" in plan.faults)

    def _allowed(self, payment: Payment, credit: Transaction, epoch: int) -> list[Transaction | None]:
        """What stood at some time at which the credit's orders may have been read; None where nothing did."""
        if epoch == 0 and self._blind():
            return [None, *self.rows]
        stopped = any(one.kind in ("harm", "stripe_down") for one in self.world.plan.events)
        since = payment.time + epoch * EPOCH if stopped else credit.created - AT_ONCE
        if epoch == 0 and payment.quoted and credit.created - payment.time < AT_ONCE:
            since = 0.0
        found: list[Transaction | None] = []
        for count in range(len(self.rows), -1, -1):
            stood = self.standing(payment.identity, self.rows[:count])
            withdrawn = stood is not None and self.texts[stood.id]["order"].startswith("withdraw")
            found.append(None if withdrawn else stood)
            if count and self.rows[count - 1].created < since:
                break
        return found

    def taken_back(self, row: Transaction, credit: "Credit") -> None:
        """Judge a reversal of a credit."""
        if credit.row.id in self.reversed:
            self.oracle.second(f"{credit.row.id} is reversed twice")
        if (row.customer, row.amount) != (credit.row.customer, -credit.row.amount):
            self.oracle.wrong(f"reversal {row.id} is not the opposite of {credit.row.id}")
        self.reversed.setdefault(credit.row.id, row)


def _verb(text: str) -> bool:
    return text.partition(";")[0].partition(":")[0] in VERBS


def ordered_rate(text: str) -> str:
    """The rate that an order carries; empty where it carries none."""
    name, _, rest = text.partition(";")[0].partition(":")
    return rest if name == "release" else rest.partition(":")[2] if name == "redirect" else ""
