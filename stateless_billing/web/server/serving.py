"""Runs the public server, which stops on a signal, and the metrics server."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from stateless_billing.domain.errors import StartupRefused
from stateless_billing.web.server.protocol import BoundedHttpProtocol

log = logging.getLogger(__name__)

_DRAIN_SECONDS = 25
_RETRY_SECONDS = 5.0  # the process that this one replaces may hold the port until its last request is answered


async def serve(
    app: ASGIApp, host: str, port: int, on_drain: Callable[[], object], work: Coroutine[Any, Any, None]
) -> None:
    """Serve, with `work` beside it, until a signal or until `work` fails.

    Then call `on_drain` and finish the in-flight requests. A start that fails after the signal is logged: the process
    was told to end, and does. Raises what `work` raised before; StartupRefused if the port is taken.
    """
    server = _Server(_config(app, host, port), on_drain)
    task = asyncio.create_task(work)
    task.add_done_callback(lambda _: server.end())
    try:
        await server.serve()
    except SystemExit as error:  # uvicorn's answer to a port that it cannot listen on; its log has the reason
        raise StartupRefused(f"PORT {port} of {host} cannot be listened on. Free it, or set another PORT.") from error
    finally:
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        except StartupRefused as error:
            if not server.ended_by_signal:
                raise
            log.warning("the start had not passed when a signal ended this process: %s", error)


async def serve_secondary(app: ASGIApp, host: str, port: int, retry_seconds: float = _RETRY_SECONDS) -> None:
    """Serve until cancelled.

    While the port is taken, log it once and try again: payments matter more than metrics.
    """
    with await _listen(host, port, retry_seconds) as listener:
        # asyncio disables Nagle's algorithm only for sockets of an explicit protocol; accepted ones inherit this.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await _SecondaryServer(_config(app, host, port)).serve(sockets=[listener])


async def _listen(host: str, port: int, retry_seconds: float) -> socket.socket:
    """Listen as soon as the port is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    is_logged = False
    while True:
        try:
            listener = socket.create_server((host, port), family=family)
        except OSError as error:
            if not is_logged:
                log.warning("METRICS_PORT %d: %s, no metrics are served until it is free", port, error.strerror)
                is_logged = True
            await asyncio.sleep(retry_seconds)
        else:
            if is_logged:
                log.info("METRICS_PORT %d: free, metrics are served", port)
            return listener


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
        proxy_headers=False,  # uvicorn believes them from loopback; CLIENT_IP_HEADER alone says whom we believe
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


class _Server(uvicorn.Server):
    """Returns from `serve` after a signal; uvicorn would raise it again, skipping our shutdown."""

    def __init__(self, config: uvicorn.Config, on_drain: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_drain = on_drain
        self.ended_by_signal = False

    def end(self) -> None:
        """Begin to drain, unless it has begun: a second signal would cut the requests off."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let open streams end, then drain."""
        self._on_drain()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain on the first signal and stop at once on the second."""
        with on_termination_signal(self._on_signal):
            yield

    def _on_signal(self) -> None:
        if not self.should_exit:
            self.ended_by_signal = True
        self.handle_exit(signal.SIGINT, None)


@contextlib.contextmanager
def on_termination_signal(end: Callable[[], object]) -> Iterator[None]:
    """Call `end` on SIGTERM and SIGINT.

    The kernel ignores them for PID 1 of a container without a handler.
    """
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


class _SecondaryServer(uvicorn.Server):
    """Leaves signal handling to the public server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
