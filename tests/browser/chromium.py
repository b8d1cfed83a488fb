"""The npm Chromium: unpacked once per version, started without any system package."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from stateless_billing.sandbox import processes

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "node_modules" / "@sparticuz" / "chromium" / "package.json"

ARGUMENTS = [
    "--no-sandbox",
    "--no-zygote",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-domain-reliability",
    "--no-pings",
    "--font-render-hinting=none",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]

FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{folder}</dir><cachedir>{cache}</cachedir></fontconfig>
"""


def unpacked() -> Path:
    """Return the folder of the unpacked browser; safe for concurrent test runs."""
    version = json.loads(PACKAGE.read_text())["version"]
    target = Path(tempfile.gettempdir()) / f"stateless-billing-chromium-{version}-{os.getuid()}"
    if target.exists():
        return target
    staging = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=target.parent))
    try:
        command = [node(), str(ROOT / "tools" / "unpack_chromium.mjs"), str(staging)]
        processes.run(command, cwd=ROOT, stdout=None, stderr=None, check=True)
        fonts = FONTS.format(folder=target / "fonts", cache=target / "fonts-cache")
        (staging / "fonts.conf").write_text(fonts)
        if not target.exists():
            staging.rename(target)
    except OSError:
        if not target.exists():  # otherwise another run was faster
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def node() -> str:
    """Return the path of the Node that README.md requires."""
    path = shutil.which("node")
    assert path, "install Node 20 or later"
    return path


def use_own_node() -> None:
    """Make Playwright use the machine's Node, unless the environment already names one.

    Playwright's bundled Node needs system libraries that a minimal machine lacks.
    """
    os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", node())


@contextmanager
def started() -> Iterator[Browser]:
    """Start a Chromium and end it afterwards."""
    folder = unpacked()
    processes.watch()
    use_own_node()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=folder / "chromium",
            args=ARGUMENTS,
            env={**processes.marked(environment(folder))},
        )
        yield browser
        browser.close()


def environment(folder: Path) -> dict[str, str]:
    """Point the browser at the libraries and fonts that came with it."""
    return {
        "LD_LIBRARY_PATH": str(folder / "al2023" / "lib"),
        "FONTCONFIG_FILE": str(folder / "fonts.conf"),
        "HOME": str(folder),
    }
