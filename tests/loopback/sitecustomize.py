"""Rejects connections and name lookups to other machines, in the test process and in all its children.

Python imports a module of this name at start if its folder is on PYTHONPATH. Violations are written to the file that
LOOPBACK_VIOLATIONS names, because a service may handle the error as an ordinary network fault.
"""

import ipaddress
import os
import socket
import sys

_ALLOWED: set[str] = set()
"""A host and the addresses that it has: `make stripe-check` asks Stripe's test mode itself."""


def _allow(host: str) -> None:
    if host:
        _ALLOWED.add(host)
        _ALLOWED.update(str(entry[4][0]) for entry in socket.getaddrinfo(host, None))


def _is_here(host: object) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    if text in _ALLOWED:
        return True
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if not _is_here(host):
        with open(os.environ["LOOPBACK_VIOLATIONS"], "a") as file:
            file.write(f"{os.getpid()} {event} {host}\n")
        raise PermissionError(f"a test tried to reach {host}")


if "LOOPBACK_VIOLATIONS" in os.environ:
    _allow(os.environ.get("LOOPBACK_EXCEPT", ""))
    sys.addaudithook(_guard)
