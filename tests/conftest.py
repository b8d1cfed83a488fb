"""Shared test configuration: asyncio as the event loop, and only loopback networking, also in child processes."""

import os
import runpy
import sys
import tempfile
from collections.abc import Generator
from importlib import import_module
from pathlib import Path

import hypothesis
import pytest

from stateless_billing.sandbox import processes
from tests.warm.popen import WarmPopen

if hypothesis.settings.get_current_profile_name() in ("default", "ci"):  # mutation testing has its own profile
    # No deadline: a machine under load is no failure. Print failing examples so that they can be replayed.
    slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=slow, print_blob=True)
    hypothesis.settings.load_profile("suite")
CONTRACTS = "CONTRACT_TESTS"  # forge's summary line, if `make test` ran it before
_GUARD = Path(__file__).parent / "loopback"


def pytest_configure(config: pytest.Config) -> None:
    """Keep the recursion limit. Install the network guard here and in every Python process that tests start."""
    _import_py_ecc()
    if not hasattr(config, "workerinput"):
        handle, path = tempfile.mkstemp(prefix="loopback-")
        os.close(handle)
        os.environ["LOOPBACK_VIOLATIONS"] = path
        inherited = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(part for part in (str(_GUARD), inherited) if part)
    runpy.run_path(str(_GUARD / "sitecustomize.py"))
    processes.popen = WarmPopen


def _import_py_ecc() -> None:
    """Import a package that raises the recursion limit, and restore it: with such a limit, deep nesting is a crash.

    The service never imports it; a test compares signatures with it.
    """
    limit = sys.getrecursionlimit()
    import_module("py_ecc")
    sys.setrecursionlimit(limit)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if any process tried to connect to another machine."""
    if hasattr(session.config, "workerinput"):
        return
    path = Path(os.environ["LOOPBACK_VIOLATIONS"])
    refused = path.read_text()
    path.unlink()
    if refused:
        print(f"\nconnections other than to this machine were tried:\n{refused}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """End the processes started by the test itself; those of its fixtures end with the fixtures."""
    with processes.ended_afterwards():
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """Print what else `make test` ran, next to pytest's closing line."""
    yield
    if closing := os.environ.get(CONTRACTS):
        terminalreporter.write_line(f"contracts (forge): {closing}")
        terminalreporter.write_line("everything else (pytest):")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio only."""
    return "asyncio"
