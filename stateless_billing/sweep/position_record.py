"""Writes the sweep's position to the service record, which only saves work after a restart."""

import logging
from collections.abc import Awaitable, Callable, Sequence

from stateless_billing.bookkeeping import records
from stateless_billing.bookkeeping.records import ServiceRecords
from stateless_billing.runtime.clock import Clock
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.sweep.checkpoint import GatewayCheckpoint, Position
from stateless_billing.sweep.index_agreement import IndexAgreement

log = logging.getLogger(__name__)

_PERSIST_SECONDS = 60


class PositionRecord:
    """The positions of all gateways in the service record. They pass only what two nodes agree on."""

    def __init__(
        self,
        service_records: ServiceRecords,
        agreement: IndexAgreement,
        clock: Clock,
        on_disagreement: Callable[[GatewayCheckpoint], Awaitable[None]],
    ) -> None:
        self._records = service_records
        self._agreement = agreement
        self._clock = clock
        self._on_disagreement = on_disagreement
        self._persisted: dict[str, str] = {}
        self._persisted_at = 0.0

    def resume(self, stored: dict[str, str]) -> None:
        """Note what the record holds."""
        self._persisted = stored

    async def write(self, checkpoints: Sequence[GatewayCheckpoint], *, force: bool) -> bool:
        """Write the checkpoints to the service record if due; False if the nodes do not agree on them."""
        positions = [checkpoint.snapshot() for checkpoint in checkpoints]
        record: dict[str, str] = {}
        for checkpoint, position in zip(checkpoints, positions, strict=True):
            record |= records.position_values(checkpoint.gateway, position.swept, position.open)
        due = force or self._clock.boot() - self._persisted_at >= _PERSIST_SECONDS
        if record == self._persisted or not due:
            return True
        self._persisted_at = self._clock.boot()
        if not await self._nodes_agree(checkpoints, positions):
            return False
        removed_keys = {name: "" for name in self._persisted if name not in record}
        try:
            await self._records.update(record | removed_keys)
        except StripeFailure as error:
            log.warning("service record: not updated, a restart would repeat work: %s", error)
            self._persisted = dict.fromkeys(record, "") | self._persisted  # it may have been: remove them later
            return True
        self._persisted = record
        for checkpoint, position in zip(checkpoints, positions, strict=True):
            checkpoint.mark_persisted(position)
        return True

    async def _nodes_agree(self, checkpoints: Sequence[GatewayCheckpoint], positions: Sequence[Position]) -> bool:
        """Whether two nodes agree on the blocks of all payments that the record would pass.

        A single lying node could insert a payment that does not exist. That shifts all later indexes by one, so that
        the record would pass a real payment, which would then never be credited.
        """
        for checkpoint, position in zip(checkpoints, positions, strict=True):
            agreed = await self._agreement.nodes_agree(
                checkpoint.gateway, position.passed_blocks, position.passed_sequences, position.passed_ends
            )
            if agreed is False:
                log.error(
                    "gateway %s: the nodes do not agree where its payments lie, rolling back to the service record",
                    checkpoint.gateway.address,
                )
                await self._on_disagreement(checkpoint)
            if agreed is None:
                log.warning(
                    "gateway %s: too few nodes confirm where its payments lie, service record not updated",
                    checkpoint.gateway.address,
                )
            if not agreed:
                return False
        return True
