"""Builds the image from its Dockerfile without a container engine, and runs commands in it as a container would.

Each step runs verbatim at the paths it names: in its own mount namespace the stage's folder is `/srv` and the base
image's Python is `/usr/local`. The resulting processes are not root and can write nowhere.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Self

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.localchain import ROOT
from stateless_billing.sandbox.stack import Service
from stateless_billing.settings import secrets

SRV = "/srv"
# This machine's Python library; the base image's is on the loader's default path.
_LOADER = {"LD_LIBRARY_PATH": "/usr/local/lib"}
_SCRATCH = ("/tmp", "/var/tmp", "/dev/shm", "/run")  # noqa: S108 - hidden, not used
_BUILD = 'mount --bind "$1" /srv && mount --bind "$2" /usr/local && cd /srv && exec sh -c "$3"'
_RUN = (
    'mount --bind "$1" /srv && mount -o remount,bind,ro /srv && '
    'mount --bind "$2" /usr/local && mount -o remount,bind,ro /usr/local && '
    + "".join(f"mount -t tmpfs -o ro none {folder} && " for folder in _SCRATCH)
    + 'cd /srv && shift 2 && exec "$@"'
)


@dataclass
class Stage:
    """A stage: base, name, and instructions in order as (word, rest)."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def only(self, word: str) -> str:
        """Return the arguments of the only instruction of a kind."""
        [rest] = [rest for kind, rest in self.steps if kind == word]
        return rest

    @property
    def env(self) -> dict[str, str]:
        """The variables set by ENV."""
        pairs = (pair for word, rest in self.steps if word == "ENV" for pair in rest.split())
        return dict(pair.split("=", 1) for pair in pairs)


def stages(text: str) -> list[Stage]:
    """Return the stages of a Dockerfile, with an ARG before the first FROM substituted."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    given: dict[str, str] = {}
    parsed: list[Stage] = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        word, rest = line.split(None, 1)
        if word == "ARG" and not parsed:
            name, value = rest.split("=", 1)
            given[name] = value
        elif word == "FROM":
            base, _, name = re.sub(r"\$\{(\w+)\}", lambda match: given[match[1]], rest).partition(" AS ")
            parsed.append(Stage(base, name))
        else:
            parsed[-1].steps.append((word, " ".join(rest.split())))
    return parsed


def files_sent(ignore: str, names: Sequence[str]) -> list[str]:
    """Return the files sent to the builder: the last pattern that matches a file or a parent folder decides."""
    patterns = [line for line in ignore.splitlines() if line and not line.startswith("#")]
    context = []
    for name in names:
        parts = name.split("/")
        above = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        ignored = False
        for pattern in patterns:
            bare = pattern.removeprefix("!")
            anywhere = bare.removeprefix("**/")
            if any(
                candidate.count("/") == bare.count("/") and fnmatch(candidate, bare)  # a star does not cross folders
                if anywhere == bare
                else fnmatch(candidate.rsplit("/")[-1], anywhere)
                for candidate in above
            ):
                ignored = not pattern.startswith("!")
        if not ignored:
            context.append(name)
    return context


def reason_unavailable() -> str:
    """Return why the image cannot be built here; empty if it can."""
    tried = processes.run([*_unshared(), "mount", "-t", "tmpfs", "none", "/mnt"])
    if tried.returncode:
        return "this machine lets no process have a file system of its own (unshare)"
    python = Path(sys.base_prefix, "bin", "python")
    if not python.exists() or processes.run([python, "-m", "pip", "--version"]).returncode:
        return f"{sys.base_prefix} cannot stand for the base image's Python: it has no bin/python, or no pip"
    return ""


def _unshared() -> list[str]:
    return ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]


class Image:
    """The built image: the last stage's folder, environment and user."""

    def __init__(self, **arguments: str) -> None:
        """Build the image; `arguments` are those of `docker build --build-arg`."""
        self._arguments = arguments
        self._folder = Path(tempfile.mkdtemp(prefix="image-"))
        self._folder.chmod(0o755)
        self.stages = stages((ROOT / "Dockerfile").read_text())
        self._context = self._sent_files()
        for stage in self.stages:
            self._build(stage)
        self.last = self.stages[-1]
        self.root = self._folder_of(self.last)
        self.user = self.last.only("USER")

    def _sent_files(self) -> list[str]:
        listed = processes.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True)
        return files_sent((ROOT / ".dockerignore").read_text(), listed.stdout.splitlines())

    def _folder_of(self, stage: Stage) -> Path:
        return self._folder / str(self.stages.index(stage))

    def _build(self, stage: Stage) -> None:
        self._folder_of(stage).mkdir()
        assert stage.only("WORKDIR") == SRV
        arguments: dict[str, str] = {}
        for word, rest in stage.steps:
            if word == "ARG":
                name, _, default = rest.partition("=")
                arguments[name] = self._arguments.get(name, default)
            if word == "COPY":
                self._copy(stage, *rest.split())
            if word == "RUN":
                self._run_step(stage, rest, arguments)

    def _copy(self, stage: Stage, *words: str) -> None:
        if words[0].startswith("--from="):
            [origin] = [candidate for candidate in self.stages if candidate.name == words[0].removeprefix("--from=")]
            assert words[1:] == (SRV, SRV)
            self._folder_of(stage).rmdir()
            self._folder_of(origin).rename(self._folder_of(stage))  # the origin is not needed any more
            return
        source, target = words
        chosen = [name for name in self._context if name == source or name.startswith(source + "/")]
        assert chosen, f"{source} is not sent to the builder"
        for name in chosen:
            to = self._folder_of(stage) / target / name.removeprefix(source).lstrip("/")
            to = to / source if name == source and target == "./" else to
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to)

    def _run_step(self, stage: Stage, step: str, arguments: Mapping[str, str]) -> None:
        # The package index is external: the network guard covers the tested code, not its installation.
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        done = processes.run(
            [*_unshared(), "sh", "-c", _BUILD, "sh", str(self._folder_of(stage)), sys.base_prefix, step],
            env={**env, **_LOADER, **arguments, "PATH": "/usr/local/bin:/usr/bin:/bin"},
        )
        assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs `words` in the image, as another user on a read-only file system."""
        uid, gid = self.user.split(":")
        as_user = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"] if os.geteuid() == 0 else []
        return [*_unshared(), "sh", "-c", _RUN, "sh", str(self.root), sys.base_prefix, *as_user, *words]

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a process in the image, without this machine's variables."""
        return {**_LOADER, **self.last.env, **settings}

    def run(self, words: Sequence[str], settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a command to completion."""
        return processes.run(self.command(words), env=self.environment(settings), timeout=60)

    def remove(self) -> None:
        """Remove the folders."""
        shutil.rmtree(self._folder)


class Container(Service):
    """A long-running process of the image."""

    def __init__(self, image: Image, words: Sequence[str], settings: Mapping[str, str], url: str | None = None) -> None:
        self.url = url or ""
        self._secrets = secrets(settings)
        self._start(image.command(words), image.environment(settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ended(self, seconds: float) -> int:
        """Terminate it and return its exit code within `seconds`."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)
