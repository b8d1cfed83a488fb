"""A request to the stand-in, and the definition of an endpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from stateless_billing.sandbox.account import Account
from stateless_billing.sandbox.answers import Json
from stateless_billing.sandbox.forms import Group
from stateless_billing.sandbox.listing_faults import NO_LISTING_FAULT, ListingFault
from stateless_billing.sandbox.parameters import Parameters


@dataclass(slots=True)
class Call:
    """The input of an endpoint: path ids, parameters, and the lags of lists and search in seconds.

    `listing_fault` falsifies a listing of balance transactions; other lists ignore it.
    """

    account: Account
    path: str
    ids: tuple[str, ...]
    group: Group
    list_lag: float
    search_lag: float
    listing_fault: ListingFault = NO_LISTING_FAULT

    def parameters(self) -> Parameters:
        """Return a fresh reader of the parameters."""
        return Parameters(self.group)


Work: TypeAlias = Callable[[float, int], Json]
"""Executes a validated request: takes the time and the `created` to write, returns the object."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route. `prepare` validates the parameters (its refusals are never saved) and returns the work."""

    method: str
    template: str
    permission: str
    prepare: Callable[[Call], Work]

    @property
    def name(self) -> str:
        """Method and template: the name used for counts and rate limits."""
        return f"{self.method} {self.template}"
