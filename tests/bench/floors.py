"""Servers that do nothing, beside which the service is measured, and what a request costs each in CPU.

An empty Starlette under the same server is the floor of a request. It is checked by a second way: an asyncio protocol
that answers fixed bytes must be cheaper, or the floor is no floor.
"""

import asyncio
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.localchain import ROOT
from stateless_billing.sandbox.stack import free_port

POLL_SECONDS = 0.002
EMPTY = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
async def ok(request): return JSONResponse({"ok": True})
app = Starlette(routes=[Route("/healthz", ok)])
uvicorn.run(app, port=int(sys.argv[1]), log_config=None, access_log=False, lifespan="off", ws="none")
"""
BARE = """
import asyncio, sys
ANSWER = b'HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: 11\\r\\n\\r\\n{"ok":true}'
class Bare(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(ANSWER * data.count(b"\\r\\n\\r\\n"))
async def main():
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"""


@dataclass(frozen=True)
class Server:
    """A process that serves a path."""

    port: int
    pid: int
    path: str = "/healthz"

    def cpu(self) -> float:
        """Return the seconds of CPU that all of its threads have used, as the kernel counts them."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


@contextmanager
def serving(code: str) -> Iterator[Server]:
    """Run a server from its code."""
    port = free_port()
    with processes.ended_afterwards():
        process = processes.start([sys.executable, "-c", code, str(port)], cwd=ROOT)
        while status(port, "/healthz") != 200:
            time.sleep(POLL_SECONDS)
        yield Server(port, process.pid)


def status(port: int, path: str) -> int:
    """Ask once over a bare socket, which costs the machine nothing beside the server; 0 if nobody listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
            answer = connection.recv(16)
    except ConnectionError:
        return 0
    return int(answer[9:12] or 0)


def cpu_of_a_request(server: Server, count: int, round_number: int) -> float:
    """Return the microseconds of the server's CPU that one of many requests on one connection costs."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = server.cpu()
        for number in range(count):
            connection.sendall(_request(server.path, f"10.{round_number}.{number // 100 % 250}.{number // 25_000}"))
            _read_answer(connection)
        return (server.cpu() - began) / count * 1e6


def _request(path: str, origin: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: x\r\naccept: */*\r\nx-origin: {origin}\r\n\r\n".encode()


def _read_answer(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    missing = _length_of(head) - len(body)
    while missing > 0:
        missing -= len(connection.recv(65_536))


def _length_of(head: bytes) -> int:
    assert b" 200 " in head[:16], head
    return int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])


async def requests_a_second(server: Server, seconds: float, round_number: int, connections: int = 16) -> float:
    """Return requests per second over bare sockets, each connection with client addresses of its own."""
    end, done = time.perf_counter() + seconds, 0

    async def client(number: int) -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        count = 0
        while time.perf_counter() < end:
            origin = f"{20 + round_number}.{number}.{count // 200 % 250}.{count // 50_000}"
            writer.write(_request(server.path, origin))
            await reader.readexactly(_length_of(await reader.readuntil(b"\r\n\r\n")))
            count += 1
        done += count
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(connections)))
    return done / (time.perf_counter() - began)


def peak_megabytes(pid: int) -> int:
    """Return the largest memory that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024
