"""Handlers of the public API: check the input, call a service, answer in JSON."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cachetools import TTLCache
from starlette.requests import Request
from starlette.responses import Response

from chain.signatures import Quote
from stateless_billing.payers.quote_statuses import QuoteStatuses
from stateless_billing.payers.quotes import Quotes
from stateless_billing.payers.responses import AccountResponse, Offer
from stateless_billing.runtime import logs
from stateless_billing.services.container import Services
from stateless_billing.services.readiness import ReadinessResponse, readiness
from stateless_billing.web.api.account_events import AccountStream, empty_stream
from stateless_billing.web.api.requests import ClaimRequest, QuoteRequest, QuoteStatusRequest
from stateless_billing.web.api.stream_slots import StreamSlots
from stateless_billing.web.http import inputs
from stateless_billing.web.http.client_origin import request_origin
from stateless_billing.web.http.json_response import StructResponse

ACCOUNT_STEP_SECONDS = 0.3  # accounts are answered at multiples of this: the time does not reveal a known wallet
_READINESS_TTL_SECONDS = 1


class Api:
    """The handlers, with the services they call."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.streams = StreamSlots()
        self._quotes: Quotes = services.quotes()
        self._quote_statuses: QuoteStatuses = services.quote_statuses()
        self._readiness_lock = asyncio.Lock()
        self._readiness: TTLCache[None, ReadinessResponse] = TTLCache(1, _READINESS_TTL_SECONDS, services.clock.boot)

    async def get_account(self, request: Request) -> Response:
        """`GET /api/accounts/{wallet}`."""
        wallet = inputs.parse_wallet(request.path_params["wallet"])
        return StructResponse(await self.describe_account(wallet, request_origin(request)))

    async def describe_account(self, wallet: str, origin: str) -> AccountResponse:
        """Describe an account, in the same time whether it is known or not."""
        async with self._stepped():
            return await self._services.accounts.describe(wallet, origin)

    async def stream_account(self, request: Request) -> Response:
        """`GET /api/accounts/{wallet}/events`."""
        wallet = inputs.parse_wallet(request.path_params["wallet"])
        if empty := empty_stream(request):
            return empty
        async with self._stepped():
            return await AccountStream.open(request, wallet, self._services.account_watch, self.streams)

    @asynccontextmanager
    async def _stepped(self) -> AsyncIterator[None]:
        clock = self._services.clock.boot
        started_at = clock()
        try:
            yield
        finally:
            await asyncio.sleep(ACCOUNT_STEP_SECONDS - (clock() - started_at) % ACCOUNT_STEP_SECONDS)

    async def create_offer(self, cents: int) -> Offer:
        """Price `cents` without signing. Raises: ProblemError."""
        return await self._quotes.offer(cents)

    async def create_quote(self, request: Request) -> Response:
        """`POST /api/quotes`."""
        body = await inputs.read_body(request, QuoteRequest)
        wallet = inputs.parse_wallet(body.wallet)
        payer = None if body.payer is None else inputs.parse_wallet(body.payer, "payer")
        return StructResponse(await self._quotes.create(wallet, body.cents, payer, request_origin(request)))

    async def get_quote_status(self, request: Request) -> Response:
        """`POST /api/quotes/status`."""
        body = await inputs.read_body(request, QuoteStatusRequest)
        gateway = inputs.parse_wallet(body.gateway, "gateway")
        amount = inputs.parse_uint256(body.amount, "amount")
        quote = Quote(inputs.parse_wallet(body.wallet), body.sequence, amount, body.cents, body.deadline)
        return StructResponse(await self._quote_statuses.find(gateway, quote, bytes.fromhex(body.signature[2:])))

    async def claim_payment(self, request: Request) -> Response:
        """`POST /api/payments`."""
        body = await inputs.read_body(request, ClaimRequest)
        logs.add_to_context(work="claim")
        return StructResponse(await self._services.claims.claim(inputs.parse_tx_hash(body.tx_hash)))

    async def get_payment(self, request: Request) -> Response:
        """`GET /api/payments/{tx_hash}`."""
        tx_hash = inputs.parse_tx_hash(request.path_params["tx_hash"])
        return StructResponse(await self._services.claims.status(tx_hash))

    async def readyz(self, request: Request) -> Response:
        """`GET /readyz`: whether it is fit to serve."""
        async with self._readiness_lock:
            answer = self._readiness.get(None)
            if answer is None:
                answer = self._readiness[None] = await readiness(self._services)
        return StructResponse(answer, 200 if answer.ready else 503)
