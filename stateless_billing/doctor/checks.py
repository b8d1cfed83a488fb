"""What the doctor finds: each thing looked at, whether it is well, and what to do where it is not."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from chain.errors import ChainError
from stateless_billing.stripe.errors import StripeFailure

CLEAN, FINDINGS, USAGE, UNREAD = range(4)
SCHEMA_VERSION = 1


class State(StrEnum):
    """How a thing is."""

    OK = "ok"
    NOTE = "note"
    """Well enough to run; worth knowing."""
    MEND = "mend"
    UNREAD = "unread"
    """It could not be looked at."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: what was found, and what to do about it. Neither ever holds a secret."""

    name: str
    state: State
    detail: str
    mend: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing has to be done."""
        return self.state in (State.OK, State.NOTE)

    def line(self) -> str:
        """The check as a line for people."""
        word = self.state.upper() if self.state in (State.MEND, State.UNREAD) else self.state.value
        return f"{word:<6} {self.name}: {self.detail}" + (f" -> {self.mend}" if self.mend else "")


class CheckFailed(Exception):
    """What was found is wrong: the fault, and what mends it."""

    def __init__(self, fault: str, mend: str) -> None:
        super().__init__(fault)
        self.fault, self.mend = fault, mend


class CheckSkipped(CheckFailed):
    """It could not be found out: why, and what to try."""


class CheckNoted(CheckFailed):
    """Nothing is wrong, but somebody should know."""


async def run_check(name: str, checking: Callable[[], Awaitable[str]]) -> Check:
    """Look at one thing: what it says is the detail, what it raises is the finding."""
    try:
        return Check(name, State.OK, await checking())
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
    """The exit code: something could not be looked at, else something is to be mended, else all is well."""
    states = {check.state for check in checks}
    if State.UNREAD in states:
        return UNREAD
    return FINDINGS if State.MEND in states else CLEAN


def as_document(checks: list[Check], exit_code: int) -> dict[str, object]:
    """The checks for machines."""
    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": exit_code,
        "checks": [
            {"name": one.name, "state": one.state.value, "detail": one.detail, "mend": one.mend or None}
            for one in checks
        ],
    }
