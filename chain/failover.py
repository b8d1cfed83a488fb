"""Several nodes as one: which of them answers, how far behind the others it is, and which is asked next.

What is learned about a node is shared by all connections to it, so that crediting, visitors and operators avoid the
same nodes. A node that stands still answers every question properly and untruly: only its newest block shows it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeVar

from chain import provider
from chain.errors import ChainError, NodeError, WrongChain
from chain.payment import Block
from chain.provider import Call, HttpClient, NodeProvider, RequestObserver

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_LAG_SECONDS = 5
"""A node whose newest block is older than another's by more is asked after all that are not."""
MAX_LEAD_SECONDS = 120  # of a block before this machine's clock
_BACKOFF_SECONDS = 30  # during which a node that failed is asked last
_PROBE_TIMEOUT_SECONDS = 4.0
_SAME_READING_SECONDS = 2.0  # within which the nodes answer one refresh
_PATIENCE_SECONDS = 1.0  # for nodes that answered last time; the others are never waited for


@dataclass
class NodeStatus:
    """What is known of one node. Times are of the running loop's clock.

    `lag` is that clock at the node's last answer minus the time of its newest block: only differences between nodes
    mean something. `failure` says why its newest block could not be read.
    """

    name: str
    head: Block | None = None
    lag: float = 0.0
    read_at: float | None = None
    failure: str = ""
    behind_seconds: int = 0
    probe: "asyncio.Task[None] | None" = None

    @property
    def fault(self) -> str:
        """Why the node is not asked first; empty if it may be."""
        if self.failure:
            return f"{self.name} does not answer properly"
        if self.behind_seconds > MAX_LAG_SECONDS:
            return f"{self.name} is {self.behind_seconds} s behind the newest block that another node shows"
        return ""


@dataclass
class NodeStatuses:
    """The status of every node, in the order of the settings. `wall` tells the Unix time, if it is known."""

    nodes: list[NodeStatus]
    wall: Callable[[], float] | None = None

    def record(self, status: NodeStatus, head: Block | None, failure: str = "") -> None:
        """Note what a node answered, and compare it with the others. A change is logged."""
        before = {node.name: node.fault for node in self.nodes}
        now = asyncio.get_running_loop().time()
        if head and self.wall and head.time > self.wall() + MAX_LEAD_SECONDS:
            head, failure = None, "its newest block is in the future"  # else all honest nodes would seem behind it
        status.read_at, status.failure = now, failure
        if head:
            status.head, status.lag = head, now - head.time
        lags = [node.lag for node in self.nodes if node.head and not node.failure]
        for node in self.nodes:
            if node.read_at is None or now - node.read_at > _SAME_READING_SECONDS:
                continue  # an older reading may be from before the chain went on
            node.behind_seconds = round(node.lag - min(lags, default=node.lag)) if node.head else 0
        for node in self.nodes:
            if bool(node.fault) != bool(before[node.name]):
                log.warning("%s", node.fault or f"{node.name} is as far as the others again")


