"""What an attack is played against: the whole system, with so many nodes and processes of the service."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.slow_node import slow_node


@dataclass(frozen=True)
class World:
    """The size of the deployment that is attacked."""

    nodes: int = 1
    processes: int = 1

    @contextmanager
    def started(self, **options: Any) -> Iterator[Stack]:
        """Run a chain with its nodes and the stand-ins; see `Stack.start` for the options."""
        with ExitStack() as running:
            stack = running.enter_context(Stack.start(**options))
            more = [running.enter_context(slow_node(stack.chain.url, 0)).url for _ in range(self.nodes - 1)]
            stack.settings["RPC_URLS"] = ",".join([stack.chain.url, *more])
            stack.settings["PROCESSES"] = str(self.processes)
            try:
                yield stack
            finally:
                stack.stop_services()  # before their nodes end

    def serve_all(self, stack: Stack, **settings: str) -> list[Service]:
        """Start all processes of the service, with the same settings."""
        return [stack.serve(**settings) for _ in range(self.processes)]
