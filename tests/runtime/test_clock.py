"""The real clocks: unix seconds, and a clock that only goes on."""

from datetime import UTC, datetime

from stateless_billing.runtime.clock import SystemClock


def test_the_wall_clock_is_unix_seconds() -> None:
    assert abs(SystemClock().wall() - datetime.now(UTC).timestamp()) < 60


def test_the_boot_clock_goes_on() -> None:
    clock = SystemClock()
    read = [clock.boot() for _ in range(100)]
    assert read == sorted(read)
    assert read[0] > 0
