"""The servers: the one for everybody, which ends the process when told to, and the one for Prometheus beside it."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from stateless_billing.web.server.protocol import BoundedHttpProtocol

log = logging.getLogger(__name__)

_DRAIN_SECONDS = 25


async def serve(app: ASGIApp, host: str, port: int) -> None:
    """Serve until told to stop, then answer what was begun."""
    await _Server(_config(app, host, port)).serve()


async def serve_secondary(app: ASGIApp, host: str, port: int) -> None:
    """Serve until cancelled. Where the port is taken it says so and leaves it: payments go on without being counted."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        log.warning("METRICS_PORT %d: %s; there are no metrics of this process", port, error.strerror)
        return
    with listening:
        await _SecondaryServer(_config(app, host, port)).serve(sockets=[listening])


def _config(app: ASGIApp, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


class _Server(uvicorn.Server):
    """Comes back from `serve` when a signal ended it: uvicorn's own raises the signal again, which skips the rest."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain on a signal; on a second one, end at once."""
        with on_termination_signal(lambda: self.handle_exit(signal.SIGINT, None)):
            yield


@contextlib.contextmanager
def on_termination_signal(end: Callable[[], object]) -> Iterator[None]:
    """Have SIGTERM and SIGINT call `end`: the first process of a container is not ended by them unless it asks."""
    loop, signals = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)
    for one in signals:
        loop.add_signal_handler(one, end)
    try:
        yield
    finally:
        for one in signals:
            loop.remove_signal_handler(one)


class _SecondaryServer(uvicorn.Server):
    """Leaves signals to the server for everybody."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
