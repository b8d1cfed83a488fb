"""Rates that admins set for a limited time, as the service record stores them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from stateless_billing.domain.money import format_decimal, parse_rate

KEY = "rate_override"
REASON = "rate_override_reason"
PROPOSAL = "rate_proposal"
PROPOSAL_REASON = "rate_proposal_reason"
MAX_OVERRIDE_SECONDS = 24 * 3600
MAX_HISTORY = 5  # slots for the latest overrides, reused in turn
_SLOTS_READ = 10  # earlier versions wrote ten, and payments may still wait for what these say
_MAX_REASON_CHARACTERS = 500  # Stripe's limit of a value


@dataclass(frozen=True, slots=True)
class Override:
    """A rate in 10^-18 dollars per whole token, who set it and who confirmed it, and its Unix time range."""

    rate: int
    operator: str
    since: int
    until: int
    reason: str = ""
    slot: int | None = None
    confirmed_by: str = ""

    def __str__(self) -> str:
        text = f"{format_decimal(self.rate)}:{self.operator}:{self.since}:{self.until}"
        return f"{text}:{self.confirmed_by}" if self.confirmed_by else text

    def applies_at(self, time: int) -> bool:
        """Whether it sets the rate at `time`."""
        return self.since <= time < self.until


@dataclass(frozen=True, slots=True)
class NewRate:
    """A rate that an admin sets or proposes for `seconds` from the moment in which it is written."""

    rate: int
    operator: str
    seconds: int
    reason: str
    confirmed_by: str = ""

    def starting(self, now: int) -> Override:
        """Return the override from `now` on."""
        until, reason = now + min(self.seconds, MAX_OVERRIDE_SECONDS), self.reason[:_MAX_REASON_CHARACTERS]
        return Override(self.rate, self.operator, now, until, reason, confirmed_by=self.confirmed_by)


_OVERRIDE = re.compile(
    r"(?P<rate>[^:]+):(?P<operator>.+?):(?P<since>[0-9]{1,12}):(?P<until>[0-9]{1,12})(?::(?P<second>[^:]+))?", re.ASCII
)


def parse_override(text: str, reason: str = "", slot: int | None = None) -> Override | None:
    """Parse `<rate>:<operator>:<from>:<until>[:<second admin>]`; None if it is malformed."""
    match = _OVERRIDE.fullmatch(text)
    rate = parse_rate(match["rate"]) if match else None
    if match is None or rate is None:
        return None
    since, until = int(match["since"]), int(match["until"])
    return Override(rate, match["operator"], since, until, reason, slot, match["second"] or "")


def parse_proposal(metadata: Mapping[str, str]) -> Override | None:
    """Parse the rate that waits for another admin; None if there is none."""
    return parse_override(metadata.get(PROPOSAL, ""), metadata.get(PROPOSAL_REASON, ""))


def parse_history(metadata: Mapping[str, str]) -> list[Override]:
    """Parse the latest overrides, newest first, including the current one."""
    overrides = []
    for slot in range(_SLOTS_READ):
        override = parse_override(metadata.get(f"{KEY}:{slot}", ""), metadata.get(f"{REASON}:{slot}", ""), slot)
        if override:
            overrides.append(override)
    return sorted(overrides, key=lambda override: override.since, reverse=True)


def override_at(metadata: Mapping[str, str], time: int) -> Override | None:
    """Return the newest override that applies at `time`."""
    overrides = parse_history(metadata)
    if current := parse_override(metadata.get(KEY, "")):
        overrides.append(current)
    applicable = (override for override in overrides if override.applies_at(time))
    return max(applicable, key=lambda override: override.since, default=None)


def ended_values(overrides: list[Override], now: int) -> dict[str, str]:
    """Return the metadata that ends the overrides that apply now."""
    current = [override for override in overrides if override.applies_at(now)]
    return {f"{KEY}:{override.slot}": str(replace(override, until=now)) for override in current}


def set_values(metadata: Mapping[str, str], new: NewRate, now: int) -> tuple[dict[str, str], Override]:
    """Return the metadata that sets a rate from `now` on, and its override: the current one ends, and the proposal."""
    history = parse_history(metadata)
    used = {override.slot for override in history}
    free = [slot for slot in range(MAX_HISTORY) if slot not in used]
    reusable = [override.slot for override in history if override.slot is not None and override.slot < MAX_HISTORY]
    slot = free[0] if free else reusable[-1]
    override = replace(new.starting(now), slot=slot)
    values = {KEY: str(override), f"{KEY}:{slot}": str(override), f"{REASON}:{slot}": override.reason}
    return ended_values(history, now) | values | {PROPOSAL: "", PROPOSAL_REASON: ""}, override


def cleared_values(metadata: Mapping[str, str], note: str, now: int) -> dict[str, str]:
    """Return the metadata that ends the current override; `note` joins its reason."""
    history = parse_history(metadata)
    notes = {
        f"{REASON}:{override.slot}": f"{override.reason}; {note}"[:_MAX_REASON_CHARACTERS]
        for override in history
        if note and override.applies_at(now)
    }
    return {KEY: "", **notes, **ended_values(history, now)}
