"""Settings → services → the web application and, where switched on, the sweep. Nothing else."""

import asyncio
import contextlib

import uvicorn

from chain.signing import warm
from stateless_billing.clock import SystemClock
from stateless_billing.services import Services
from stateless_billing.settings import Settings
from stateless_billing.web.routes import create_app
from stateless_billing.web.wire import Wire

_DRAIN_SECONDS = 25
_IDLE_SWEEP_SECONDS = 15


async def serve(settings: Settings) -> None:
    """Serve until told to stop. Raises NotFit where the service may not start."""
    async with Services(settings, SystemClock()) as services:
        await services.start()
        config = uvicorn.Config(
            create_app(services),
            host=settings.host,
            port=settings.port,
            http=Wire,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
        await services.grants.ledger.look_at_start()
        background = [
            asyncio.create_task(asyncio.to_thread(warm)),
            asyncio.create_task(services.grants.ledger.forever(_IDLE_SWEEP_SECONDS)),
        ]
        if settings.sweep:
            background.append(asyncio.create_task(_sweep(services)))
        try:
            await uvicorn.Server(config).serve()
        finally:
            await _end(background)


async def sweep(settings: Settings, *, once: bool) -> bool:
    """Sweep once, or until told to stop; whether all that was to be read was read. Raises NotFit."""
    async with Services(settings, SystemClock()) as services:
        await services.start()
        await services.grants.ledger.look_at_start()
        if once:
            return (await services.sweep.once(flush=True)).complete
        await asyncio.gather(_sweep(services), services.grants.ledger.forever(_IDLE_SWEEP_SECONDS))
        return True


async def _sweep(services: Services) -> None:
    busy = services.settings.sweep_seconds
    await services.sweep.forever(busy, max(busy, _IDLE_SWEEP_SECONDS))


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
