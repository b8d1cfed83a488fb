"""So many at once, so many a second."""

from stateless_billing.runtime.token_bucket import RateLimit, TokenBucket


def test_a_burst_and_then_the_rate() -> None:
    budget = TokenBucket(RateLimit(rate=2, burst=3))
    assert [budget.take(100.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert [budget.take(100.5), budget.take(100.5)] == [0, 0.5]
    assert [budget.take(200.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_asking_in_vain_costs_nothing() -> None:
    budget = TokenBucket(RateLimit(rate=1, burst=1))
    assert budget.take(0.0) == 0
    assert [budget.take(0.25) for _ in range(9)] == [0.75] * 9
    assert budget.take(1.0) == 0
