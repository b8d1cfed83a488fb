"""Fixtures: a core in process, and the stand-ins over HTTP on 127.0.0.1."""

from collections.abc import AsyncIterator

import pytest

from stateless_billing.sandbox.api_keys import DEFAULT_KEY
from stateless_billing.sandbox.sandbox import Sandbox
from stateless_billing.sandbox.server import serving
from tests.sandbox.asking import Asker, SetClock
from tests.sandbox.contract import Contract, contract_with


@pytest.fixture
def ask() -> Asker:
    """A fresh core."""
    return Asker()


@pytest.fixture
def clock() -> SetClock:
    """A clock that a test moves."""
    return SetClock()


@pytest.fixture
def sandbox() -> Sandbox:
    """Fresh stand-ins by the real clock, without a mail limit."""
    made = Sandbox(seed=7)
    made.mailbox.per_second = None
    return made


@pytest.fixture
async def base(sandbox: Sandbox) -> AsyncIterator[str]:
    """The address they are served at."""
    async with serving(sandbox) as address:
        yield address


@pytest.fixture
async def contract(sandbox: Sandbox) -> AsyncIterator[Contract]:
    """The contract under a full key."""
    async with serving(sandbox) as base, contract_with(sandbox, base, DEFAULT_KEY) as made:
        yield made
