"""A local chain with sandbox services, and `doctor` run in process."""

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
from tests.doctor.lying_transport import Lie, LyingTransport

RIGHT_KEY = "rk_test_just_what_is_needed"
MAIN_NODE, OTHER_NODE = "127.0.0.1", "localhost"


@dataclass
class Clinic:
    """A stack and its deployment records, on which the checks run."""

    stack: Stack
    records: Path

    async def visit(self, lie: Lie | None = None, host: str = MAIN_NODE, **changes: str) -> dict[str, Check]:
        """Run all checks with these settings; results by name."""
        self.stack.chain.mine(1)
        environ = {**self.stack.settings, "STRIPE_API_KEY": RIGHT_KEY, **changes}
        nodes = LyingTransport(lie, host) if lie else None
        async with Services(load(SERVE, environ), SystemClock(), nodes) as services:
            checks = await examine(services, self.records)
        for check in checks:
            assert not any(secret in check.line() for secret in self.secrets(environ)), check
        return {check.name: check for check in checks}

    @staticmethod
    def secrets(environ: dict[str, str]) -> list[str]:
        """The secrets that no line may contain."""
        names = ("STRIPE_API_KEY", "SIGNER_KEY", "SESSION_SECRETS", "RESEND_API_KEY", "COINGECKO_API_KEY")
        return [environ[name] for name in names if environ.get(name)]

    def key(self, secret: str, *permissions: str, full: bool = False) -> str:
        """Create a key with these permissions."""
        body = {"secret": secret, "permissions": None if full else list(permissions)}
        self.stack.control("POST", "api_keys", body)
        return secret

    def both_nodes(self) -> str:
        """The node's URL under two host names."""
        return f"{self.stack.chain.url},{self.stack.chain.url.replace(MAIN_NODE, OTHER_NODE)}"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A chain that mines on demand, and the sandbox services."""
    with Stack.start() as running:
        running.control("POST", "mails/settings", {"per_second": None})
        yield running


@pytest.fixture
def clinic(stack: Stack, tmp_path: Path) -> Iterator[Clinic]:
    """A clinic whose changes are reverted after each test."""
    snapshot = stack.chain.rpc("evm_snapshot")
    clinic = Clinic(stack, tmp_path)
    clinic.key(RIGHT_KEY, CUSTOMER_WRITE, BALANCE_WRITE)
    yield clinic
    stack.chain.rpc("evm_revert", snapshot)
    stack.control("DELETE", "faults")
    stack.control("POST", "clock", {"offset": 0})
    stack.control("POST", "mails/settings", {"api_keys": [], "full_access": False})
    stack.control("POST", "price", {"price": "0.006"})
