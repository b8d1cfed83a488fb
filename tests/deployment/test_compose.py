"""The compose file and what it mounts agree with the image, the settings, the alerts and each other."""

import re
from dataclasses import fields
from typing import Any

import pytest
import yaml

from stateless_billing import settings
from stateless_billing.commands.options import create_parser
from stateless_billing.sandbox.localchain import ROOT
from stateless_billing.web.server import serving
from tests.deployment.image import stages

FOLDER = ROOT / "deployments" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("web", "sweep")
IMAGE = stages((ROOT / "Dockerfile").read_text())[-1]
SETTINGS = {field.name.upper(): field for field in fields(settings.Settings)}
PROMETHEUS = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
# https://docs.docker.com/reference/compose-file/: the keys used
TOP = {"name", "services", "networks", "volumes"}
KEYS = {
    *("build", "cap_add", "cap_drop", "command", "depends_on", "env_file", "environment", "healthcheck", "image"),
    *(
        "logging",
        "mem_limit",
        "networks",
        "ports",
        "read_only",
        "restart",
        "security_opt",
        "stop_grace_period",
        "tmpfs",
        "volumes",
    ),
}


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


def mounts(service: str) -> dict[str, str]:
    """Return the files that a service gets, by their place in the container."""
    rows = [row.split(":") for row in SERVICES[service].get("volumes", [])]
    return {row[1]: row[0] for row in rows if row[0].startswith(".")}


def test_only_known_keys_are_used() -> None:
    assert {key for key in COMPOSE if not key.startswith("x-")} == TOP
    assert set().union(*SERVICES.values()) <= KEYS
    for service in SERVICES.values():
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        named = {row.split(":")[0] for row in service.get("volumes", []) if not row.startswith(".")}
        assert named <= set(COMPOSE["volumes"])
        assert service["restart"] == "always"
        assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_run_the_image_unprivileged(name: str) -> None:
    service = SERVICES[name]
    context = FOLDER / service["build"]["context"]
    assert (context / "Dockerfile").samefile(ROOT / "Dockerfile")
    assert list(service["build"]["args"]) == ["COMMIT"]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert [folder.strip("/") for folder in service["tmpfs"]] == ["tmp"], "where an audit keeps its temporary file"
    assert seconds(service["stop_grace_period"]) > serving._DRAIN_SECONDS
    if "command" in service:
        assert service["command"][:3] == ["python", "-m", "stateless_billing"]
        assert create_parser().parse_args(service["command"][3:]).name == name
    [file] = service["env_file"]
    assert (FOLDER / file["path"]).resolve() == ROOT / ".env"


def test_the_environment_has_only_settings_and_no_secrets() -> None:
    environment = SERVICES["web"]["environment"]
    assert SERVICES["sweep"]["environment"] == environment
    for name, value in environment.items():
        assert not SETTINGS[name].metadata["secret"]
        SETTINGS[name].metadata["parse"](value)
    assert environment["PROCESSES"] == str(len(OURS))
    assert environment["SWEEP"] == "off"
    exposed = IMAGE.only("EXPOSE").split()
    assert [environment["PORT"], environment["METRICS_PORT"]] == exposed


def test_the_health_of_the_sweep_is_asked_at_its_metrics() -> None:
    test = SERVICES["sweep"]["healthcheck"]["test"]
    assert test[:3] == ["CMD", "python", "-c"]
    assert f"http://127.0.0.1:{SERVICES['sweep']['environment']['METRICS_PORT']}/metrics" in test[3]
    compile(test[3], "healthcheck", "exec")


def test_prometheus_scrapes_both_under_the_alerts_name() -> None:
    [job] = PROMETHEUS["scrape_configs"]
    [discovery] = job["dns_sd_configs"]
    assert f'up{{job="{job["job_name"]}"}}' in (ROOT / "deployments" / "alerts.yml").read_text()
    assert sorted(discovery["names"]) == sorted(OURS)
    assert str(discovery["port"]) == SERVICES["web"]["environment"]["METRICS_PORT"]
    for name in OURS:
        assert set(SERVICES[name]["networks"]) & set(SERVICES["prometheus"]["networks"])
    assert set(PROMETHEUS["rule_files"]) <= set(mounts("prometheus"))
    config = next(word for word in SERVICES["prometheus"]["command"] if word.startswith("--config.file="))
    assert config.partition("=")[2] in mounts("prometheus")


def test_grafana_reads_prometheus_and_our_dashboard() -> None:
    files = mounts("grafana")
    provisioned = "/etc/grafana/provisioning"
    source = yaml.safe_load((FOLDER / files[f"{provisioned}/datasources/billing.yml"]).read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    provider = yaml.safe_load((FOLDER / files[f"{provisioned}/dashboards/billing.yml"]).read_text())
    folder = provider["providers"][0]["options"]["path"]
    assert files[f"{folder}/billing.json"] == "../grafana/dashboard.json"
    assert set(SERVICES["grafana"]["networks"]) & set(SERVICES["prometheus"]["networks"])


@pytest.mark.parametrize("name", SERVICES)
def test_every_mounted_file_exists_and_is_read_only(name: str) -> None:
    for target, source in mounts(name).items():
        assert (FOLDER / source).is_file(), source
        assert f"{source}:{target}:ro" in SERVICES[name]["volumes"]


def test_the_proxy_alone_is_reached_from_outside() -> None:
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}
    assert all(port.startswith("127.0.0.1:") for name in ("prometheus", "grafana") for port in published[name])
    assert not published["web"] + published["sweep"]
    assert {port.partition(":")[0] for port in published["proxy"]} == {"80", "443"}


def test_the_proxy_says_who_asks_and_where_to() -> None:
    caddy = (ROOT / "deployments" / "proxy" / "Caddyfile").read_text()
    environment = SERVICES["web"]["environment"]
    assert f"header_up {environment['CLIENT_IP_HEADER']} {{remote_host}}" in caddy
    assert SERVICES["proxy"]["environment"]["UPSTREAM"] == f"web:{environment['PORT']}"
    assert set(re.findall(r"{\$(\w+)", caddy)) == set(SERVICES["proxy"]["environment"])
    assert f"{{$UPSTREAM:127.0.0.1:{SETTINGS['PORT'].metadata['default']}}}" in caddy
    assert caddy.count("{") == caddy.count("}")
    assert set(SERVICES["proxy"]["networks"]) & set(SERVICES["web"]["networks"])


def test_other_images_have_a_version() -> None:
    for name, service in SERVICES.items():
        if name not in OURS:
            assert re.fullmatch(r"[a-z]+(/[a-z]+)?:v?\d+\.\d+\.\d+", service["image"]), service["image"]
