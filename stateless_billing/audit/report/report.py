"""A report: its options, coverage and totals as plain JSON values. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stateless_billing.audit.report.row_spool import Spool
from stateless_billing.audit.rules.facts import Scope
from stateless_billing.audit.rules.rows import SCHEMA_VERSION, format_utc
from stateless_billing.version import VERSION

TOOL = {"name": "stateless-billing", "version": VERSION}


@dataclass(frozen=True, slots=True)
class Options:
    """The options of an audit. `at` pins block and time to reproduce a report.

    `treasury_opening` is the treasury's balance before the first block, in base units, as the auditor knows it.
    """

    since: str | None = None
    until: str | None = None
    customer: str | None = None
    deep: bool = False
    at: str | None = None
    accepted: bytes = b""
    treasury: bool = False
    treasury_opening: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the options as a JSON object."""
        return {
            "from": self.since,
            "to": self.until,
            "customer": self.customer,
            "deep": self.deep,
            "treasury": self.treasury,
            "treasury_opening_raw": None if self.treasury_opening is None else str(self.treasury_opening),
            "accepted_sha256": hashlib.sha256(self.accepted).hexdigest() if self.accepted else None,
        }


@dataclass(slots=True)
class Coverage:
    """What was read.

    `missing` has a sentence for each source that failed. What the options left out is no failure.
    """

    missing: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def unread_parts(self) -> list[str]:
        """What the options left out, one sentence each."""
        return list(self.facts.get("scope", {}).get("not_read", ()))

    @property
    def is_complete(self) -> bool:
        """Whether every source was read completely."""
        return not self.missing

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a count of items that were read."""
        self.counts[name] = self.counts.get(name, 0) + amount

    def as_dict(self) -> dict[str, Any]:
        """Return the coverage as a JSON object."""
        return {
            "complete": self.is_complete,
            "missing": sorted(self.missing),
            **self.facts,
            **dict(sorted(self.counts.items())),
        }


@dataclass(slots=True)
class Report:
    """A report. Its rows are in the spool. `tool` is the program that it is made with."""

    options: Options
    coverage: Coverage
    spool: Spool
    scope: Scope | None = None
    chain_totals: dict[str, Any] = field(default_factory=dict)
    tool: dict[str, str] = field(default_factory=lambda: dict(TOOL))

    @property
    def is_clean(self) -> bool:
        """Whether every source was read and no row is an exception."""
        return self.coverage.is_complete and self.spool.totals.exceptions == 0

    def head(self) -> dict[str, Any]:
        """Return everything but the rows as a JSON object."""
        totals = self.spool.totals
        cents = totals.cents
        return {
            "schema_version": SCHEMA_VERSION,
            "tool": self.tool,
            "inputs": self.options.as_dict() | {"at": snapshot_label(self.scope) if self.scope else None},
            "summary": {
                "clean": self.is_clean,
                "rows": len(self.spool),
                "exceptions": totals.exceptions,
                "statuses": {name: count for name, count in sorted(totals.statuses.items()) if count},
            },
            "coverage": self.coverage.as_dict(),
            "totals": {
                **self.chain_totals,
                "expected_cents": cents["expected"],
                "credited_cents": cents["credited"],
                "granted_cents": cents["granted"],
                "unexplained_cents": cents["unexplained"],
                "held_cents": cents["held"],
                "pending_cents": cents["pending"],
                "difference_cents": cents["credited"] - cents["expected"],
            },
        }


def snapshot_label(scope: Scope) -> str:
    """Return the value of `--at` that reproduces a report."""
    return f"{scope.block}:{scope.time}"


def describe_sources(scope: Scope, hosts: Sequence[str], codes: dict[str, str], *, live: bool) -> dict[str, Any]:
    """Return the coverage facts of a scope and the sources behind it."""
    return {
        "chain_id": scope.chain_id,
        "gateways": codes,
        "token": scope.token,
        "from_block": scope.first_block,
        "to_block": scope.block,
        "to_block_hash": scope.block_hash,
        "to_block_time_utc": format_utc(scope.block_time),
        "from_time_utc": format_utc(scope.start) if scope.start else None,
        "entries_until_utc": format_utc(scope.time),
        "finality": "finalized",
        "stripe_livemode": live,
        "nodes": list(hosts),
    }
