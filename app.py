"""Runs the service: builds it from the settings, serves the web application and sweeps."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette

from chain.provider import preload_web3
from stateless_billing.operators.roster import GRANT, has_anybody_right
from stateless_billing.runtime.clock import SystemClock
from stateless_billing.services.container import Services
from stateless_billing.settings import Settings
from stateless_billing.web.routes import create_app
from stateless_billing.web.server import serving
from stateless_billing.web.server.lazy_routes import load_lazy_routes
from stateless_billing.web.server.metrics_app import create_metrics_app

_IDLE_SWEEP_SECONDS = 15
_RECONCILE_GRANTS_SECONDS = 15


async def serve(settings: Settings) -> None:
    """Serve until terminated. Raises: StartupRefused."""
    async with Services(settings, SystemClock()) as services:
        app = create_app(services)
        async with _background(_finish_loading(app), _serve_metrics(services)):
            work = _work(services)
            await serving.serve(app, settings.host, settings.port, app.state.streams.close, work)


async def _work(services: Services) -> None:
    """Check what the settings name, however long Stripe is away; then do what no request asks for.

    Raises: StartupRefused.
    """
    await services.start(waits_for_stripe=True)
    tasks = [services.stripe_probe.watch()]
    if has_anybody_right(services.settings.operators, GRANT):
        await services.grants.ledger.reconcile_at_start()
        tasks.append(services.grants.ledger.run(_RECONCILE_GRANTS_SECONDS))
    services.startup.admit()
    if services.settings.sweep:
        tasks += _sweep_tasks(services)
    await asyncio.gather(*tasks)


async def _finish_loading(app: Starlette) -> None:
    """Load what takes long to import, while the first requests wait for the checks."""
    await asyncio.to_thread(load_lazy_routes, app)
    await asyncio.to_thread(preload_web3)


async def sweep(settings: Settings, *, once: bool) -> bool:
    """Sweep once or until terminated, and return whether everything could be read. Raises: StartupRefused."""
    async with Services(settings, SystemClock()) as services:
        work = asyncio.create_task(_sweep(services, once=once))
        with serving.on_termination_signal(work.cancel), contextlib.suppress(asyncio.CancelledError):
            return await work
        return not once  # a single sweep that was stopped has not read everything


async def _sweep(services: Services, *, once: bool) -> bool:
    await services.start()
    if once:
        return (await services.sweeper.run_once(force=True)).complete
    await asyncio.gather(_serve_metrics(services), services.stripe_probe.watch(), *_sweep_tasks(services))
    return True


async def _serve_metrics(services: Services) -> None:
    if port := services.settings.metrics_port:
        await serving.serve_secondary(create_metrics_app(services), services.settings.host, port)


def _sweep_tasks(services: Services) -> list[Coroutine[Any, Any, None]]:
    busy = services.settings.sweep_seconds
    return [services.sweeper.run(busy, max(busy, _IDLE_SWEEP_SECONDS)), services.price_feed.watch()]


@asynccontextmanager
async def _background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run coroutines as background tasks within the block, and cancel them at its end. A failure is logged."""
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    for task in tasks:
        task.add_done_callback(_log_failure)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logging.getLogger(__name__).error("a background task failed", exc_info=error)
