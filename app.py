"""Runs the service: listens, imports the rest in a thread, serves the web application and sweeps."""

import asyncio
import contextlib
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette

from stateless_billing.operators.roster import GRANT, has_anybody_right
from stateless_billing.runtime.background import in_background, until_one_fails
from stateless_billing.runtime.clock import SystemClock
from stateless_billing.settings import Settings
from stateless_billing.web.server import serving
from stateless_billing.web.server.loading import LoadingApp

if TYPE_CHECKING:
    from stateless_billing.services.container import Services

_IDLE_SWEEP_SECONDS = 15
_RECONCILE_GRANTS_SECONDS = 15


async def serve(settings: Settings) -> None:
    """Serve until terminated. Raises: StartupRefused."""
    front = LoadingApp()
    async with AsyncExitStack() as opened:
        await serving.serve(front, settings.host, settings.port, front.drain, _work(settings, front, opened))


async def _work(settings: Settings, front: LoadingApp, opened: AsyncExitStack) -> None:
    """Load and run the service. `opened` is closed after the last response. Raises: StartupRefused."""
    try:
        services = await opened.enter_async_context(await asyncio.to_thread(create_services, settings))
        from stateless_billing.web.server.metrics_app import serve_metrics

        await opened.enter_async_context(in_background(serve_metrics(services)))
        await until_one_fails(_run(services), _finish_loading(services, front, opened))
    finally:
        front.give_up()


async def _run(services: "Services") -> None:
    """Check until Stripe can be read, then do what no request asks for. Raises: StartupRefused."""
    await services.start(waits_for_stripe=True)
    tasks = [services.stripe_probe.watch()]
    if has_anybody_right(services.settings.operators, GRANT):
        await services.grants.ledger.reconcile_at_start()
        tasks.append(services.grants.ledger.run(_RECONCILE_GRANTS_SECONDS))
    services.startup.admit()
    if services.settings.sweep:
        tasks += _sweep_tasks(services)
    await asyncio.gather(*tasks)


async def _finish_loading(services: "Services", front: LoadingApp, opened: AsyncExitStack) -> None:
    """Load what the checks do not need, while their answers are on the way."""
    from chain.provider import preload_web3

    app = await asyncio.to_thread(_create_app, services)
    front.admit(app, app.state.end_streams)
    await opened.enter_async_context(in_background(asyncio.to_thread(preload_web3)))


def create_services(settings: Settings) -> "Services":
    """Import and build the services, without I/O."""
    from stateless_billing.services.container import Services

    return Services(settings, SystemClock())


def _create_app(services: "Services") -> Starlette:
    from stateless_billing.web.routes import create_app

    return create_app(services)


async def sweep(settings: Settings, *, once: bool) -> bool:
    """Sweep once or until terminated, and return whether everything could be read. Raises: StartupRefused."""
    async with create_services(settings) as services:
        work = asyncio.create_task(_sweep(services, once=once))
        with serving.on_termination_signal(work.cancel), contextlib.suppress(asyncio.CancelledError):
            return await work
        return not once  # a single sweep that was stopped has not read everything


async def _sweep(services: "Services", *, once: bool) -> bool:
    from stateless_billing.web.server.metrics_app import serve_metrics

    await services.start()
    if once:
        return (await services.sweeper.run_once(force=True)).complete
    await asyncio.gather(serve_metrics(services), services.stripe_probe.watch(), *_sweep_tasks(services))
    return True


def _sweep_tasks(services: "Services") -> list[Coroutine[Any, Any, None]]:
    busy = services.settings.sweep_seconds
    return [services.sweeper.run(busy, max(busy, _IDLE_SWEEP_SECONDS)), services.price_feed.watch()]
