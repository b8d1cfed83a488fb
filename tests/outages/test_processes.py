"""New processes start beside the old ones, which stop while payments are made, bounded."""

from tests.outages.outage_processes import outage_rolling_deploy
from tests.outages.world import World


def test_payments_made_during_a_deployment_are_credited() -> None:
    outage_rolling_deploy(World(short=True))
