"""A chain and its stand-ins, and a doctor that is asked in process."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stateless_billing.doctor.checks import Check
from stateless_billing.doctor.examination import examine
from stateless_billing.runtime.clock import SystemClock
from stateless_billing.sandbox.api_keys import BALANCE_WRITE, CUSTOMER_WRITE
from stateless_billing.sandbox.stack import Stack
from stateless_billing.services.container import Services
from stateless_billing.settings import SERVE, load
from tests.doctor.lying import Lie, Lying

RIGHT_KEY = "rk_test_just_what_is_needed"
MAIN_NODE, OTHER_NODE = "127.0.0.1", "localhost"


@dataclass
class Clinic:
    """A stack, and the doctor's visits to it."""

    stack: Stack
    records: Path

    async def visit(self, lie: Lie | None = None, host: str = MAIN_NODE, **changes: str) -> dict[str, Check]:
        """What is found with these settings, by name."""
        self.stack.chain.mine(1)
        environ = {**self.stack.settings, "STRIPE_API_KEY": RIGHT_KEY, **changes}
        nodes = Lying(lie, host) if lie else None
        async with Services(load(SERVE, environ), SystemClock(), nodes) as services:
            found = await examine(services, self.records)
        for check in found:
            assert not any(secret in check.line() for secret in self.secrets(environ)), check
        return {check.name: check for check in found}

    @staticmethod
    def secrets(environ: dict[str, str]) -> list[str]:
        """What no line may hold."""
        names = ("STRIPE_API_KEY", "SIGNER_KEY", "SESSION_SECRETS", "RESEND_API_KEY", "COINGECKO_API_KEY")
        return [environ[name] for name in names if environ.get(name)]

    def key(self, secret: str, *permissions: str, full: bool = False) -> str:
        """A key that may do this."""
        body = {"secret": secret, "permissions": None if full else list(permissions)}
        self.stack.control("POST", "api_keys", body)
        return secret

    def both_nodes(self) -> str:
        """The chain's node under two names."""
        return f"{self.stack.chain.url},{self.stack.chain.url.replace(MAIN_NODE, OTHER_NODE)}"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A chain that mines when told to, and the stand-ins."""
    with Stack.start() as running:
        running.control("POST", "mails/settings", {"per_second": None})
        yield running


@pytest.fixture
def clinic(stack: Stack, tmp_path: Path) -> Iterator[Clinic]:
    """A doctor; what a test changes ends with it."""
    before = stack.chain.rpc("evm_snapshot")
    made = Clinic(stack, tmp_path)
    made.key(RIGHT_KEY, CUSTOMER_WRITE, BALANCE_WRITE)
    yield made
    stack.chain.rpc("evm_revert", before)
    stack.control("DELETE", "faults")
    stack.control("POST", "clock", {"offset": 0})
    stack.control("POST", "mails/settings", {"api_keys": [], "full_access": False})
    stack.control("POST", "price", {"price": "0.006"})
