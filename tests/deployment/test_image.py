"""Executes the image's build steps and runs the result as a container and as Fly does."""

import importlib.util
import json
import shlex
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from stateless_billing.sandbox.localchain import ROOT
from stateless_billing.sandbox.stack import Stack, free_port
from stateless_billing.version import VERSION
from tests.deployment.image import Container, Image, reason_unavailable
from tests.integration.shop import Shop, wait_until

WHY_NOT = reason_unavailable()
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "it can be built"),
]
COMMIT = "0123abcd" * 5
CREATE = "POST /v1/customers/{customer}/balance_transactions"
FLY = tomllib.loads((ROOT / "fly.toml").read_text())
HASHED_AND_NEVER_CHECKED = 1  # https://docs.python.org/3/reference/import.html#pyc-invalidation


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Build the image once, with packages from the package index, as `make install` does."""
    built = Image(COMMIT=COMMIT)
    yield built
    built.remove()


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Run the surrounding system; the chain mines on request."""
    with Stack.start(settings={"CONFIRMATIONS": "10000:1s,100000:safe,finalized"}) as running:
        yield running


def settings(stack: Stack) -> dict[str, str]:
    """Return the environment of a machine on Fly, without its listening addresses."""
    ports = {"PORT": str(free_port()), "METRICS_PORT": str(free_port())}
    name = {"PUBLIC_URL": f"http://127.0.0.1:{ports['PORT']}"}
    return {**FLY["env"], **stack.settings, **ports, **name, "HOST": "127.0.0.1"}


def words(group: str) -> list[str]:
    """Return the command of a process group on Fly."""
    return shlex.split(FLY["processes"][group])


def web(image: Image, stack: Stack) -> Container:
    """Start a machine of the group `web`."""
    seen = settings(stack)
    return Container(image, words("web"), seen, f"http://127.0.0.1:{seen['PORT']}")


def test_only_what_runs_is_in_it(image: Image) -> None:
    names = {path.name for path in image.root.iterdir()}
    assert names == {
        *(
            "LICENSE",
            "__pycache__",
            "app.py",
            "chain",
            "deployments",
            "requirements.txt",
            "static",
            "stateless_billing",
            "venv",
        ),
    }
    assert not list(image.root.glob("stateless_billing/sandbox"))
    assert not list(image.root.glob("venv/lib/*/site-packages/pip"))
    assert not list(image.root.rglob("*.ts")) + list(image.root.rglob("*.sol"))


def test_everything_is_compiled_and_never_compared_with_its_source(image: Image) -> None:
    sources = [path for path in image.root.rglob("*.py") if path.is_file()]
    ours = [path for path in sources if "venv" not in path.parts]
    assert len(ours) > 100
    for source in [*ours, *image.root.rglob("site-packages/starlette/*.py")]:
        compiled = Path(importlib.util.cache_from_source(str(source)))
        assert int.from_bytes(compiled.read_bytes()[4:8], "little") == HASHED_AND_NEVER_CHECKED, source


def test_the_process_is_unprivileged_and_can_write_nowhere(image: Image) -> None:
    uid, gid = image.user.split(":")
    assert int(uid) >= 1000
    assert int(gid) >= 1000
    tried = "import os, pathlib; [print(os.access(one, os.W_OK), end=' ') for one in ('/srv', '/tmp', '/usr/local')]"
    done = image.run(["python", "-c", f"{tried}; print(os.getuid(), os.path.realpath('.'))"], {})
    assert done.stdout.split()[:3] == ["False"] * 3, done.stderr
    assert done.stdout.split()[4] == "/srv"


def test_it_knows_its_release_and_its_commit(image: Image) -> None:
    done = image.run(["python", "-m", "stateless_billing", "--version"], {})
    assert (done.returncode, done.stdout) == (0, f"stateless_billing {VERSION} ({COMMIT})\n"), done.stderr


def test_the_release_command_finds_no_fault(image: Image, stack: Stack) -> None:
    done = image.run(shlex.split(FLY["deploy"]["release_command"]), settings(stack))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_health_check_detects_a_dead_process(image: Image, stack: Stack) -> None:
    check = json.loads(image.last.only("HEALTHCHECK").partition(" CMD ")[2])
    with web(image, stack) as machine:
        assert image.run(check, {"PORT": machine.url.rsplit(":")[-1]}).returncode == 0
    assert image.run(check, {"PORT": str(free_port())}).returncode != 0


def claim(machine: Container, tx_hash: str) -> httpx.Response:
    """Claim a payment over a new connection."""
    return httpx.post(f"{machine.url}/api/payments", json={"tx_hash": tx_hash}, trust_env=False, timeout=60)


def refused(machine: Container) -> bool:
    """Whether it accepts no new connections."""
    try:
        httpx.get(f"{machine.url}/healthz", trust_env=False)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        pass  # accepted, but closed before the request was read
    return False


def written(stack: Stack) -> int:
    """Return the number of credit writes sent to Stripe."""
    counts: dict[str, int] = stack.control("GET", "state")["counts"]
    return counts.get(CREATE, 0)


def test_sigterm_drains_and_loses_nothing(image: Image, stack: Stack) -> None:
    shop = Shop(stack)
    payers = [shop.customer() for _ in range(4)]
    with web(image, stack) as machine, ThreadPoolExecutor(4) as pool:
        *claimed, unclaimed = [shop.pay(machine, payer) for payer in payers]
        stack.control("DELETE", "state")
        shop.fault("slow", times=3, inside=8)
        under_way = [pool.submit(claim, machine, tx_hash) for tx_hash in claimed]
        wait_until(lambda: written(stack) == 3)
        assert not any(stack.credits(payer.id) for payer in payers)
        code = pool.submit(machine.ended, FLY["kill_timeout"])
        wait_until(lambda: refused(machine))
        for future in under_way:
            answer = future.result()
            assert (answer.status_code, answer.json()["state"]) == (200, "credited"), answer.text
        assert code.result() == 0, machine.log()
        assert "Traceback" not in machine.log()
    assert written(stack) == 3

    shop.finalize()
    seen = settings(stack)
    with Container(image, words("sweep"), seen) as sweeper:
        wait_until(lambda: stack.credits(payers[3].id))
        checked = httpx.get(f"http://127.0.0.1:{seen['METRICS_PORT']}{FLY['checks']['sweep']['path']}", trust_env=False)
        assert checked.is_success
        assert sweeper.ended(FLY["kill_timeout"]) == 0, sweeper.log()
        assert "Traceback" not in sweeper.log()
    with web(image, stack) as successor:
        for tx_hash in (*claimed, unclaimed):
            assert claim(successor, tx_hash).json()["state"] == "credited"
    assert [[row["amount"] for row in stack.credits(payer.id)] for payer in payers] == [[-5000]] * 4
