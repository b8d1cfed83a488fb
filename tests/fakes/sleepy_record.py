"""A service record behind one connection, at a machine that falls asleep right before it writes."""

import json
from urllib.parse import parse_qsl

import httpx

from stateless_billing.bookkeeping.records import ServiceRecords
from stateless_billing.stripe.client import StripeApi
from stateless_billing.stripe.rate_limiter import RateLimiter
from tests.fakes.factories import FakeClock
from tests.fakes.fake_stripe import KEY, raw_customer
from tests.fakes.tracing_transport import HEADERS, TracingTransport

RECORD = "cus_Service"


class SleepyRecord(TracingTransport):
    """Keeps metadata. `sleeps` are the seconds slept before the next writes' headers, the first one first."""

    def __init__(self, **metadata: str) -> None:
        super().__init__(FakeClock())
        self.metadata = {"stateless_billing": "service"} | metadata
        self.sleeps: list[float] = []

    async def _step(self, request: httpx.Request, name: str) -> None:
        if name == HEADERS and request.method == "POST" and self.sleeps:
            self.clock.wait(self.sleeps.pop(0))
        await super()._step(request, name)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer with the record, after the change if there is one."""
        response = await super().handle_async_request(request)
        for name, value in parse_qsl(request.content.decode(), keep_blank_values=True):
            self.metadata[name.removeprefix("metadata[").removesuffix("]")] = value
        self.metadata = {name: value for name, value in self.metadata.items() if value}
        content = json.dumps(raw_customer(id=RECORD, metadata=self.metadata)).encode()
        return httpx.Response(200, headers=response.headers, content=content)

    @property
    def writes(self) -> int:
        """How many writes were sent."""
        return self.written.count("POST")

    def api(self) -> StripeApi:
        """Create a client over this connection."""
        return StripeApi(
            key=KEY,
            base="https://stripe.example",
            rate_limiter=RateLimiter(rate=1_000_000, total_rate=4_000_000, processes=1),
            clock=self.clock,
            transport_factory=lambda: self,
            max_connections=1,
        )

    def records(self, api: StripeApi) -> ServiceRecords:
        """Create the records of a client."""
        return ServiceRecords(api, RECORD)
