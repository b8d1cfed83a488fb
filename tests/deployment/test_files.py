"""Dockerfile, .dockerignore and fly.toml agree with each other and with the program."""

import json
import re
import shlex
import tomllib
from dataclasses import fields

import pytest

from stateless_billing import settings
from stateless_billing.commands.options import create_parser
from stateless_billing.sandbox import processes
from stateless_billing.sandbox.localchain import ROOT
from stateless_billing.web.server import serving
from tests.deployment.image import files_sent, stages

FLY = tomllib.loads((ROOT / "fly.toml").read_text())
STAGES = stages((ROOT / "Dockerfile").read_text())


def commands() -> list[list[str]]:
    """Return every command that a platform starts."""
    started = [*FLY["processes"].values(), FLY["deploy"]["release_command"]]
    return [json.loads(STAGES[-1].only("CMD")), *(shlex.split(command) for command in started)]


def test_every_stage_begins_with_the_same_python_by_its_digest() -> None:
    assert len(STAGES) == 2
    assert {re.fullmatch(r"python:3\.11-slim@sha256:[0-9a-f]{64}", stage.base) is not None for stage in STAGES} == {
        True
    }
    assert STAGES[0].base == STAGES[1].base


def test_packages_are_installed_from_wheels_whose_hashes_are_checked() -> None:
    [install] = [rest for word, rest in STAGES[0].steps if word == "RUN" and " install " in rest]
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(install.split())
    assert "-r requirements.txt" in install
    pinned = re.findall(r"^[a-z0-9][\w.-]*==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert len(pinned) > 20


def test_the_last_stage_runs_nothing_as_root() -> None:
    words = [word for word, _ in STAGES[-1].steps]
    assert "RUN" not in words
    assert "ADD" not in words + [word for word, _ in STAGES[0].steps]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", STAGES[-1].only("USER"))
    assert STAGES[-1].only("STOPSIGNAL") == "SIGTERM"
    assert isinstance(json.loads(STAGES[-1].only("HEALTHCHECK").partition(" CMD ")[2]), list)
    labels = STAGES[-1].only("LABEL")
    for name in ("title", "description", "licenses", "revision"):
        assert f"org.opencontainers.image.{name}=" in labels


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_is_one_of_the_programs(command: list[str]) -> None:
    assert command[:3] == ["python", "-m", "stateless_billing"]
    create_parser().parse_args(command[3:])


def test_only_production_files_are_sent_to_the_builder() -> None:
    listed = processes.run(["git", "ls-files"], cwd=ROOT, check=True)
    ignore = (ROOT / ".dockerignore").read_text()
    others = [".env", ".git/config", "chain/__pycache__/x.cpython-311.pyc", "deployments/8453.json"]
    names = files_sent(ignore, [*listed.stdout.splitlines(), *others])
    folders = {name.split("/")[0] for name in names}
    assert folders == {"LICENSE", "app.py", "chain", "deployments", "requirements.txt", "stateless_billing", "static"}
    assert "chain/abi/PaymentGateway.json" in names
    sent = {name for name in names if name.startswith("deployments/")}
    read_by_the_service = {"deployments/8453.json", "deployments/accepted.jsonl"}
    assert sent == {"deployments/README.md", *read_by_the_service}
    assert not [name for name in names if "sandbox" in name or "__pycache__" in name]


def test_fly_replaces_machines_only_once_new_ones_are_healthy() -> None:
    assert FLY["deploy"]["strategy"] == "bluegreen"
    service = FLY["http_service"]
    assert service["processes"] == ["web"]
    assert service["min_machines_running"] >= 2
    assert (service["auto_stop_machines"], service["force_https"]) == ("off", True)
    assert service["concurrency"]["type"] == "requests"
    [check] = service["checks"]
    assert (check["path"], check["method"]) == ("/healthz", "GET")
    assert set(FLY["processes"]) == {"web", "sweep"}
    [port] = [field.metadata["default"] for field in fields(settings.Settings) if field.name == "metrics_port"]
    assert FLY["metrics"] == {"port": int(FLY["env"].get("METRICS_PORT", port)), "path": "/metrics"}
    [check] = FLY["checks"].values()
    assert check["processes"] == ["sweep"]
    assert (check["port"], check["path"]) == (FLY["metrics"]["port"], FLY["metrics"]["path"])


def test_it_is_killed_only_after_it_could_drain() -> None:
    assert FLY["kill_signal"] == STAGES[-1].only("STOPSIGNAL")
    assert serving._DRAIN_SECONDS < FLY["kill_timeout"] <= 300


def test_the_environment_has_only_settings_and_no_secrets() -> None:
    fields_by_name = {field.name.upper(): field for field in fields(settings.Settings)}
    for place in (FLY["env"], {"HOST": STAGES[-1].env["HOST"]}):
        for name, value in place.items():
            assert isinstance(value, str)
            assert not fields_by_name[name].metadata["secret"]
            fields_by_name[name].metadata["parse"](value)
    assert FLY["env"]["PORT"] == str(FLY["http_service"]["internal_port"])
    assert FLY["env"]["SWEEP"] == "off"
    assert FLY["env"]["CLIENT_IP_HEADER"] == "Fly-Client-IP"
    machines = FLY["http_service"]["min_machines_running"] + 1  # and the one that sweeps
    assert FLY["env"]["PROCESSES"] == str(machines)
