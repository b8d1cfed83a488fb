"""Judges every grant against the grants record, the single ledger of all grants. Pure."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from stateless_billing.audit.rules.payments import Credit
from stateless_billing.audit.rules.rows import Row, cells_of_decision, cells_of_lone_entry, create_row
from stateless_billing.audit.rules.statuses import Status
from stateless_billing.domain import money
from stateless_billing.domain.epochs import EPOCH_SECONDS, QUIET_SECONDS
from stateless_billing.domain.ledger import CURRENCY, Entry
from stateless_billing.grants import caps
from stateless_billing.grants.caps import DAY, Reservation


@dataclass(frozen=True, slots=True)
class ReservedGrant:
    """A reservation, whether it was reversed, and which cap it breaks."""

    reservation: Reservation
    reversed: bool
    broken_cap: str

    @property
    def entry(self) -> Entry:
        """The entry on the grants record."""
        return self.reservation.entry


def collect_reservations(record: Sequence[Entry]) -> dict[str, ReservedGrant]:
    """Index the complete grants record, newest first, by grant.

    Caps are judged as the service does.
    """
    reversed_ids = {entry.metadata.get("reverses", "") for entry in record if entry.kind == "reversal"}
    reservations: dict[str, ReservedGrant] = {}
    for index in range(len(record) - 1, -1, -1):
        entry = record[index]
        reservation = caps.parse_reservation(entry)
        if reservation and reservation.grant not in reservations:
            broken_cap = _describe_broken_cap(reservation, record, index)
            reservations[reservation.grant] = ReservedGrant(reservation, entry.id in reversed_ids, broken_cap)
    return reservations


def _describe_broken_cap(reservation: Reservation, record: Sequence[Entry], index: int) -> str:
    """Describe the cap that a reservation breaks, by the 24 hours before it, or return ""."""
    end = next(
        (n + 1 for n in range(index, len(record)) if record[n].created < reservation.entry.created - DAY), len(record)
    )
    verdict = caps.judge_caps(reservation, record[index:end], complete=end == len(record))
    if verdict is None:
        return "the grants record before it does not add up"
    limits = {"per_grant": reservation.caps.per_grant, "operator": reservation.caps.operator}
    limit = limits.get(verdict.broken or "", reservation.caps.everyone)
    owners = {"per_grant": "one grant", "operator": "one operator in 24 hours"}
    owner = owners.get(verdict.broken or "", "all operators in 24 hours")
    return "" if verdict.fits else f"it exceeds the cap of {money.format_dollars(limit)} for {owner}"


def judge_grants(
    reservations: Mapping[str, ReservedGrant],
    grants: Sequence[Credit],
    *,
    awaited: Container[str] | None = None,
    deleted: Container[str] = (),
    time: int = 0,
) -> list[Row]:
    """Create a row for each grant, and for each reservation without one.

    `awaited` are the reservations whose customer was read; None means all. `deleted` are customers without a ledger.
    """
    by_name: dict[str, list[Credit]] = {}
    for grant in sorted(grants, key=lambda grant: (grant.entry.created, grant.entry.id)):
        by_name.setdefault(grant.entry.metadata.get("grant", ""), []).append(grant)
    rows = []
    for name, same_name in by_name.items():
        for index, grant in enumerate(same_name):
            rows.append(_judge_grant(grant, reservations.get(name), is_duplicate=index > 0 and bool(name)))
    for name, reserved in reservations.items():
        if name not in by_name and not reserved.reversed and (awaited is None or name in awaited):
            rows.append(_judge_ungiven(reserved, time, is_deleted=reserved.reservation.customer in deleted))
    return rows


def _judge_ungiven(reserved: ReservedGrant, time: int, *, is_deleted: bool) -> Row:
    """Judge a reservation without a grant: after its first epoch the grant is never sent, only taken back."""
    row = cells_of_lone_entry(reserved.entry, "grant") | {"credited_cents": 0}
    reason = f"{money.format_dollars(reserved.entry.cents)} reserved for {reserved.reservation.customer}"
    age = time - reserved.entry.created
    if is_deleted:
        gone = "which was deleted: nobody can read any more whether it was given"
        return create_row(row, Status.HELD, f"{reason}, {gone}", "reservation")
    if age < EPOCH_SECONDS + QUIET_SECONDS:
        return create_row(row, Status.PENDING, f"{reason}, not given", "reservation")
    return create_row(
        row, Status.GRANT_OVER_CAP, f"{reason} {age} s ago, and neither given nor taken back", "reservation"
    )


def _judge_grant(grant: Credit, reserved: ReservedGrant | None, *, is_duplicate: bool) -> Row:
    row = cells_of_lone_entry(grant.entry, "grant") | {"credited_cents": grant.net}
    row |= cells_of_decision(None, None, grant.reversals)
    if grant.net == 0:
        return create_row(row, Status.REVERSED, "given and reversed in full", "grant", exception=False)
    if broken := _describe_broken_rule(grant, reserved, is_duplicate=is_duplicate):
        return create_row(row, Status.GRANT_OVER_CAP, broken, "grant")
    if not grant.entry.metadata.get("operator") or not grant.entry.metadata.get("reason"):
        return create_row(row, Status.GRANT_NO_REASON, "it does not say who gave it, or why", "grant")
    reason = (
        f"{money.format_dollars(grant.net)} by {grant.entry.metadata['operator']}: {grant.entry.metadata['reason']}"
    )
    return create_row(row, Status.GRANT, reason, "grant")


def _describe_broken_rule(grant: Credit, reserved: ReservedGrant | None, *, is_duplicate: bool) -> str:
    if grant.entry.currency != CURRENCY:
        return f"it is in {grant.entry.currency}"
    if reserved is None:
        return "the grants record holds no reservation for it"
    if is_duplicate:
        return "its reservation was already used for another grant"
    if reserved.reversed:
        return "its reservation was reversed, so it must be reversed too"
    if grant.entry.customer != reserved.reservation.customer:
        return f"it was reserved for {reserved.reservation.customer}"
    if grant.net != reserved.entry.cents:
        return f"{money.format_dollars(reserved.entry.cents)} was reserved, but it is {money.format_dollars(grant.net)}"
    return reserved.broken_cap
