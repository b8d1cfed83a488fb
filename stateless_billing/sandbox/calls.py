"""One request to the stand-in, and the shape of an endpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from stateless_billing.sandbox.account import Account
from stateless_billing.sandbox.answers import Json
from stateless_billing.sandbox.forms import Group
from stateless_billing.sandbox.parameters import Parameters
from stateless_billing.sandbox.tellings import TRUTH, Telling


@dataclass(slots=True)
class Call:
    """What an endpoint is given: ids of the path, parameters, and the lags of lists and search in seconds.

    `telling` is how a listing of balance transactions is told; the other lists pay no heed to it.
    """

    account: Account
    path: str
    ids: tuple[str, ...]
    group: Group
    list_lag: float
    search_lag: float
    telling: Telling = TRUTH

    def parameters(self) -> Parameters:
        """The parameters, each to be read once."""
        return Parameters(self.group)


Work: TypeAlias = Callable[[float, int], Json]
"""The execution of a validated request: takes the clock and the `created` to write, returns the object."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route: `prepare` checks the parameters (refusals there are never saved) and returns the work."""

    method: str
    template: str
    permission: str
    prepare: Callable[[Call], Work]

    @property
    def name(self) -> str:
        """Method and template, the name under which requests are counted and limited."""
        return f"{self.method} {self.template}"
