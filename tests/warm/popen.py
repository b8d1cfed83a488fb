"""Starts `python -m stateless_billing …` by asking the warm parent of this process, and anything else as usual."""

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.processes import ROOT

COLD = "COLD_START"  # in the environment of a process: start Python itself
_PYTHON = [sys.executable, "-m"]
_WARM = ("stateless_billing", "stateless_billing.sandbox")
_WARNINGS = "error"  # as the stack starts everything
_ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
_asking = threading.Lock()


class WarmPopen(subprocess.Popen[Any]):
    """A `Popen` whose process the warm parent forks if its command is one of the service or its stand-ins.

    It overrides what the standard library calls to fork and execute, so that everything else stays the same.
    """

    def _execute_child(
        self,
        args: Any,
        executable: Any,
        preexec_fn: Any,
        close_fds: Any,
        pass_fds: Any,
        cwd: Any,
        env: Any,
        startupinfo: Any,
        creationflags: Any,
        shell: Any,
        p2cread: int,
        p2cwrite: int,
        c2pread: int,
        c2pwrite: int,
        errread: int,
        errwrite: int,
        *rest: Any,
    ) -> None:
        pipes = (p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)
        if is_warm(args, env):
            given = [standard if fd == -1 else fd for standard, fd in enumerate((p2cread, c2pwrite, errwrite))]
            self.pid = fork({"command": args[2:], "cwd": str(cwd or ROOT), "env": dict(env)}, given)
            self._child_created = True
            self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]
        else:
            others = (preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags, shell)
            super()._execute_child(args, executable, *others, *pipes, *rest)  # type: ignore[misc]


def is_warm(command: Any, env: Mapping[str, str] | None) -> bool:
    """Whether a process with this command and environment can be forked: none may configure Python differently."""
    return (
        list(command[:2]) == _PYTHON
        and command[2] in _WARM
        and env is not None
        and COLD not in env
        and _python_settings(env) == _python_settings(_environment())
    )


def _python_settings(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(("PYTHON", "LOOPBACK"))}


def _environment() -> dict[str, str]:
    return processes.marked({**os.environ, "PYTHONWARNINGS": _WARNINGS})


def fork(request: Mapping[str, Any], descriptors: list[int]) -> int:
    """Fork a process from the warm parent and return its ID; it is a child of this process."""
    with _asking:
        connection = _parent(os.getpid())
        _adopt_orphans(1)
        try:
            socket.send_fds(connection, [json.dumps(request).encode()], descriptors)
            answer = connection.recv(32)
        finally:
            _adopt_orphans(0)  # others would stay as zombies
    if not answer:
        raise RuntimeError("the warm parent has ended")
    return int(answer)


def _adopt_orphans(adopts: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_ADOPT_ORPHANS, adopts, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


@cache
def _parent(_: int) -> socket.socket:
    """Start the warm parent of this process, once."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.warm.parent", str(theirs.fileno())]
        _parents.append(subprocess.Popen(command, cwd=ROOT, env=_environment(), pass_fds=[theirs.fileno()]))
    return ours


_parents: list[subprocess.Popen[Any]] = []  # kept, so that none is reported as still running
