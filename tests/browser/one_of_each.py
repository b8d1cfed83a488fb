"""Starts a process of each kind and stops none; run by tests/test_processes.py in a separate pytest."""

import gc
import json
import os
import signal
import threading
from dataclasses import asdict
from pathlib import Path

from playwright.sync_api import Browser

from stateless_billing.sandbox.stack import Stack
from tests.descendants import Descendant, own, survivors

STARTED = "ONE_OF_EACH_STARTED"  # names the file that lists the processes
ENDING = "ONE_OF_EACH_ENDING"


def test_that_stops_nothing(browser: Browser) -> None:
    assert browser.is_connected()
    stack = Stack.start()
    stack.serve()
    stack.sweeper()
    path = Path(os.environ[STARTED])
    path.with_suffix(".part").write_text(json.dumps([asdict(process) for process in own()]))
    path.with_suffix(".part").rename(path)
    if os.environ[ENDING] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ[ENDING] == "interrupted":
        threading.Event().wait()
    raise AssertionError("it fails")


def test_after_it_finds_only_the_browser_of_the_package() -> None:
    gc.collect()
    started = [Descendant(**fields) for fields in json.loads(Path(os.environ[STARTED]).read_text())]
    ours = [process for process in started if "stateless_billing " in process.command or "anvil" in process.command]
    ours += [process for process in started if "stateless_billing.sandbox " in process.command]
    assert len(ours) >= 4
    assert not survivors(ours, 0)
