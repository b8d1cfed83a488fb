"""Grant oracle: checks every grant row as Stripe writes it, in Stripe's order."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stateless_billing.grants.grant_ledger import RECONCILE_SECONDS
from stateless_billing.sandbox.records import Transaction
from tests.simulation.plan import DAY, EPOCH, GRANTS

if TYPE_CHECKING:
    from tests.simulation.oracle import Oracle
    from tests.simulation.world import World


@dataclass
class GrantOracle:
    """Rows by kind, in Stripe's order; findings go to the main oracle."""

    world: "World"
    oracle: "Oracle"
    reservations: dict[str, Transaction] = field(default_factory=dict)
    grants: dict[str, Transaction] = field(default_factory=dict)
    reversed: dict[str, Transaction] = field(default_factory=dict)
    faults_end: int = 0
    settled: bool = False

    def written(self, row: Transaction) -> None:
        """Check a new row: a reservation, a grant or a reversal."""
        if self.settled:
            self.oracle.wrong(f"{row.id} is written after all was settled")
        {"reservation": self._reserved, "grant": self._given, "reversal": self._taken_back}[row.metadata["kind"]](row)

    def born(self, key: str) -> int | None:
        """The Unix time from which the epochs of a grant key are counted."""
        kind, _, rest = key.partition(":")
        if kind == "reserve":
            return int(rest.partition("-")[0])
        if kind == "grant" and rest in self.reservations:
            return self.reservations[rest].created
        of = rest.partition(":")[0]
        rows = [*self.reservations.values(), *self.grants.values()] if kind == "reversal" else []
        return next((row.created for row in rows if row.id == of), None)

    def _reserved(self, row: Transaction) -> None:
        grant = row.metadata["grant"]
        if grant in self.reservations:
            self.oracle.second(f"form {grant} has two reservations")
        if row.customer != GRANTS or row.amount >= 0:
            self.oracle.wrong(f"reservation {row.id} of {-row.amount} cents stands on {row.customer}")
        self.reservations.setdefault(grant, row)

    def _given(self, row: Transaction) -> None:
        grant = row.metadata["grant"]
        if grant in self.grants:
            self.oracle.second(f"form {grant} is given twice")
            return
        self.grants[grant] = row
        reservation = self.reservations.get(grant)
        if reservation is None:
            self.oracle.wrong(f"form {grant} is given and was never reserved")
        elif (row.customer, row.amount) != (reservation.metadata["customer"], reservation.amount):
            self.oracle.wrong(f"form {grant} is given otherwise than it was reserved")
        elif row.created - reservation.created >= EPOCH:
            self.oracle.wrong(f"form {grant} is given after its reservation's first epoch")
        self._caps()

    def _taken_back(self, row: Transaction) -> None:
        of = row.metadata["reverses"]
        if row.metadata["reason"].startswith("over_cap"):
            self.world.coverage.hit("over_cap")
        candidates = [*self.reservations.values(), *self.grants.values()]
        original = next((candidate for candidate in candidates if candidate.id == of), None)
        if of in self.reversed:
            self.oracle.second(f"{of} is reversed twice")
        elif original is None or (original.customer, original.amount) != (row.customer, -row.amount):
            self.oracle.wrong(f"reversal {row.id} is not the opposite of {of}")
        self.reversed[of] = row

    def _living(self) -> list[Transaction]:
        given = (row for grant, row in self.reservations.items() if grant in self.grants)
        return [row for row in given if row.id not in self.reversed]

    def _caps(self) -> None:
        """Check that unreversed grants within any 24 hours stay within the caps."""
        living = self._living()
        per_grant, per_operator, everyone = self.world.plan.caps or (0, 0, 0)
        for last in living:
            spent: dict[str, int] = defaultdict(int)
            for row in living:
                if last.created - DAY <= row.created <= last.created:
                    spent[row.metadata["operator"]] -= row.amount
            if -last.amount > per_grant or max(spent.values()) > per_operator or sum(spent.values()) > everyone:
                self.oracle.wrong(f"caps {self.world.plan.caps} are passed: {dict(spent)} in 24 hours")
                return

    def left_open(self) -> None:
        """Check, after reconciliation without faults, that all is completed or reversed and the sums agree."""
        for grant, row in self.reservations.items():
            given = self.grants.get(grant)
            if self.reversed.get(row.id, row).created < self.faults_end - RECONCILE_SECONDS:
                continue  # no reconciliation succeeded for three days: reported by the audit
            if given is None and row.id not in self.reversed:
                self.oracle.missing(f"form {grant} was reserved, and is neither given nor refused")
            elif given and (row.id in self.reversed) != (given.id in self.reversed) and not self._gone(given.customer):
                self.oracle.wrong(f"form {grant} is taken back on one side only")
        self._sums()
        self._caps()
        self.settled = True

    def _gone(self, customer: str) -> bool:
        """Whether a human made it impossible to write a reversal on a customer."""
        target = self.world.account.by_id[customer]
        return target.deleted or target.currency not in (None, "usd")

    def _sums(self) -> None:
        """Compare Stripe's balance of the grants record with the grants on the customers."""
        if any(row.created < self.faults_end - RECONCILE_SECONDS for row in self.reservations.values()):
            return
        rows = [row for customer in self.world.account.customers if customer.id != GRANTS for row in customer.rows]
        given = {row.id: -row.amount for row in rows if row.metadata.get("kind") == "grant"}
        back = sum(row.amount for row in rows if row.metadata.get("reverses") in given)
        reserved = -self.world.account.by_id[GRANTS].balance
        if sum(given.values()) - back != reserved and not any(self._gone(row.customer) for row in self.grants.values()):
            self.oracle.wrong(
                f"customers have {sum(given.values()) - back} cents of grants, the record says {reserved}"
            )
