"""A node that answers slowly and counts concurrent requests."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar
from urllib.parse import urlsplit

NodeT = TypeVar("NodeT", bound="SlowNode")


class SlowNode(ThreadingHTTPServer):
    """Forwards every request to another node after a delay."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, behind: str, seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind, self.seconds = urlsplit(behind), seconds
        self.asking = self.most = 0
        self.counting = threading.Lock()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def count(self, change: int) -> None:
        """Change the number of concurrent requests."""
        with self.counting:
            self.asking += change
            self.most = max(self.most, self.asking)

    def ask(self, body: bytes) -> bytes:
        """Return the other node's answer."""
        line = http.client.HTTPConnection(self.behind.netloc, timeout=30)
        try:
            line.request("POST", self.behind.path or "/", body, {"content-type": "application/json"})
            return line.getresponse().read()
        finally:
            line.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore disconnected clients."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, SlowNode)
        body = self.rfile.read(int(self.headers["content-length"]))
        server.count(1)
        time.sleep(server.seconds)
        answer = server.ask(body)
        server.count(-1)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        """Log nothing."""


@contextmanager
def served(node: NodeT) -> Iterator[NodeT]:
    """Run a node for the duration of the block."""
    with node:
        thread = threading.Thread(target=node.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield node
        finally:
            node.shutdown()
            thread.join()


def slow_node(behind: str, seconds: float) -> AbstractContextManager[SlowNode]:
    """Run a slow node for the duration of the block."""
    return served(SlowNode(behind, seconds))
