"""A copied session is used after its owner has signed out, on every process."""

import time
from dataclasses import replace

from stateless_billing.sandbox.stack import Service
from tests.attack.world import World
from tests.integration.operators import ADMIN, MODERATOR, Operator

MAX_SECONDS = 60.0
MIN_PROCESSES = 3
POLL_SECONDS = 0.5


def attack_ended_session(world: World) -> str:
    """Show that signing out, and ending all sessions of another, ends them on all processes within a minute."""
    world = replace(world, processes=max(MIN_PROCESSES, world.processes))
    with world.started(settings={"SWEEP": "off"}) as stack:
        services = world.serve_all(stack)
        thief = Operator(ADMIN, age=60)
        owner = Operator(ADMIN, cookie=thief.cookies["__Host-session"])
        lost = [Operator(MODERATOR, age=60 * number) for number in (1, 2, 3)]
        admin = Operator(ADMIN)
        for service in services:
            assert all(is_signed_in(service, operator) for operator in (thief, admin, *lost))
        assert owner.send(services[0], "/logout", {}).status_code == 303
        own = last_use(services, [thief])
        assert admin.send(services[-1], "/logout/everywhere", {"name": MODERATOR}).status_code == 303
        others = last_use(services, lost)
        assert all(is_signed_in(service, admin) for service in services), "only what was ended is ended"
        time.sleep(2)
        assert all(is_signed_in(service, Operator(MODERATOR)) for service in services), "signing in again works"
    return (
        f"{world.processes} processes: a copied session ended after {own:.0f} s (was 7 days),"
        f" {len(lost)} of another operator after {others:.0f} s"
    )


def is_signed_in(service: Service, operator: Operator) -> bool:
    """Whether a page opens."""
    return operator.get(service, "/admin").status_code == 200


def last_use(services: list[Service], operators: list[Operator]) -> float:
    """Return after how many seconds no process accepts any of the sessions."""
    began = time.monotonic()
    while any(is_signed_in(service, operator) for service in services for operator in operators):
        assert time.monotonic() - began < MAX_SECONDS, "an ended session lives on"
        time.sleep(POLL_SECONDS)
    return time.monotonic() - began
