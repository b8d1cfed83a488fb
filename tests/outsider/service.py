"""Starts the service as its documents say, and asks it as a client does, checking each answer's form."""

import os
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.outsider import children
from tests.outsider.chain import ROOT
from tests.outsider.network import free_port
from tests.outsider.schema_check import Description

START_SECONDS = 60


def command_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command: its settings, and what finds Python."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(service_directory()), "LC_ALL": "C.UTF-8", **settings}


def service_directory() -> Path:
    """Return where the service is installed: SERVICE_DIRECTORY, or this checkout."""
    return Path(os.environ.get("SERVICE_DIRECTORY", ROOT))


def command_of(*arguments: str) -> list[str]:
    """Return a command of the service: SERVICE_COMMAND, or this Python, with arguments."""
    own = shlex.join([sys.executable, "-m", "stateless_billing"])
    return [*shlex.split(os.environ.get("SERVICE_COMMAND", own)), *arguments]


def run_command(settings: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """Run a command of the service; returns exit code and output."""
    return children.run(command_of(*arguments), command_environment(settings), service_directory())


class Service:
    """A process of `serve`."""

    def __init__(self, settings: Mapping[str, str], ready_states: tuple[int, ...] = (200,)) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        ports = {"PORT": str(self.port), "METRICS_PORT": str(self.metrics_port)}
        self._settings = {**settings, **ports}
        self._ready_states = ready_states
        self.violations: list[str] = []
        self.checked = 0
        self.client = httpx.Client(base_url=self.url, timeout=60, headers={"accept": "application/json"})
        self.start()
        self.description = Description(self.client.get("/openapi.json").raise_for_status().json())

    def start(self) -> None:
        """Start the process, and wait until it is ready."""
        log = children.directory_of_logs() / f"serve-{self.port}.log"
        self._process = children.Child(
            command_of("serve"), log, command_environment(self._settings), service_directory()
        )
        end = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._process.ended or time.monotonic() > end:
                raise RuntimeError(f"the service did not become ready:\n{log.read_text()[-3000:]}")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code in self._ready_states
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()

    def stop(self) -> int:
        """Stop the process by SIGTERM; returns its exit code."""
        return self._process.stop()

    def request(self, method: str, path: str, **details: Any) -> httpx.Response:
        """Send a request, and check the answer against the description."""
        answer = self.client.request(method, path, **details)
        content_type = answer.headers.get("content-type", "")
        body = answer.json() if "json" in content_type and answer.content else None
        self.violations += self.description.check(method, answer.url.path, answer.status_code, content_type, body)
        self.checked += 1
        return answer

    def quote(self, wallet: str, cents: int, payer: str) -> dict[str, Any]:
        """Return a quote. Raises: httpx.HTTPStatusError if it is refused."""
        body = {"wallet": wallet, "cents": cents, "payer": payer}
        result: dict[str, Any] = self.request("POST", "/api/quotes", json=body).raise_for_status().json()
        return result

    def claim(self, tx_hash: str) -> dict[str, Any]:
        """Claim a payment."""
        result: dict[str, Any] = self.request("POST", "/api/payments", json={"tx_hash": tx_hash}).json()
        return result

    def follow(self, tx_hash: str, *states: str, seconds: int = 60) -> dict[str, Any]:
        """Claim until the payment is in one of the states. Raises: TimeoutError."""
        end = time.monotonic() + seconds
        while True:
            claim = self.claim(tx_hash)
            if claim.get("state") in states:
                return claim
            if time.monotonic() > end:
                raise TimeoutError(f"{tx_hash} is {claim}, and not {states}, after {seconds} seconds")
            time.sleep(0.5)

    def metrics(self) -> str:
        """Return what Prometheus reads."""
        answer = httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10).raise_for_status()
        return answer.text
