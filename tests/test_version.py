"""Every place that names a release names the same one, and every place that names a license the same license."""

import json
import re
import tomllib
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.registry import CollectorRegistry

from stateless_billing.version import VERSION, read_commit
from stateless_billing.web.api.openapi import create_document
from stateless_billing.web.server import metrics_app

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENTRY = re.compile(r"^## (?:\[?(Unreleased|\d+\.\d+\.\d+)\]?)(?: - (\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)


def test_the_package_and_the_changelog_name_the_release() -> None:
    entries = ENTRY.findall((ROOT / "CHANGELOG.md").read_text())
    [name, date], *others = [entry for entry in entries if entry[0] != "Unreleased"]
    assert PROJECT["version"] == VERSION == name
    assert date
    assert all(other_date <= date for _, other_date in others)


def test_every_file_names_the_same_license() -> None:
    assert (ROOT / "LICENSE").read_text().startswith("MIT License\n\nCopyright (c) ")
    named = {
        PROJECT["license"],
        json.loads((ROOT / "package.json").read_text())["license"],
        create_document()["info"]["license"]["identifier"],
        *re.findall(r'image\.licenses="([^"]+)"', (ROOT / "Dockerfile").read_text()),
    }
    for path in (ROOT / "contracts").glob("s*/**/*.sol"):
        named |= set(re.findall(r"SPDX-License-Identifier: (\S+)", path.read_text()))
    assert named == {"MIT"}


def test_a_process_says_what_it_runs() -> None:
    class BuildInfo:
        def collect(self) -> list[object]:
            return [metrics_app._build_info()]

    registry = CollectorRegistry()
    registry.register(BuildInfo())  # type: ignore[arg-type]
    text = generate_latest(registry).decode()
    assert re.search(
        rf'^billing_build_info{{commit="unknown",python="3\.\d+\.\d+",version="{VERSION}"}} 1\.0$', text, re.M
    )
    assert read_commit() == "unknown"
