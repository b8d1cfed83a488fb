"""TokenBucket allows a burst, then a steady rate."""

from stateless_billing.runtime.token_bucket import RateLimit, TokenBucket


def test_burst_then_rate() -> None:
    bucket = TokenBucket(RateLimit(rate=2, burst=3))
    assert [bucket.take(100.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert [bucket.take(100.5), bucket.take(100.5)] == [0, 0.5]
    assert [bucket.take(200.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_a_rejected_call_takes_no_token() -> None:
    bucket = TokenBucket(RateLimit(rate=1, burst=1))
    assert bucket.take(0.0) == 0
    assert [bucket.take(0.25) for _ in range(9)] == [0.75] * 9
    assert bucket.take(1.0) == 0
