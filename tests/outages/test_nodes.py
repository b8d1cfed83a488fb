"""All nodes are away, bounded: payments that were made meanwhile are credited when they are back."""

from tests.outages.outage_nodes import outage_nodes_away
from tests.outages.world import World


def test_payments_made_without_nodes_are_credited_afterwards() -> None:
    assert not outage_nodes_away(World(short=True)).unsaid
