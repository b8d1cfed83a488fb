"""Processes are killed in an outage, replaced while they serve, or run on a machine whose clock is fast."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from stateless_billing.sandbox.stack import Service, free_port
from tests.outages.world import Recovery, Scene, World

START_SECONDS = 20.0
UNDISTURBED_SECONDS = 20.0
RIGHT_CLOCK_SECONDS = 20.0


class ShiftedService(Service):
    """A process of the service whose wall clock is 90 s fast."""

    shift_seconds = 90

    def _start(self, command: list[str], environment: Mapping[str, str], cwd: Path | None = None) -> None:
        shifted = [sys.executable, "-m", "tests.outages.shifted_clock", str(self.shift_seconds)]
        super()._start([*shifted, *command[command.index("stateless_billing") + 1 :]], environment, cwd)


class RefusedClockService(ShiftedService):
    """A process of the service whose wall clock is too fast to send anything to Stripe."""

    shift_seconds = 150


def outage_killed_meanwhile(world: World) -> Recovery:
    """Both processes are killed while Stripe is away.

    One that serves starts all the same: it shows what it can, writes nothing, and credits when Stripe is back. One that
    sweeps alone ends with the reason.
    """
    with world.started() as scene:
        web, sweeper = scene.start()
        bills = scene.bills(web, *[5000] * 3)
        scene.stripe.refuse()
        hashes = scene.pay_all(bills)
        with scene.observe(web, hashes[:1]) as observer:
            time.sleep(world.lasting(20, 4))
        web.kill()
        sweeper.kill()
        refused = scene.stack.run("sweep")
        assert refused.returncode == 3, refused.stderr
        assert "Stripe could not be read" in refused.stderr
        web = scene.stack.serve()
        assert httpx.get(f"{web.url}/pay", timeout=20).is_success
        claim = httpx.post(f"{web.url}/api/payments", json={"tx_hash": hashes[0]}, timeout=20)
        assert claim.json()["type"] == "/problems/stripe_unavailable"
        assert not httpx.get(f"{web.url}/readyz", timeout=20).json()["checks"]["startup"]["ok"]
        since = time.monotonic()
        scene.stripe.restore()
        seconds = scene.seconds_until_credited(bills, since)
    return Recovery(seconds, START_SECONDS, observer.payers, observer.readiness)


def outage_rolling_deploy(world: World) -> Recovery:
    """New processes start beside the old ones, which then stop; payments are made all the while."""
    with world.started(nodes=2) as scene:
        old = scene.start()
        first, second, third = scene.bills(old[0], *[5000] * 3)
        since = time.monotonic()
        hashes = scene.pay_all([first])
        begun = time.monotonic()
        web = scene.stack.serve(SWEEP="off")
        started = time.monotonic() - begun
        with scene.observe(web, hashes) as observer:
            scene.stack.sweeper()
            scene.pay_all([second])
            for service in old:
                service.stop()
            hashes += scene.pay_all([third])
            seconds = scene.seconds_until_credited([first, second, third], since)
    note = f"the new process answered after {started:.1f} s"
    return Recovery(seconds, UNDISTURBED_SECONDS, observer.payers, observer.readiness, note=note)


def outage_clock_fast(world: World) -> Recovery:
    """The machine's clock is 90 s fast: it credits, and says that it does."""
    with world.started() as scene, shifted(scene, ShiftedService) as web:
        bills = scene.bills(web, 5000)
        hashes = scene.pay_all(bills)
        since = time.monotonic()
        with scene.observe(web, hashes) as observer:
            seconds = scene.seconds_until_credited(bills, since)
            time.sleep(2)
    assert "not ready" not in observer.readiness, list(observer.details)
    return Recovery(seconds, UNDISTURBED_SECONDS, observer.payers, observer.readiness)


def outage_clock_too_fast(world: World) -> Recovery:
    """The machine's clock is 150 s fast: it sends nothing and blames the clock; another machine credits."""
    with world.started() as scene, shifted(scene, RefusedClockService) as web:
        bills = scene.bills(web, 5000)
        with scene.observe(web, scene.pay_all(bills)) as observer:
            time.sleep(world.lasting(20, 6))
        assert not scene.is_credited(bills[0])
        assert not any("node is behind" in detail for detail in observer.details), list(observer.details)
        since = time.monotonic()
        scene.start()
        seconds = scene.seconds_until_credited(bills, since)
    unsaid = observer.unsaid("set the clock", "not ready (")
    return Recovery(seconds, RIGHT_CLOCK_SECONDS, observer.payers, observer.readiness, unsaid)


@contextmanager
def shifted(scene: Scene, kind: type[ShiftedService]) -> Iterator[Service]:
    """Run one process with a shifted clock, which serves and sweeps."""
    port = free_port()
    environment = scene.stack.environment(PORT=str(port))
    service = kind(["serve"], environment, f"http://127.0.0.1:{port}")
    try:
        yield service
    finally:
        service.stop()
