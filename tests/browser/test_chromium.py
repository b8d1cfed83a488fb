"""Playwright runs on the machine's Node."""

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import chromium
from tests.descendants import own

SETTING = "PLAYWRIGHT_NODEJS_PATH"


def test_the_driver_runs_on_the_machines_node(browser: Browser) -> None:
    assert browser.is_connected()
    drivers = [process for process in own() if "run-driver" in process.command]
    assert drivers
    assert {Path(f"/proc/{process.pid}/exe").resolve() for process in drivers} == {Path(chromium.node()).resolve()}


def test_a_node_that_the_environment_names_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "/opt/node")
    chromium.use_own_node()
    assert os.environ[SETTING] == "/opt/node"
    monkeypatch.delenv(SETTING)
    chromium.use_own_node()
    assert os.environ[SETTING] == shutil.which("node")
