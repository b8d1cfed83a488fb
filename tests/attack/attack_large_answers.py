"""Parties outside answer with 18 MB of valid JSON, again and again."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import httpx

from stateless_billing.sandbox.stack import Service, Stack
from tests.attack.world import World
from tests.integration.operators import ADMIN
from tests.integration.shop import Shop

BODY_BYTES = 18_000_000
BELOW_LIMIT_BYTES = 4_000_000
SECONDS = 20.0
MAX_GROWTH_MEBIBYTES = 128
MAX_STALL_SECONDS = 0.5
_CHECK_SECONDS = 0.02
_CHUNK = 64 * 1024


def _prices(size: int) -> bytes:
    point = b"[1764000000000,0.0061234567],"
    return b'{"prices": [' + point * (size // len(point) - 1) + point[:-1] + b"]}"


class LargeServer(ThreadingHTTPServer):
    """Answers everything with the same large body, and counts the requests by path."""

    daemon_threads = True

    def __init__(self, size: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body = _prices(size)
        self.asked = Counter[str]()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, LargeServer)
        self.rfile.read(int(self.headers.get("content-length", 0)))
        server.asked[self.path.split("?")[0].rsplit("/", 1)[-1]] += 1
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(server.body)))
        self.end_headers()
        for start in range(0, len(server.body), _CHUNK):
            self.wfile.write(server.body[start : start + _CHUNK])

    do_POST = do_GET  # noqa: N815 - named by the base class

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        """Log nothing."""


@contextmanager
def large_server(size: int) -> Iterator[LargeServer]:
    """Run the server for the duration of the block."""
    with LargeServer(size) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Watch:
    """Asks a process for its health all the time: the longest wait, and how much its memory grew."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._before = self._peak_mebibytes()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.longest = 0.0

    def _run(self) -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not self._ended.wait(_CHECK_SECONDS):
                began = time.monotonic()
                assert client.get(f"{self._service.url}/healthz").is_success
                self.longest = max(self.longest, time.monotonic() - began)

    @property
    def growth(self) -> int:
        """By how many MiB the process's memory has grown at most."""
        return self._peak_mebibytes() - self._before

    def _peak_mebibytes(self) -> int:
        status = Path(f"/proc/{self._service.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def attack_large_answers(world: World) -> str:
    """Show that such answers are cut: memory and the loop's pauses stay small, and payers are served."""
    with ExitStack() as running:
        large, below = (running.enter_context(large_server(size)) for size in (BODY_BYTES, BELOW_LIMIT_BYTES))
        stack = running.enter_context(world.started(settings={"CONFIRMATIONS": "10000:1s,finalized"}))
        nodes = f"{large.url}/node,{stack.settings['RPC_URLS']}"
        hook = {"CREDIT_HOOK_URL": f"{large.url}/hook", "CREDIT_HOOK_SECRET": "of-the-sandbox"}
        services = world.serve_all(stack, RPC_URLS=nodes, RESEND_API_BASE=large.url, **hook)
        shop = Shop(stack)
        for service in services:  # what it loads once is no part of what the answers cost
            shop.claimed(service, shop.pay(service, shop.customer()))
        priced = [stack.serve(PRICE_API_BASE=server.url) for server in (large, below)]
        watches = [running.enter_context(Watch(service)) for service in services + priced]
        paid = attack(stack, shop, services, priced)
        growth, stall = max(watch.growth for watch in watches), max(watch.longest for watch in watches)
    assert all(large.asked[party] for party in ("node", "hook", "emails", "range")), large.asked
    assert below.asked["range"], below.asked
    assert growth < MAX_GROWTH_MEBIBYTES, f"{growth} MiB"
    assert stall < MAX_STALL_SECONDS, f"{stall:.2f} s"
    return (
        f"{large.asked.total()} answers of 18 MB from {', '.join(sorted(large.asked))}, {below.asked.total()} of 4 MB:"
        f" memory grew by {growth} MiB at most (was 671), the slowest health check took {stall * 1000:.0f} ms (was"
        f" seconds); {paid} payments credited meanwhile"
    )


def attack(stack: Stack, shop: Shop, services: list[Service], priced: list[Service]) -> int:
    """Cause calls to every party for a while; return the number of payments that were credited."""
    paid, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        for service in services:
            shop.claimed(service, shop.pay(service, shop.customer()))
            stack.http.post(f"{service.url}/login", data={"email": ADMIN})
            paid += 1
        for service in priced:
            body = {"wallet": shop.customer().wallet, "cents": 5000}
            answer = stack.http.post(f"{service.url}/api/quotes", json=body)
            assert answer.status_code == 503, answer.text
    return paid
