"""One HTTP/1.1 connection from a process to Stripe, with the trace steps of httpcore.

A sent request proceeds without its process: the network and Stripe are not part of it. A process may be suspended or
killed between any two of its own steps.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from stateless_billing.sandbox.answers import Answer, Delivery
from tests.simulation.plan import LONG_IDLE

if TYPE_CHECKING:
    from tests.simulation.replica import Replica
    from tests.simulation.world import World

CONNECT = "connection.connect_tcp"
HEADERS = "http11.send_request_headers"
BODY = "http11.send_request_body"
Trace = Callable[[str, dict[str, Any]], Awaitable[None]] | None


@dataclass
class Link:
    """The connection as both ends see it; `used` is the time of its last byte."""

    used: float
    idle: float
    broken: bool = False

    def closed(self, now: float) -> bool:
        """Whether Stripe has closed it."""
        return self.broken or now - self.used > self.idle


class StripeLine(httpx.AsyncBaseTransport):
    """The transport of one connection."""

    def __init__(self, world: "World", replica: "Replica") -> None:
        self._world = world
        self._replica = replica
        self._link: Link | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Connect if needed, write, and wait for the answer. Any failure closes the connection."""
        world, replica = self._world, self._replica
        if world.over:
            raise httpx.ConnectError("the simulation is over")
        trace: Trace = request.extensions.get("trace")
        write = request.method == "POST" and request.url.path.endswith("/balance_transactions")
        await replica.point("begin_write" if write else "begin_read")
        link = self._link
        if link is None or link.closed(world.seconds()):
            link = self._link = None
            link = await self._connect(trace)
        where = "before_write" if write else "before_read"
        # If a machine sleeps between the last check and the socket write, only a closed connection can stop the write.
        stays = link.idle > LONG_IDLE
        try:
            for step in (HEADERS, BODY):
                if stays:
                    await replica.point(where)
                replica.judging = stays
                if trace:
                    await trace(f"{step}.started", {})
                replica.judging = False
                if not stays:
                    await replica.point(where)
                if self._gone(link):
                    raise httpx.ReadError("the connection is gone")
                link.used = world.seconds()
                if trace:
                    await trace(f"{step}.complete", {})
            self._link = link
            return await self._answer(link, request)
        except BaseException:
            self._link, replica.judging = None, False
            raise

    def _gone(self, link: Link) -> bool:
        return self._world.over or link.closed(self._world.seconds())

    async def _connect(self, trace: Trace) -> Link:
        world = self._world
        if trace:
            await trace(f"{CONNECT}.started", {})
        await asyncio.sleep(0.03)
        if world.refuses():
            raise httpx.ConnectError("refused")
        if trace:
            await trace(f"{CONNECT}.complete", {})
        await self._replica.point("connected")
        return Link(world.seconds(), world.plan.idle_timeout)

    async def _answer(self, link: Link, request: httpx.Request) -> httpx.Response:
        world, loop = self._world, self._world.loop
        answered: asyncio.Future[httpx.Response] = loop.create_future()

        def expire() -> None:
            if not answered.done():
                answered.set_exception(httpx.ReadTimeout("no answer"))

        timer = loop.call_later(30.0, expire)
        loop.start(self._serve(link, request, self._replica.name, answered), world.context)
        try:
            response = await answered
        finally:
            timer.cancel()
        await self._replica.point("answered")
        return response

    async def _serve(
        self, link: Link, request: httpx.Request, who: str, answered: "asyncio.Future[httpx.Response]"
    ) -> None:
        """The part of the network and of Stripe, which no process can stop."""
        world = self._world
        await asyncio.sleep(world.latency(request))
        answer = None if world.stripe_away() else await self._exchange(request, who)
        await asyncio.sleep(0.04)
        if answered.done():
            return
        link.used = world.seconds()
        if answer is None or answer.delivery in (Delivery.LOST, Delivery.CUT):
            link.broken = True
            answered.set_exception(httpx.RemoteProtocolError("peer closed connection"))
            return
        link.broken |= answer.delivery is Delivery.CLOSED
        answered.set_result(httpx.Response(answer.status, headers=answer.headers, content=answer.body))

    async def _exchange(self, request: httpx.Request, who: str) -> Answer:
        world = self._world
        path = request.url.raw_path.decode()
        world.mischief.query, world.mischief.key = path, request.headers.get("idempotency-key", "")
        stages = world.stripe.exchange(request.method, path, request.headers, request.content)
        answer: Answer | None = None
        while answer is None:
            try:
                wait = next(stages)
            except StopIteration as stop:
                answer = stop.value
            else:
                await asyncio.sleep(wait)
        assert answer is not None
        summary = f"{request.method} {path.removeprefix('/v1/customers')}"
        world.note_exchange(who, summary, request, answer)
        return answer
