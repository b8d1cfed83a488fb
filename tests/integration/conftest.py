"""One chain and one set of stand-ins for each module; services are started by the tests that need them."""

from collections.abc import Iterator

import pytest

from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.shop import Shop

SETTINGS = {"CONFIRMATIONS": "10000:1s,100000:safe,finalized", "SWEEP": "off"}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A chain that mines when told to, two gateways, and the stand-ins."""
    with Stack.start(gateways=2, settings=SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def service(stack: Stack) -> Service:
    """A service that does not sweep, shared by a module's tests."""
    return stack.serve()


@pytest.fixture
def shop(stack: Stack) -> Iterator[Shop]:
    """Steps on the stack; faults do not outlive a test."""
    yield Shop(stack)
    stack.control("DELETE", "faults")
