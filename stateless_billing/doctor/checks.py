"""Check results of `doctor`: the state of each checked item and how to fix it."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from chain.errors import ChainError
from stateless_billing.stripe.errors import StripeFailure

CLEAN, FINDINGS, USAGE, UNREAD = range(4)
SCHEMA_VERSION = 1


class State(StrEnum):
    """The state of a checked item."""

    OK = "ok"
    NOTE = "note"
    """The service can run, but operators should know."""
    MEND = "mend"
    UNREAD = "unread"
    """It could not be checked."""


@dataclass(frozen=True, slots=True)
class Check:
    """A checked item: the detail found and how to fix it. Neither may contain a secret."""

    name: str
    state: State
    detail: str
    mend: str = ""

    @property
    def ok(self) -> bool:
        """Whether no action is needed."""
        return self.state in (State.OK, State.NOTE)

    def line(self) -> str:
        """Format the check as a line of text."""
        state = self.state.upper() if self.state in (State.MEND, State.UNREAD) else self.state.value
        fix = f" -> {self.mend}" if self.mend else ""
        return f"{state:<6} {self.name}: {self.detail}{fix}"


class CheckFailed(Exception):
    """A check found a fault: `fault` describes it, `mend` says how to fix it."""

    def __init__(self, fault: str, mend: str) -> None:
        super().__init__(fault)
        self.fault = fault
        self.mend = mend


class CheckSkipped(CheckFailed):
    """A check could not be made: why, and what to try."""


class CheckNoted(CheckFailed):
    """A check found something operators should know, but no fault."""


async def run_check(name: str, check: Callable[[], Awaitable[str]]) -> Check:
    """Run one check. It returns the detail, or raises the outcome."""
    try:
        return Check(name, State.OK, await check())
    except CheckSkipped as error:
        return Check(name, State.UNREAD, error.fault, error.mend)
    except CheckNoted as error:
        return Check(name, State.NOTE, error.fault, error.mend)
    except CheckFailed as error:
        return Check(name, State.MEND, error.fault, error.mend)
    except ChainError as error:
        return Check(
            name, State.UNREAD, f"the chain could not be read: {error}", "Check RPC_URLS and GATEWAY_ADDRESSES."
        )
    except StripeFailure as error:
        return Check(name, State.UNREAD, f"Stripe could not be read: {error}", "Check STRIPE_API_BASE, or try again.")


def exit_code_of(checks: Iterable[Check]) -> int:
    """The exit code: unread if anything could not be checked, else findings if anything needs a fix, else clean."""
    states = {check.state for check in checks}
    if State.UNREAD in states:
        return UNREAD
    return FINDINGS if State.MEND in states else CLEAN


def as_document(checks: list[Check], exit_code: int) -> dict[str, object]:
    """The checks as a JSON document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": exit_code,
        "checks": [
            {"name": check.name, "state": check.state.value, "detail": check.detail, "mend": check.mend or None}
            for check in checks
        ],
    }
