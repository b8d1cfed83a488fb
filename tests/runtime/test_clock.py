"""The machine's clocks, and another party's."""

from datetime import UTC, datetime

import pytest

from stateless_billing.runtime.clock import ReferenceClock, SystemClock
from tests.fakes.factories import FakeClock


def test_wall_is_unix_time() -> None:
    assert abs(SystemClock().wall() - datetime.now(UTC).timestamp()) < 60


def test_boot_never_goes_back() -> None:
    clock = SystemClock()
    readings = [clock.boot() for _ in range(100)]
    assert readings == sorted(readings)
    assert readings[0] > 0


def test_another_partys_clock_goes_on_with_the_boot_clock() -> None:
    own = FakeClock(wall_time=1_000_090, boot_time=50)
    clock = ReferenceClock(own)
    assert (clock.wall(), clock.boot(), clock.skew, clock.has_jumped) == (1_000_090, 50, None, False)
    clock.set(1_000_000 - 50, 1_000_090 - 50)
    own.wait(700)
    assert (clock.wall(), clock.boot(), clock.skew) == (1_000_700, 750, 90)


@pytest.mark.parametrize("jump", [-3600, -61, 61, 3600])
def test_after_a_jump_it_is_not_known(jump: int) -> None:
    own = FakeClock(wall_time=1_000_000, boot_time=50)
    clock = ReferenceClock(own)
    clock.set(1_000_000 - 50, 1_000_000 - 50)
    own.wall_time += jump
    assert (clock.has_jumped, clock.skew, clock.wall()) == (True, None, 1_000_000 + jump)
    clock.set(1_000_000 - 50, 1_000_000 + jump - 50)
    assert (clock.has_jumped, clock.skew, clock.wall()) == (False, jump, 1_000_000)
