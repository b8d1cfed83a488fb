"""One chain and one set of stand-ins per module; tests start the services they need."""

from collections.abc import Iterator

import pytest

from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.shop import Shop

SETTINGS = {"CONFIRMATIONS": "10000:1s,100000:safe,finalized", "SWEEP": "off"}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Run a chain that mines on request, two gateways, and the stand-ins."""
    with Stack.start(gateways=2, settings=SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def service(stack: Stack) -> Service:
    """Start a service that does not sweep, shared by a module's tests."""
    return stack.serve()


@pytest.fixture
def shop(stack: Stack) -> Iterator[Shop]:
    """Return the steps on the stack; faults end with the test."""
    yield Shop(stack)
    stack.control("DELETE", "faults")
