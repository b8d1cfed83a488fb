"""Clients that do not behave: bytes on a socket, at their own pace."""

import socket
import struct
from urllib.parse import urlsplit

PATIENCE = 30


class Raw:
    """One connection; whatever the service does to it is noted, never raised."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._socket = socket.create_connection((where.hostname or "", where.port or 0), timeout=PATIENCE)
        self.open = True

    def send(self, data: bytes) -> bool:
        """Whether it could still be sent."""
        try:
            self._socket.sendall(data)
        except OSError:
            self.open = False
        return self.open

    def closed(self) -> bytes:
        """Wait until the service closes; everything it said."""
        said = b""
        try:
            while more := self._socket.recv(65536):
                said += more
        except ConnectionError:
            pass
        self._socket.close()
        return said

    def vanish(self) -> None:
        """Go away without a word, as a machine does that is switched off."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()


def statuses(said: bytes) -> list[int]:
    """The statuses of all answers."""
    return [int(part[:3]) for part in said.split(b"HTTP/1.1 ")[1:]]
