"""The public API. Every handler checks its input, asks the orchestration, and answers JSON."""

import asyncio
from typing import Any

from cachetools import TTLCache
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stateless_billing.payers.quotes import Quotes
from stateless_billing.runtime import logs
from stateless_billing.services.container import Services
from stateless_billing.services.readiness import readiness
from stateless_billing.web.http import inputs

_ACCOUNT_SECONDS = 0.3  # accounts are told at multiples of it, so that the time does not tell whether one is known

_READY_SECONDS = 1  # many who ask at once cost the nodes no more than one


class Api:
    """The handlers, with what they need."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._quotes: Quotes = services.quotes()
        self._readiness_lock = asyncio.Lock()
        self._readiness_read_at: TTLCache[None, dict[str, Any]] = TTLCache(1, _READY_SECONDS, services.clock.boot)

    async def get_account(self, request: Request) -> Response:
        """`GET /api/accounts/{wallet}`."""
        return JSONResponse(await self.describe_account(inputs.parse_wallet(request.path_params["wallet"])))

    async def describe_account(self, wallet: str) -> dict[str, Any]:
        """An account, in the same time whether it is known or not."""
        clock = self._services.clock.boot
        begun = clock()
        try:
            return await self._services.accounts.describe(wallet)
        finally:
            await asyncio.sleep(_ACCOUNT_SECONDS - (clock() - begun) % _ACCOUNT_SECONDS)

    async def create_offer(self, cents: int) -> dict[str, Any]:
        """What `cents` would cost now. Raises ProblemError."""
        return await self._quotes.offer(cents)

    async def create_quote(self, request: Request) -> Response:
        """`POST /api/quotes`."""
        body = await inputs.read_json_object(request, {"wallet", "cents", "payer"})
        wallet, cents = inputs.parse_wallet(body.get("wallet")), inputs.parse_cents(body.get("cents"))
        payer = None if body.get("payer") is None else inputs.parse_wallet(body["payer"], "payer")
        return JSONResponse(await self._quotes.create(wallet, cents, payer))

    async def claim_payment(self, request: Request) -> Response:
        """`POST /api/payments`."""
        body = await inputs.read_json_object(request, {"tx_hash"})
        logs.add_to_context(work="claim")
        return JSONResponse(await self._services.claims.of(inputs.parse_tx_hash(body.get("tx_hash")), credit=True))

    async def get_payment(self, request: Request) -> Response:
        """`GET /api/payments/{tx_hash}`."""
        tx_hash = inputs.parse_tx_hash(request.path_params["tx_hash"])
        return JSONResponse(await self._services.claims.of(tx_hash, credit=False))

    async def healthz(self, request: Request) -> Response:
        """`GET /healthz`: the process lives."""
        return JSONResponse({"ok": True})

    async def readyz(self, request: Request) -> Response:
        """`GET /readyz`: whether it is fit to serve."""
        async with self._readiness_lock:
            found = self._readiness_read_at.get(None)
            if found is None:
                found = self._readiness_read_at[None] = await readiness(self._services)
        return JSONResponse(found, 200 if found["ready"] else 503)