class FailoverProvider:
    """All configured nodes, asked in order; those that failed, do not answer or are behind are asked last.

    `pauses` are the seconds after which a question that no node answered is asked again; by default it is not.
    """

    pauses: Sequence[float] = ()

    def __init__(
        self,
        http: HttpClient,
        urls: Sequence[str],
        chain_id: int,
        on_request: RequestObserver | None = None,
        statuses: NodeStatuses | None = None,
    ) -> None:
        """`statuses` of another connection to the same nodes are shared with it."""
        self.nodes = [NodeProvider(http, url, chain_id, position, on_request) for position, url in enumerate(urls, 1)]
        self.statuses = statuses or NodeStatuses([NodeStatus(node.name) for node in self.nodes])

    @property
    def providers(self) -> Sequence[NodeProvider]:
        """The nodes in the order in which they are asked now."""
        now = asyncio.get_running_loop().time()
        ranks = {
            node: (bool(status.failure) or node.backoff_until > now, bool(status.fault))
            for node, status in self._with_status()
        }
        return sorted(self.nodes, key=lambda node: ranks[node])

    @property
    def answering(self) -> Sequence[NodeProvider]:
        """The nodes that may be asked for a second word: all but those whose newest block could not be read."""
        return [node for node, status in self._with_status() if not status.failure]

    def is_behind(self, node: NodeProvider) -> bool:
        """Whether a node is not as far as another."""
        return any(status.fault for other, status in self._with_status() if other is node)

    def faults(self) -> list[str]:
        """What is wrong with which node."""
        return [status.fault for status in self.statuses.nodes if status.fault]

    async def refresh(self, max_age_seconds: float) -> None:
        """Read the newest block of each node whose last reading is older than this. One node alone needs no order.

        Waits for nodes that answered last time, for a second at most.
        """
        if len(self.nodes) < 2:
            return
        now = asyncio.get_running_loop().time()
        awaited = []
        for node, status in self._with_status():
            is_old = status.read_at is None or now - status.read_at >= max_age_seconds
            if status.probe is None and is_old:
                status.probe = asyncio.create_task(self._probe(node, status))
            if status.probe and not status.failure:
                awaited.append(status.probe)
        if awaited:
            await asyncio.wait(awaited, timeout=_PATIENCE_SECONDS)

    async def _probe(self, node: NodeProvider, status: NodeStatus) -> None:
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_SECONDS):
                head = await provider.block(node, "latest")
        except (ChainError, TimeoutError) as error:
            self.statuses.record(status, None, str(error) or "it did not answer in time")
        else:
            self.statuses.record(status, head)
        finally:
            status.probe = None

    async def aclose(self) -> None:
        """End the readings in progress."""
        probes = [status.probe for status in self.statuses.nodes if status.probe]
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)

    async def read_all(self, read: Callable[[NodeProvider], Awaitable[T]]) -> list[T | ChainError]:
        """Run a reading against all nodes at once; each result or failure is in the order of the settings.

        Once a node has answered, the others are waited for only a second more. Nodes that failed are asked last for a
        while.
        """
        tasks = [asyncio.ensure_future(read(node)) for node in self.nodes]
        pending = set(tasks)
        try:
            while pending and not any(task.done() and task.exception() is None for task in tasks):
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if pending:
                _, pending = await asyncio.wait(pending, timeout=_PATIENCE_SECONDS)
        finally:
            for task in pending:
                task.cancel()
        results: list[T | ChainError] = []
        for node, task in zip(self.nodes, tasks, strict=True):
            failure = task.exception() if task.done() else NodeError(f"{node.name} did not answer in time")
            if failure is None:
                results.append(task.result())
                continue
            if not isinstance(failure, ChainError):
                raise failure
            self._back_off(node)
            results.append(failure)
        return results

    @staticmethod
    def _back_off(node: NodeProvider) -> None:
        node.backoff_until = asyncio.get_running_loop().time() + _BACKOFF_SECONDS

    def without_pauses(self) -> "FailoverProvider":
        """Return the same nodes, for questions that are asked once."""
        once = copy(self)
        once.pauses = ()
        return once

    async def repeat(self, read: Callable[[], Awaitable[T]]) -> T:
        """Run a reading of any nodes, and again after each of the pauses if they do not answer. Raises: ChainError."""
        for pause in self.pauses:
            try:
                return await read()
            except WrongChain:
                raise
            except NodeError:
                await asyncio.sleep(pause)
        return await read()

    async def with_failover(self, read: Callable[[NodeProvider], Awaitable[T]]) -> T:
        """Return the first reading that is consistent. An inconsistent one is the node's failure; ask the next."""
        return await self.repeat(lambda: self._read_with_failover(read))

    async def _read_with_failover(self, read: Callable[[NodeProvider], Awaitable[T]]) -> T:
        causes: list[ChainError] = []
        for node in self.providers:
            try:
                result = await read(node)
            except ChainError as error:
                causes.append(error)
                self._back_off(node)
            else:
                node.backoff_until = 0.0
                return result
        if len(causes) == 1:
            raise causes[0]
        raise NodeError("; ".join(str(cause) for cause in causes))

    async def request(self, method: str, params: Sequence[object], parse: Callable[[object], T]) -> T:
        """Return the first proper answer."""
        return await self.with_failover(lambda node: node.request(method, params, parse))

    async def request_batch(self, calls: Sequence[Call], parse: Callable[[object], T], form: Any = Any) -> list[T]:
        """Return the first proper answers, all of one node."""
        return await self.with_failover(lambda node: node.request_batch(calls, parse, form))

    def _with_status(self) -> list[tuple[NodeProvider, NodeStatus]]:
        return list(zip(self.nodes, self.statuses.nodes, strict=True))
