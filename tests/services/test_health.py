"""Health checks at their limits."""

import pytest

from chain.payment import Block
from stateless_billing.runtime.clock import ReferenceClock
from stateless_billing.services import health
from tests.fakes.factories import FakeClock

NOW = 1_800_000_000


def block(age: int) -> Block:
    """A block of this age."""
    return Block(7, "0x" + "11" * 32, NOW - age)


@pytest.mark.parametrize(
    ("age", "word"), [(0, None), (60, None), (61, "behind"), (-120, None), (-121, "set the clock")]
)
def test_the_newest_block_by_the_machines_clock(age: int, word: str | None) -> None:
    fault = health.head_fault(block(age), ReferenceClock(FakeClock(wall_time=NOW)))
    assert (fault is None) if word is None else (fault is not None and word in fault)


@pytest.mark.parametrize("skew", [-120, -61, 0, 61, 120])
@pytest.mark.parametrize(
    ("age", "word"), [(0, None), (60, None), (61, "behind"), (-120, None), (-121, "ahead of Stripe's clock")]
)
def test_the_newest_block_by_stripes_clock(skew: int, age: int, word: str | None) -> None:
    time = ReferenceClock(FakeClock(wall_time=NOW + skew, boot_time=7))
    time.set(NOW - 7, NOW + skew - 7)
    fault = health.head_fault(block(age), time)
    assert (fault is None) if word is None else (fault is not None and word in fault)


@pytest.mark.parametrize("skew", [-600, -121, 121, 600])
def test_no_node_is_blamed_for_the_machines_clock(skew: int) -> None:
    time = ReferenceClock(FakeClock(wall_time=NOW + skew, boot_time=7))
    time.set(NOW - 7, NOW + skew - 7)
    assert health.head_fault(block(0), time) is None
    assert time.skew is not None
    assert "this machine's clock" in (health.clock_fault(time.skew) or "")


@pytest.mark.parametrize(("age", "healthy"), [(1200, True), (3600, True), (3601, False)])
def test_the_newest_final_block(age: int, healthy: bool) -> None:
    assert (health.finality_fault(block(age), NOW) is None) is healthy


@pytest.mark.parametrize(
    ("skew", "healthy"), [(0.0, True), (120.0, True), (-120.0, True), (121.0, False), (-121.0, False)]
)
def test_the_clock(skew: float, healthy: bool) -> None:
    assert (health.clock_fault(skew) is None) is healthy


@pytest.mark.parametrize(
    ("skew", "warned"), [(0.0, False), (60.0, False), (61.0, True), (-90.0, True), (120.0, True), (121.0, False)]
)
def test_the_clock_is_warned_of_before_it_stops_the_sending(skew: float, warned: bool) -> None:
    assert (health.clock_warning(skew) is not None) is warned


def test_the_signer() -> None:
    assert health.signer_fault("0xaa", "0xaa", "0xgateway") is None
    fault = health.signer_fault("0xaa", "0xbb", "0xgateway")
    assert fault is not None
    assert all(address in fault for address in ("0xaa", "0xbb", "0xgateway"))
