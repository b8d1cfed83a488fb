"""Health checks at their limits."""

import pytest

from chain.payment import Block
from stateless_billing.services import health

NOW = 1_800_000_000


def block(age: int) -> Block:
    """A block of this age."""
    return Block(7, "0x" + "11" * 32, NOW - age)


@pytest.mark.parametrize(
    ("age", "word"), [(0, None), (60, None), (61, "behind"), (-120, None), (-121, "set the clock")]
)
def test_the_newest_block(age: int, word: str | None) -> None:
    fault = health.head_fault(block(age), NOW)
    assert (fault is None) if word is None else (fault is not None and word in fault)


@pytest.mark.parametrize(("age", "healthy"), [(1200, True), (3600, True), (3601, False)])
def test_the_newest_final_block(age: int, healthy: bool) -> None:
    assert (health.finality_fault(block(age), NOW) is None) is healthy


@pytest.mark.parametrize(
    ("skew", "healthy"), [(0.0, True), (120.0, True), (-120.0, True), (121.0, False), (-121.0, False)]
)
def test_the_clock(skew: float, healthy: bool) -> None:
    assert (health.clock_fault(skew) is None) is healthy


def test_the_signer() -> None:
    assert health.signer_fault("0xaa", "0xaa", "0xgateway") is None
    fault = health.signer_fault("0xaa", "0xbb", "0xgateway")
    assert fault is not None
    assert all(address in fault for address in ("0xaa", "0xbb", "0xgateway"))
