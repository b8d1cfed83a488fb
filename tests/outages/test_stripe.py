"""Outages of Stripe, bounded: what payers are told meanwhile, and that everything due is credited afterwards."""

import pytest

from tests.outages.outage_stripe import outage_stripe_503, outage_stripe_read_reset
from tests.outages.outage_stripe_answers import seconds_until_the_next_key
from tests.outages.runner import Outage
from tests.outages.world import World


@pytest.mark.parametrize("outage", [outage_stripe_503, outage_stripe_read_reset])
def test_what_waits_is_credited_after_the_outage(outage: Outage) -> None:
    assert not outage(World(short=True)).unsaid


def test_a_repeated_lock_timeout_ends_with_the_next_key() -> None:
    assert seconds_until_the_next_key() < 25 * 3600
