"""Runs the whole system on this machine: chain, contracts, stand-ins, bookkeeping customers and the real service.

with Stack.start() as stack:
    service = stack.serve()
    wallet = stack.add_customer("payer@example.org")
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import httpx

from stateless_billing.runtime.bounded_http import create_ssl_context
from stateless_billing.sandbox import processes
from stateless_billing.sandbox.localchain import ROOT, LocalChain, build_contracts, dev_account
from stateless_billing.settings import secrets

KEY = "sk_test_sandbox"
SESSION_SECRET = "of-the-sandbox-alone-0123456789"  # noqa: S105 - signs for stand-ins only
START_SECONDS = 30.0
# Settings of a real deployment must not leak into a local one.
_DROPPED = ("STRIPE_", "RPC_", "SIGNER_", "SESSION_", "OPERATORS", "RESEND_", "MAIL_")
TOKEN = 10**18
CEILING = 5_000_000  # millionths of a cent per whole token: eight times the sandbox's price


class Service:
    """A process of the service and its output."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], url: str | None) -> None:
        self.url = url or ""
        self._secrets = secrets(environment)
        self._start([sys.executable, "-m", "stateless_billing", *arguments], environment, cwd=ROOT)

    def _start(self, command: list[str], environment: Mapping[str, str], cwd: Path | None = None) -> None:
        self._log: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        weakref.finalize(self, self._log.close)
        self.process = processes.start(command, cwd=cwd, env=environment, stdout=self._log, stderr=subprocess.STDOUT)
        if self.url:
            self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                answered = httpx.get(f"{self.url}/healthz", trust_env=False, verify=create_ssl_context()).is_success
                if answered and self.process.poll() is None:
                    self._wait_for_checks()
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        processes.end(self.process, 0)
        raise RuntimeError(f"the service did not start:\n{self.log()}")

    def _wait_for_checks(self) -> None:
        """Wait until it has made its checks, or could not: requests wait for them, this one costs nothing."""
        with suppress(httpx.TransportError):  # it ended: whoever asks it next learns so
            httpx.get(f"{self.url}/openapi.json", trust_env=False, verify=create_ssl_context(), timeout=START_SECONDS)

    def log(self) -> str:
        """Return its output so far."""
        self._log.flush()
        return Path(f"/proc/self/fd/{self._log.fileno()}").read_text()

    def kill(self) -> None:
        """Kill it, as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Terminate it and wait until it has ended."""
        processes.end(self.process)
        if not self._log.closed:
            printed = self.log()
            self._log.close()
            _require_no_secrets(self._secrets, printed)


LIVE_LIMIT = 100  # requests a second of a live account (docs.stripe.com/rate-limits)


