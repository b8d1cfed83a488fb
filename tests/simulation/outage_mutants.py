"""Mutants of the rules about outages, each with the themes whose seeds detect it."""

from collections.abc import Callable

from chain.failover import FailoverProvider
from chain.provider import ChainClient
from stateless_billing.crediting import confirmations
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.status_cache import StatusCache, _Pending
from stateless_billing.domain.finality import Heads
from tests.simulation.grant_mutants import Patch


def waits_outlive_the_outage() -> list[Patch]:
    """What waits for a party keeps its schedule when that party answers again."""

    def is_over(self: StatusCache, pending: _Pending) -> bool:
        return False

    return [(StatusCache, "_is_over", is_over)]


def a_stuck_node_stays_first() -> list[Patch]:
    """Nodes are asked in the order of the settings, however old their newest block is."""

    async def refresh(self: FailoverProvider, max_age_seconds: float) -> None:
        return None

    async def fresh_heads(self: Confirmations, reader: ChainClient) -> Heads:
        return await self._read_heads(reader)

    return [(FailoverProvider, "refresh", refresh), (Confirmations, "_fresh_heads", fresh_heads)]


def small_final_payments_wait_for_two_nodes() -> list[Patch]:
    """The first tier is credited on one node's word before finality only."""
    return [(confirmations._HourlySum, "take", lambda self, payment: False)]


OUTAGE_MUTANTS: dict[str, tuple[Callable[[], list[Patch]], tuple[str, ...]]] = {
    mutant.__name__: (mutant, themes)
    for mutant, themes in (
        (waits_outlive_the_outage, ("stripe_returns",)),
        (a_stuck_node_stays_first, ("node_returns",)),
        (small_final_payments_wait_for_two_nodes, ("node_returns",)),
    )
}
