"""Settings → services → the web application and, where switched on, the sweep. Nothing else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette

from chain.signing import preload_crypto
from stateless_billing.operators.roster import GRANT, has_anybody_right
from stateless_billing.runtime.clock import SystemClock
from stateless_billing.services.container import Services
from stateless_billing.settings import Settings
from stateless_billing.web.routes import create_app
from stateless_billing.web.server import serving
from stateless_billing.web.server.lazy_routes import load_lazy_routes
from stateless_billing.web.server.metrics_app import create_metrics_app

_IDLE_SWEEP_SECONDS = 15
_GRANTS_SECONDS = 15
_ANSWERING_SECONDS = 0.5  # from the start on nothing else takes the processor from the first answers


async def serve(settings: Settings) -> None:
    """Serve until told to stop. Raises NotFit where the service may not start."""
    async with Services(settings, SystemClock()) as services:
        await services.start()
        app = create_app(services)
        work = [_finish_loading(app), *_watched(services)]
        if has_anybody_right(settings.operators, GRANT):
            await services.grants.ledger.reconcile_at_start()
            work.append(services.grants.ledger.run(_GRANTS_SECONDS))
        if settings.sweep:
            work += _sweeping(services)
        async with _background(*work):
            await serving.serve(app, settings.host, settings.port)


async def _finish_loading(app: Starlette) -> None:
    """What would make a start slow and is not needed for the first answers; before a payer waits for it."""
    await asyncio.sleep(_ANSWERING_SECONDS)
    await asyncio.to_thread(load_lazy_routes, app)
    await asyncio.to_thread(preload_crypto)


async def sweep(settings: Settings, *, once: bool) -> bool:
    """Sweep once, or until told to stop; whether all that was to be read was read. Raises NotFit."""
    async with Services(settings, SystemClock()) as services:
        await services.start()
        if once:
            return (await services.sweeper.run_once(force=True)).complete
        work = asyncio.gather(*_watched(services), *_sweeping(services))
        with serving.on_termination_signal(work.cancel), contextlib.suppress(asyncio.CancelledError):
            await work
        return True


def _watched(services: Services) -> list[Coroutine[Any, Any, None]]:
    settings = services.settings
    if not settings.metrics_port:
        return []
    return [serving.serve_secondary(create_metrics_app(services), settings.host, settings.metrics_port)]


def _sweeping(services: Services) -> list[Coroutine[Any, Any, None]]:
    busy = services.settings.sweep_seconds
    return [services.sweeper.run(busy, max(busy, _IDLE_SWEEP_SECONDS)), services.price_feed.watch()]


@asynccontextmanager
async def _background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do all that beside what happens within, and end it afterwards."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
