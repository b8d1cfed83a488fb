"""Fixtures: an in-process stand-in, and all stand-ins over HTTP on 127.0.0.1."""

from collections.abc import AsyncIterator

import pytest

from stateless_billing.sandbox.api_keys import DEFAULT_KEY
from stateless_billing.sandbox.sandbox import Sandbox
from stateless_billing.sandbox.server import serving
from tests.sandbox.contract import Contract, contract_with
from tests.sandbox.in_process_client import InProcessClient, SetClock


@pytest.fixture
def ask() -> InProcessClient:
    """Return a fresh in-process client."""
    return InProcessClient()


@pytest.fixture
def clock() -> SetClock:
    """Return a clock that the test advances."""
    return SetClock()


@pytest.fixture
def sandbox() -> Sandbox:
    """Return fresh stand-ins with the real clock and no mail limit."""
    made = Sandbox(seed=7)
    made.mailbox.per_second = None
    return made


@pytest.fixture
async def base(sandbox: Sandbox) -> AsyncIterator[str]:
    """Serve the stand-ins; yields their address."""
    async with serving(sandbox) as address:
        yield address


@pytest.fixture
async def contract(sandbox: Sandbox) -> AsyncIterator[Contract]:
    """Return the contract with a full key."""
    async with serving(sandbox) as base, contract_with(sandbox, base, DEFAULT_KEY) as made:
        yield made
