"""Notices that Stripe answers again after a failure, so that what waits for it is due at once.

Also asks Stripe for the time when the machine's clock was set.
"""

import asyncio
import logging

from stateless_billing.bookkeeping.records import NotOurAccount, ServiceRecords
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.errors import StripeFailure

log = logging.getLogger(__name__)

PROBE_SECONDS = 5
_QUIET_SECONDS = 2  # after the last call: a busy process needs no probe


class StripeProbe:
    """Reads Stripe every few seconds while its last call failed or its time is not known any more.

    A service without failures reads nothing.
    """

    def __init__(self, stripe: StripeApi, records: ServiceRecords, clock: Clock) -> None:
        self._health = stripe.health
        self._records = records
        self._clock = clock

    async def watch(self) -> None:
        """Probe until cancelled."""
        while True:
            try:
                await self.probe()
            except Exception:
                log.exception("the probe of Stripe failed, it goes on")
            await asyncio.sleep(PROBE_SECONDS)

    async def probe(self) -> None:
        """Read the records if the last call failed or was limited some seconds ago, or the machine's clock was set."""
        has_failed = self._health.failure is not None or self._health.limited
        last_at = max(self._health.failed_at, self._health.answered_at or 0.0)
        if has_failed and self._clock.boot() - last_at < _QUIET_SECONDS:
            return
        if not (has_failed or self._health.connection_fault or self._health.time.has_jumped):
            return
        try:
            await self._records.load()
        except (StripeFailure, NotOurAccount) as error:
            log.warning("Stripe does not answer yet: %s", error)
