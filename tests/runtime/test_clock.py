"""SystemClock."""

from datetime import UTC, datetime

from stateless_billing.runtime.clock import SystemClock


def test_wall_is_unix_time() -> None:
    assert abs(SystemClock().wall() - datetime.now(UTC).timestamp()) < 60


def test_boot_never_goes_back() -> None:
    clock = SystemClock()
    readings = [clock.boot() for _ in range(100)]
    assert readings == sorted(readings)
    assert readings[0] > 0
