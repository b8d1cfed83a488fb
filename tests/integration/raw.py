"""A raw client for misbehavior: arbitrary bytes on a socket at any pace."""

import socket
import struct
from urllib.parse import urlsplit

PATIENCE = 30


class RawClient:
    """A connection that records errors instead of raising them."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._socket = socket.create_connection((where.hostname or "", where.port or 0), timeout=PATIENCE)
        self._received = b""
        self.open = True

    def send(self, data: bytes) -> bool:
        """Send bytes; return whether it succeeded."""
        try:
            self._socket.sendall(data)
        except OSError:
            self.open = False
        return self.open

    def read_until(self, marker: bytes) -> bool:
        """Read until the marker arrives; return whether it did."""
        try:
            while marker not in self._received and (more := self._socket.recv(65536)):
                self._received += more
        except OSError:
            self.open = False
        return marker in self._received

    def closed(self) -> bytes:
        """Wait until the service closes the connection and return all bytes received."""
        received = self._received
        try:
            while more := self._socket.recv(65536):
                received += more
        except ConnectionError:
            pass
        self._socket.close()
        return received

    def abort(self) -> None:
        """Reset the connection, as a machine that is switched off."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()


def statuses(received: bytes) -> list[int]:
    """Return the statuses of all answers."""
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]
