"""`python -m tests.warm.parent SOCKET`: imports what the commands need, then forks a process for each request.

A request is a datagram with three file descriptors, the child's standard ones; the answer is the child's process ID.
The child is forked twice, so that it belongs to whoever adopts orphans: the process that asked (`tests.warm.popen`).
"""

import gc
import importlib
import json
import os
import runpy
import socket
import sys
import threading
import time
from typing import Any

MODULES = (
    "app",
    "stateless_billing.audit.command",
    "stateless_billing.commands.register",
    "stateless_billing.doctor.command",
    "stateless_billing.sandbox.server",
    "stateless_billing.services.container",
    "stateless_billing.web.routes",
    "stateless_billing.web.server.metrics_app",
    "web3",
)
REQUEST_BYTES = 200_000


def requested(connection: socket.socket) -> dict[str, Any] | None:
    """Answer requests until the asking process has ended; return in each child with what it is to run."""
    pids, pid_of_child = os.pipe()
    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, REQUEST_BYTES, 3)
        if not data:
            return None
        if not (between := os.fork()):
            child = os.fork()
            if not child:
                become(descriptors)
                return dict(json.loads(data))
            os.write(pid_of_child, str(child).encode())
            os._exit(0)
        os.waitpid(between, 0)  # then the child has been adopted
        connection.send(os.read(pids, 32))
        for descriptor in descriptors:
            os.close(descriptor)


def become(descriptors: list[int]) -> None:
    """Lead a session of its own, with these three files and no others."""
    os.setsid()
    for standard, descriptor in enumerate(descriptors):
        os.dup2(descriptor, standard)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def main() -> None:
    """Import, serve requests, and in each child run the module that it asked for, as `python -m` does."""
    for module in MODULES:
        importlib.import_module(module)
    assert threading.active_count() == 1, "a fork copies only one thread"
    gc.freeze()  # no child visits what all share
    connection = socket.socket(fileno=int(sys.argv[1]))
    request = requested(connection)
    if request is None:
        return
    connection.detach()
    module, *arguments = request["command"]
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