class Stack:
    """A running system. Change `settings` before `serve` to configure the service."""

    def __init__(self, chain: LocalChain, sandbox: str, gateways: int, extra: Mapping[str, str]) -> None:
        self.chain, self.sandbox = chain, sandbox
        self.http = httpx.Client(trust_env=False, timeout=60)
        weakref.finalize(self, self.http.close)
        owner, treasury, self.payer = chain.accounts[0], chain.accounts[1], chain.accounts[2]
        self.treasury = treasury
        signer = dev_account(3)
        self.token = chain.deploy_token()
        self.gateways = [
            chain.deploy_gateway(self.token, treasury, owner, str(signer.address), TOKEN, CEILING)
            for _ in range(gateways)
        ]
        chain.mint(self.token, self.payer, 10**9 * TOKEN)
        self.settings = {
            "STRIPE_API_KEY": KEY,
            "STRIPE_API_BASE": sandbox,
            "STRIPE_RATE": "25",  # all of a live account's limits; see `rates`
            "STRIPE_TOTAL_RATE": str(LIVE_LIMIT),
            "RPC_URLS": chain.url,
            "CHAIN_ID": str(chain.chain_id),
            "GATEWAY_ADDRESSES": ",".join(self.gateways),
            "SIGNER_KEY": str(signer.key.hex()),
            "PRICE_API_BASE": sandbox,
            "VISITOR_READS_PER_DAY": "1000000",  # tests make more customers than a day sees
            "SWEEP_SECONDS": "1",
            "METRICS_PORT": "0",
            "SESSION_SECRETS": SESSION_SECRET,
            "OPERATORS": ",".join(f"{role}@example.org={role}" for role in ("moderator", "admin", "auditor"))
            + f",{chain.accounts[4]}=admin",
            "RESEND_API_KEY": "re_sandbox",
            "RESEND_API_BASE": sandbox,
            "MAIL_FROM": "Billing <billing@example.org>",
            **extra,
        }
        self._running = ExitStack()
        self.sandbox_pid = 0
        self._services: list[Service] = []
        self.settings["SERVICE_CUSTOMER_ID"] = self._init_records()

    @classmethod
    def start(
        cls,
        *,
        block_time: float | None = None,
        slots_in_an_epoch: int = 1,
        timestamp: int | None = None,
        gateways: int = 1,
        settings: Mapping[str, str] | None = None,
        rates: bool = False,
    ) -> Self:
        """Start everything except the service. `rates` enables the rate limits that Stripe has for live accounts."""
        build_contracts()
        with ExitStack() as starting:
            chain = starting.enter_context(
                LocalChain.start(block_time=block_time, slots_in_an_epoch=slots_in_an_epoch, timestamp=timestamp)
            )
            sandbox = starting.enter_context(_SandboxProcess())
            stack = cls(chain, sandbox.url, gateways, settings or {})
            stack.sandbox_pid = sandbox.process.pid
            stack.control("POST", "settings", {"limits": {"account_in_test_mode": LIVE_LIMIT} if rates else False})
            stack._running = starting.pop_all()
            return stack

    def environment(self, **settings: str) -> dict[str, str]:
        """Return the environment for a process of the service."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}
        return {**inherited, "PYTHONWARNINGS": "error", **self.settings, **settings}

    def _init_records(self) -> str:
        done = self.run("doctor", "--init")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().removeprefix("SERVICE_CUSTOMER_ID=")

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the service to completion."""
        environment = self.environment(**settings)
        command = [sys.executable, "-m", "stateless_billing", *arguments]
        done = processes.run(command, cwd=ROOT, env=environment, timeout=120)
        _require_no_secrets(secrets(environment), done.stdout + done.stderr)
        return done

    def serve(self, **settings: str) -> Service:
        """Start another `serve` process and wait until it answers."""
        with _reserved_port() as port:
            url = f"http://127.0.0.1:{port}"
            own_name = {"PUBLIC_URL": url} if settings.get("CLIENT_IP_HEADER") else {}  # required together
            environment = self.environment(**own_name | settings, PORT=str(port))
            service = Service(["serve"], environment, url)
        self._services.append(service)
        return service

    def sweeper(self, **settings: str) -> Service:
        """Start a process that only sweeps."""
        service = Service(["sweep"], self.environment(**settings), None)
        self._services.append(service)
        return service

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Send a command to the stand-ins; see `control`."""
        answer = self.http.request(method, f"{self.sandbox}/_sandbox/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def stripe(self, path: str, **params: str) -> Any:
        """Read from the Stripe stand-in through its API."""
        answer = self.http.get(
            f"{self.sandbox}/v1/{path}",
            params=params,
            headers={"authorization": f"Bearer {KEY}", "stripe-version": "2026-10-28.endive"},
        )
        assert answer.is_success, answer.text
        return answer.json()

    def add_customer(self, email: str, wallet: str) -> str:
        """Create a customer of another system with this wallet and return its ID."""
        made = self.control("POST", "customers", {"email": email, "metadata": {"wallet_address": wallet.lower()}})
        return str(made["id"])

    def credits(self, customer: str) -> list[dict[str, Any]]:
        """Return the customer's credits for payments, newest first."""
        rows = self.stripe(f"customers/{customer}/balance_transactions", limit="100")["data"]
        return [row for row in rows if (row["metadata"] or {}).get("kind") == "payment"]

    def balance(self, customer: str) -> int:
        """Return the customer's credit balance in cents."""
        return -int(self.stripe(f"customers/{customer}")["balance"])

    def stop_services(self) -> None:
        """Stop every process of the service."""
        while self._services:
            self._services.pop().stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop_services()
        self.http.close()
        self._running.close()


class _SandboxProcess:
    """The stand-ins in their own process."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "stateless_billing.sandbox", "--port", "0", "--key", KEY]
        environment = {**os.environ, "PYTHONWARNINGS": "error"}
        self.process = processes.start(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip().removeprefix("sandbox ")
        if not self.url.startswith("http"):
            processes.end(self.process)
            raise RuntimeError("the stand-ins did not start")
        return self

    def __exit__(self, *_: object) -> None:
        processes.end(self.process)


def _require_no_secrets(hidden: Collection[str], printed: str) -> None:
    """Require that the output of a process contains none of its secrets."""
    if any(secret in printed for secret in hidden):
        raise RuntimeError(f"a secret was printed:\n{printed}")


@contextmanager
def _reserved_port() -> Iterator[int]:
    """Reserve a port of 127.0.0.1; a server can still listen on it explicitly."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        yield int(listener.getsockname()[1])


def free_port() -> int:
    """Return an unused port of 127.0.0.1."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
