"""Who ran an audit, when, and with which program and settings.

It stands beside the report and not in it: the report is the same, byte for byte, whoever makes it.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from stateless_billing.audit.rules.rows import format_utc
from stateless_billing.settings import Settings
from stateless_billing.version import VERSION, read_commit

NOBODY_NAMED = "nobody named"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. `settings` are those that an audit uses, without secrets."""

    by: str
    started_utc: str
    ended_utc: str
    version: str
    commit: str
    settings: dict[str, Any]

    @property
    def sentence(self) -> str:
        """The run in one sentence."""
        return f"Run by {self.by}, {self.started_utc} to {self.ended_utc}, with version {self.version} ({self.commit})"

    def as_json(self) -> str:
        """Return the record as a file."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def create_run_record(settings: Settings, by: str | None, started: int, ended: int) -> RunRecord:
    """Create the record of a run between two Unix times. `by` is a name as the auditor or the sign-in gives it."""
    return RunRecord(
        by=by or NOBODY_NAMED,
        started_utc=format_utc(started),
        ended_utc=format_utc(ended),
        version=VERSION,
        commit=read_commit(),
        settings={
            "CHAIN_ID": settings.chain_id,
            "GATEWAY_ADDRESSES": list(settings.gateway_addresses),
            "KNOWN_SOURCES": dict(settings.known_sources),
            "OTHER_CREDITS": {name: pattern.pattern for name, pattern in settings.other_credits.patterns},
            "PROCESSES": settings.processes,
            "SERVICE_CUSTOMER_ID": settings.service_customer_id,
            "STRIPE_API_KEY": "a live key" if settings.is_live else "a test key",
            "STRIPE_RATE": settings.stripe_rate,
            "STRIPE_TOTAL_RATE": settings.stripe_total_rate,
        },
    )
