"""Every grant against the grants record, which is the one ledger of what all moderators gave. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stateless_billing.audit.rules.payments import Credit
from stateless_billing.audit.rules.rows import Row, cells_of_lone_entry, create_row
from stateless_billing.audit.rules.statuses import Status
from stateless_billing.domain import money
from stateless_billing.domain.ledger import CURRENCY, Entry
from stateless_billing.grants import caps
from stateless_billing.grants.caps import DAY, Reservation


@dataclass(frozen=True, slots=True)
class ReservedGrant:
    """One reservation, whether it was reversed, and the cap that its place in the ledger breaks."""

    reservation: Reservation
    reversed: bool
    broken_caps: str

    @property
    def entry(self) -> Entry:
        """Its row on the grants record."""
        return self.reservation.entry


def collect_reservations(record: Sequence[Entry]) -> dict[str, ReservedGrant]:
    """The grants record, newest first and whole, as reservations by grant; the verdicts are the service's own."""
    undone = {entry.metadata.get("reverses", "") for entry in record if entry.kind == "reversal"}
    found: dict[str, ReservedGrant] = {}
    for place in range(len(record) - 1, -1, -1):
        reserved = caps.parse_reservation(record[place])
        if reserved and reserved.grant not in found:
            found[reserved.grant] = ReservedGrant(
                reserved, record[place].id in undone, _find_broken_caps(reserved, record, place)
            )
    return found


def _find_broken_caps(reserved: Reservation, record: Sequence[Entry], place: int) -> str:
    """Which cap a reservation breaks, by the day of the ledger before it."""
    end = next(
        (n + 1 for n in range(place, len(record)) if record[n].created < reserved.entry.created - DAY), len(record)
    )
    judged = caps.judge_caps(reserved, record[place:end], complete=end == len(record))
    if judged is None:
        return "the grants record does not hang together before it"
    limits = {"per_grant": reserved.caps.per_grant, "operator": reserved.caps.operator}
    limit = limits.get(judged.broken or "", reserved.caps.everyone)
    whose = {"per_grant": "one grant", "operator": "one operator in 24 hours"}.get(
        judged.broken or "", "all in 24 hours"
    )
    return "" if judged.fits else f"it takes what was given above the {money.format_dollars(limit)} of {whose}"


def judge_grants(reserved: Mapping[str, ReservedGrant], grants: Sequence[Credit]) -> list[Row]:
    """One row for each grant, and one for each reservation that waits for its grant."""
    by_name: dict[str, list[Credit]] = {}
    for grant in sorted(grants, key=lambda one: (one.entry.created, one.entry.id)):
        by_name.setdefault(grant.entry.metadata.get("grant", ""), []).append(grant)
    rows = []
    for name, some in by_name.items():
        for place, grant in enumerate(some):
            rows.append(_judge_grant(grant, reserved.get(name), is_duplicate=place > 0 and bool(name)))
    for name, one in reserved.items():
        if name not in by_name and not one.reversed:
            row = cells_of_lone_entry(one.entry, "grant") | {"credited_cents": 0}
            reason = f"{money.format_dollars(one.entry.cents)} reserved for {one.reservation.customer}, not given"
            rows.append(create_row(row, Status.PENDING, reason, "reservation"))
    return rows


def _judge_grant(grant: Credit, reservation: ReservedGrant | None, *, is_duplicate: bool) -> Row:
    row = cells_of_lone_entry(grant.entry, "grant") | {"credited_cents": grant.net}
    if grant.net == 0:
        return create_row(row, Status.REVERSED, "given and reversed in full", "grant", exception=False)
    if broken := _broken_rules(grant, reservation, is_duplicate=is_duplicate):
        return create_row(row, Status.GRANT_OVER_CAP, broken, "grant")
    if not grant.entry.metadata.get("operator") or not grant.entry.metadata.get("reason"):
        return create_row(row, Status.GRANT_NO_REASON, "it does not say who gave it, or why", "grant")
    given = f"{money.format_dollars(grant.net)} by {grant.entry.metadata['operator']}: {grant.entry.metadata['reason']}"
    return create_row(row, Status.GRANT, given, "grant")


def _broken_rules(grant: Credit, reservation: ReservedGrant | None, *, is_duplicate: bool) -> str:
    if grant.entry.currency != CURRENCY:
        return f"it is in {grant.entry.currency}"
    if reservation is None:
        return "the grants record holds no reservation for it"
    if is_duplicate:
        return "the form that reserved it had given before"
    if reservation.reversed:
        return "its reservation was reversed, so it is to be reversed too"
    if grant.entry.customer != reservation.reservation.customer:
        return f"it was reserved for {reservation.reservation.customer}"
    if grant.net != reservation.entry.cents:
        reserved, given = money.format_dollars(reservation.entry.cents), money.format_dollars(grant.net)
        return f"{reserved} was reserved for it, it is {given}"
    return reservation.broken_caps
