"""Order oracle: checks which order a credit applied, whether it was effective, and whether it needed two admins.

Independent of the service's own rules: it reads the rows in the order in which Stripe wrote them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from chain.payment import Payment
from stateless_billing.sandbox.records import Transaction
from tests.simulation.plan import ADMINS, DANAS_WALLET, DAY, EPOCH

if TYPE_CHECKING:
    from tests.simulation.oracle import Credit, Oracle
    from tests.simulation.world import World

APPLY_SECONDS = 1500  # within which an undisturbed process has applied what it read
VERBS = ("release", "redirect", "withdraw")


@dataclass
class OrderOracle:
    """All orders in the order of Stripe's writes, and all reversals of credits."""

    world: "World"
    oracle: "Oracle"
    rows: list[Transaction] = field(default_factory=list)
    texts: dict[str, dict[str, str]] = field(default_factory=dict)
    reversed: dict[str, Transaction] = field(default_factory=dict)

    def written(self, row: Transaction) -> None:
        """Record a new order."""
        before = self.rows[-1] if self.rows else None
        meta = self.texts[row.id] = dict(row.metadata)
        hit = self.world.coverage.hit
        hit("order")
        if before and before.created == row.created and self.texts[before.id]["payment"] == meta["payment"]:
            hit("orders_race")
        effective = self.effective(meta["payment"], self.rows)
        self.rows.append(row)
        if meta["order"].startswith("withdraw"):
            hit("order_withdrawn")
        elif effective and _verb(meta["order"]) and effective is not self.effective(meta["payment"], self.rows):
            hit("order_superseded")
        if meta.get("confirms"):
            named = self.texts.get(meta["confirms"], {})
            same = _person(named.get("operator", "")) == _person(meta["operator"])
            hit("order_self_confirmed" if same else "order_confirmed")
        elif self._needs_second(row, self.rows):
            hit("order_above_cap")
        for name, fault in (("unproven:", "vouched"), ("gone:", "gone_told")):
            if name in meta["order"]:
                hit(fault)

    def named(self, payment: str) -> list[str]:
        """All customers that orders ever named for a payment."""
        targets = [self.target(row) for row in self.rows if self.texts[row.id]["payment"] == payment]
        return list(dict.fromkeys(filter(None, targets)))

    def target(self, row: Transaction) -> str | None:
        """The customer that an order redirects to, if any."""
        name, _, rest = self.texts[row.id]["order"].partition(";")[0].partition(":")
        return rest.partition(":")[0] if name == "redirect" else None

    def effective(self, payment: str, rows: Sequence[Transaction]) -> Transaction | None:
        """The newest effective order with a verb among these rows."""
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
            and _person(meta["operator"]) != _person(mine["operator"])
            and all(meta[name] == mine[name] for name in ("payment", "order", "value"))
            for meta in (self.texts[other.id] for other in rows)
        )

    def _needs_second(self, row: Transaction, rows: Sequence[Transaction]) -> bool:
        meta = self.texts[row.id]
        if not int(meta["value"]):
            return False  # it credits nothing
        alone, a_day = (int(part) for part in meta["caps"].split(":"))
        rate, market = ordered_rate(meta["order"]), meta.get("market")
        if rate and market and Decimal(rate) > Decimal(market) * 12 / 10:
            return True
        total = 0
        for other in rows:
            metadata = self.texts[other.id]
            is_own = _person(metadata["operator"]) == _person(meta["operator"])
            counts = is_own and not metadata.get("confirms")
            if counts and other.created >= row.created - DAY and not self._confirmed(other, rows):
                total += int(metadata["value"])
            if other is row:
                break
        return int(meta["value"]) > alone or total > a_day

    def credited(self, credit: "Credit", payment: Payment) -> None:
        """Check a new credit: its customer, its order and its amount."""
        row, report = credit.row, self.oracle.wrong
        applied = next((order for order in self.rows if order.id == credit.metadata.get("order")), None)
        if credit.metadata.get("order") and applied is None:
            report(f"credit for {credit.identity[-70:]} applies {credit.metadata['order']}, which is not an order")
            return
        owner = (self.target(applied) if applied else None) or payment.customer_id
        if row.customer != owner:
            report(f"credit for {credit.identity[-70:]} went to {row.customer}, not to {owner}")
        if applied and -row.amount > int(self.texts[applied.id]["value"]):
            report(f"{-row.amount} cents credited where an order allows {self.texts[applied.id]['value']}")
        epoch = int(max(0, row.created - payment.time) // EPOCH)
        if applied and self._needs_second(applied, self.rows) and not self._confirmed(applied, self.rows):
            report(f"order {applied.id} was applied without the second admin it needs")
        if not any(order is applied for order in self._allowed(payment, row, epoch)):
            text = self.texts[applied.id]["order"] if applied else "no order"
            report(f"credit for {credit.identity[-70:]} applies {text} in epoch {epoch}, which was not effective then")

    def _listings_may_lie(self) -> bool:
        """Whether a listing of orders may have been incomplete."""
        plan = self.world.plan
        return bool(plan.lies or plan.list_lag or "stale_list" in plan.faults)

    def _allowed(self, payment: Payment, credit: Transaction, epoch: int) -> list[Transaction | None]:
        """The orders effective at any time at which the credit's orders may have been read; None for no order."""
        if epoch == 0 and self._listings_may_lie():
            return [None, *self.rows]
        stopped = any(event.kind in ("harm", "stripe_down") for event in self.world.plan.events)
        stopped |= "saved_500_completed" in self.world.plan.faults  # Stripe completes it hours after it was sent
        since = payment.time + epoch * EPOCH if stopped else credit.created - APPLY_SECONDS
        if epoch == 0 and payment.quoted and credit.created - payment.time < APPLY_SECONDS:
            since = 0.0
        allowed: list[Transaction | None] = []
        for count in range(len(self.rows), -1, -1):
            order = self.effective(payment.identity, self.rows[:count])
            withdrawn = order is not None and self.texts[order.id]["order"].startswith("withdraw")
            allowed.append(None if withdrawn else order)
            if count and self.rows[count - 1].created < since:
                break
        return allowed

    def taken_back(self, row: Transaction, credit: "Credit") -> None:
        """Check a reversal of a credit."""
        if credit.row.id in self.reversed:
            self.oracle.second(f"{credit.row.id} is reversed twice")
        if (row.customer, row.amount) != (credit.row.customer, -credit.row.amount):
            self.oracle.wrong(f"reversal {row.id} is not the opposite of {credit.row.id}")
        self.reversed.setdefault(credit.row.id, row)


def _person(operator: str) -> str:
    return ADMINS[0] if operator == DANAS_WALLET else operator


def _verb(text: str) -> bool:
    return text.partition(";")[0].partition(":")[0] in VERBS


def ordered_rate(text: str) -> str:
    """The rate in an order; empty if it has none."""
    name, _, rest = text.partition(";")[0].partition(":")
    if name == "release":
        return rest
    return rest.partition(":")[2] if name == "redirect" else ""
