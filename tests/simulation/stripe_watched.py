"""The Stripe sandbox with callbacks on every row and metadata change."""

import random
from collections.abc import Callable

from stateless_billing.sandbox.account import Account
from stateless_billing.sandbox.answers import Outcome
from stateless_billing.sandbox.calls import Work
from stateless_billing.sandbox.effects import Effect
from stateless_billing.sandbox.effects import Work as Does
from stateless_billing.sandbox.records import Transaction
from stateless_billing.sandbox.stripe_api import Admitted, Request, StripeStandIn


class WatchedStripe(StripeStandIn):
    """Calls `row(row, late)` and `metadata(customer, before, after)`; `quietly` skips the changes of others.

    `at(seconds, call)` sets a timer, so that what Stripe completes later appears on time without a request.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        rng: random.Random,
        row: Callable[[Transaction, bool], None],
        metadata: Callable[[str, dict[str, str], dict[str, str]], None],
        at: Callable[[float, Callable[[], None]], object],
        *,
        list_lag: float,
        longest_key_life: float,
        save_refusals: bool,
    ) -> None:
        super().__init__(clock, rng, list_lag=list_lag, longest_key_life=longest_key_life, save_refusals=save_refusals)
        self._on_row, self._on_metadata, self._at = row, metadata, at
        self._rows: set[str] = set()
        self._metadata: dict[str, dict[str, str]] = {}
        self.ledger: Account = self.account

    def finish_late_work(self) -> None:
        """Complete what is due. Rows that appear now count as late."""
        super().finish_late_work()
        self._notify(late=True)

    def _run_work(self, effect: Effect, work: Work, now: float, arrived: int) -> Outcome:
        if effect.work is Does.LATER:
            self._at(effect.late_by, self.finish_late_work)
        return super()._run_work(effect, work, now, arrived)

    def _execute(self, request: Request, admitted: Admitted) -> Outcome:
        outcome = super()._execute(request, admitted)
        if request.method == "POST":
            self._notify(late=False)
        return outcome

    def quietly(self) -> None:
        """Mark all current rows and metadata as not written by the service."""
        for customer in self.ledger.customers:
            self._rows |= customer.by_id.keys()
            self._metadata[customer.id] = customer.contact.metadata

    def _notify(self, *, late: bool) -> None:
        for customer in self.ledger.customers:
            if len(customer.by_id) and not customer.by_id.keys() <= self._rows:
                for row in customer.rows:
                    if row.id not in self._rows:
                        self._rows.add(row.id)
                        self._on_row(row, late)
            before, after = self._metadata.get(customer.id, {}), customer.contact.metadata
            if before is not after:
                self._metadata[customer.id] = after
                self._on_metadata(customer.id, before, after)
