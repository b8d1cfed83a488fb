"""Every grant against the grants record, which is the one ledger of what all moderators gave. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stateless_billing.audit.rules.payments import Credit
from stateless_billing.audit.rules.rows import Row, judged, lone_cells
from stateless_billing.audit.rules.statuses import Status
from stateless_billing.domain import money
from stateless_billing.domain.ledger import CURRENCY, Entry
from stateless_billing.grants import caps
from stateless_billing.grants.caps import DAY, Reservation


@dataclass(frozen=True, slots=True)
class Reserved:
    """One reservation, whether it was reversed, and the cap that its place in the ledger breaks."""

    reservation: Reservation
    reversed: bool
    broken: str

    @property
    def entry(self) -> Entry:
        """Its row on the grants record."""
        return self.reservation.entry


def reservations(record: Sequence[Entry]) -> dict[str, Reserved]:
    """The grants record, newest first and whole, as reservations by grant; the verdicts are the service's own."""
    undone = {entry.metadata.get("reverses", "") for entry in record if entry.kind == "reversal"}
    found: dict[str, Reserved] = {}
    for place in range(len(record) - 1, -1, -1):
        reserved = caps.reservation(record[place])
        if reserved and reserved.grant not in found:
            found[reserved.grant] = Reserved(reserved, record[place].id in undone, _broken(reserved, record, place))
    return found


def _broken(reserved: Reservation, record: Sequence[Entry], place: int) -> str:
    """Which cap a reservation breaks, by the day of the ledger before it."""
    end = next(
        (n + 1 for n in range(place, len(record)) if record[n].created < reserved.entry.created - DAY), len(record)
    )
    judged = caps.verdict(reserved, record[place:end], whole=end == len(record))
    if judged is None:
        return "the grants record does not hang together before it"
    limits = {"per_grant": reserved.caps.per_grant, "operator": reserved.caps.operator}
    limit = limits.get(judged.broken or "", reserved.caps.everyone)
    whose = {"per_grant": "one grant", "operator": "one operator in 24 hours"}.get(
        judged.broken or "", "all in 24 hours"
    )
    return "" if judged.fits else f"it takes what was given above the {money.dollars(limit)} of {whose}"


def judge_grants(reserved: Mapping[str, Reserved], grants: Sequence[Credit]) -> list[Row]:
    """One row for each grant, and one for each reservation that waits for its grant."""
    by_name: dict[str, list[Credit]] = {}
    for grant in sorted(grants, key=lambda one: (one.entry.created, one.entry.id)):
        by_name.setdefault(grant.entry.metadata.get("grant", ""), []).append(grant)
    rows = []
    for name, some in by_name.items():
        for place, grant in enumerate(some):
            rows.append(_grant(grant, reserved.get(name), again=place > 0 and bool(name)))
    for name, one in reserved.items():
        if name not in by_name and not one.reversed:
            row = lone_cells(one.entry, "grant") | {"credited_cents": 0}
            reason = f"{money.dollars(one.entry.cents)} reserved for {one.reservation.customer}, not given"
            rows.append(judged(row, Status.PENDING, reason, "reservation"))
    return rows


def _grant(grant: Credit, reservation: Reserved | None, *, again: bool) -> Row:
    row = lone_cells(grant.entry, "grant") | {"credited_cents": grant.net}
    if grant.net == 0:
        return judged(row, Status.REVERSED, "given and reversed in full", "grant", exception=False)
    if broken := _rules(grant, reservation, again=again):
        return judged(row, Status.GRANT_OVER_CAP, broken, "grant")
    if not grant.entry.metadata.get("operator") or not grant.entry.metadata.get("reason"):
        return judged(row, Status.GRANT_NO_REASON, "it does not say who gave it, or why", "grant")
    given = f"{money.dollars(grant.net)} by {grant.entry.metadata['operator']}: {grant.entry.metadata['reason']}"
    return judged(row, Status.GRANT, given, "grant")


def _rules(grant: Credit, reservation: Reserved | None, *, again: bool) -> str:
    if grant.entry.currency != CURRENCY:
        return f"it is in {grant.entry.currency}"
    if reservation is None:
        return "the grants record holds no reservation for it"
    if again:
        return "the form that reserved it had given before"
    if reservation.reversed:
        return "its reservation was reversed, so it is to be reversed too"
    if grant.entry.customer != reservation.reservation.customer:
        return f"it was reserved for {reservation.reservation.customer}"
    if grant.net != reservation.entry.cents:
        return f"{money.dollars(reservation.entry.cents)} was reserved for it, it is {money.dollars(grant.net)}"
    return reservation.broken
