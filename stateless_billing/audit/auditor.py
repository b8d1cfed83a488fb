"""What an audit reads from, built from the settings: nodes, gateways, and a Stripe that can only be read."""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import httpx

from chain import provider
from chain.errors import ChainError
from chain.gateway import Gateway
from chain.payment import Block
from chain.provider import FailoverProvider
from stateless_billing.audit.readers.chain import ChainReader, Told
from stateless_billing.audit.readers.stripe import MAX_CONCURRENT, StripeReader, StripeReadError
from stateless_billing.audit.report.report import Options, Report
from stateless_billing.audit.rules.cross_customer import Acceptance
from stateless_billing.audit.rules.facts import Scope
from stateless_billing.audit.run import Audit, Sources
from stateless_billing.pricing.price_feed import PriceFeed
from stateless_billing.runtime.clock import Clock
from stateless_billing.settings import Settings
from stateless_billing.stripe.connection import create_ssl_context, create_transport
from stateless_billing.stripe.rate_limiter import RateLimiter

# For every request httpcore looks several times for this package, on the disk as long as it is not known to be absent:
# a tenth of what reading a page costs.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

_NODE_LIMITS = httpx.Limits(max_connections=20, max_keepalive_connections=20, keepalive_expiry=30)


class BadOptions(Exception):
    """An option makes no sense; the message says which."""


@dataclass(frozen=True, slots=True)
class ProgressReporting:
    """Where progress and announcements go."""

    on_progress: Told
    on_message: Callable[[str], None]


class Auditor:
    """Makes audits. Nothing here can write: neither to Stripe nor to the chain.

    `pacer` and `at_once` are for a process that does other things too, and shares what Stripe allows with them.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        reporting: ProgressReporting,
        explorer: str | None,
        node_transport: httpx.AsyncBaseTransport | None = None,
        stripe_transport_factory: Callable[[], httpx.AsyncBaseTransport] = create_transport,
        rate_limiter: RateLimiter | None = None,
        max_concurrent: int = MAX_CONCURRENT,
    ) -> None:
        self._settings = settings
        self._reporting = reporting
        self._explorer = explorer
        self._http = httpx.AsyncClient(
            transport=node_transport, verify=create_ssl_context(), limits=_NODE_LIMITS, trust_env=False
        )
        # One connection each: a pool looks at all of its connections for every request.
        self._transports = [stripe_transport_factory() for _ in range(max_concurrent)]
        self.nodes = FailoverProvider(self._http, settings.rpc_urls, settings.chain_id)
        self.gateways = [Gateway(self.nodes, settings.chain_id, one) for one in settings.gateway_addresses]
        self.prices = PriceFeed(
            http=self._http,
            base=settings.price_api_base,
            coin=settings.coingecko_id,
            api_key=settings.coingecko_api_key,
            clock=clock,
        )
        self._rate_limiter = rate_limiter or RateLimiter(settings.stripe_rate, settings.processes)

    def stripe_reader(self) -> StripeReader:
        """A reader that counts from 0."""
        settings = self._settings
        return StripeReader(self._transports, settings.stripe_api_key, settings.stripe_api_base, self._rate_limiter)

    async def run(self, options: Options) -> Report:
        """One audit. Raises BadOptions; StripeReadError or ChainError where not even a beginning could be made."""
        return await (await self.audit(options)).run()

    async def audit(self, options: Options) -> Audit:
        """One audit, ready to run."""
        accepted = parse_accepted(options.accepted)
        reader = ChainReader(self.nodes, self.gateways, self._reporting.on_progress)
        scope = await self._find_scope(options, reader)
        for gateway in self.gateways:
            code = await provider.code(self.nodes, gateway.address)
            reader.codes[gateway.address] = hashlib.sha256(code).hexdigest()
        sources = Sources(
            chain=reader,
            stripe=self.stripe_reader(),
            afterwards=self.stripe_reader(),
            prices=self.prices,
            rate=self._settings.stripe_rate,
            service_id=self._settings.service_customer_id or "",
            live=self._settings.is_live,
            on_progress=self._reporting.on_progress,
            on_message=self._reporting.on_message,
        )
        return Audit(sources, options, scope, accepted)

    async def _find_scope(self, options: Options, reader: ChainReader) -> Scope:
        final = await provider.block(self.nodes, "finalized")
        pinned = _parse_point(options.at)
        time = pinned[1] if pinned else await self.stripe_reader().now()
        last = await provider.block(self.nodes, pinned[0]) if pinned else final
        if options.until:
            until = await self._block_at(options.until, reader, last, before=True)
            last = until if until.number < last.number else last
        if last.number > final.number:
            raise BadOptions(f"--at: block {last.number} is not final yet")
        first = await self._block_at(options.since, reader, final, before=False) if options.since else None
        head = await provider.block(self.nodes, "latest")
        seen = last if options.until else await reader.block_at(time, head, before=True)
        tokens = {await gateway.token() for gateway in self.gateways}
        if len(tokens) != 1:
            raise ChainError("the gateways take different tokens")
        return Scope(
            chain_id=self._settings.chain_id,
            gateways=tuple(gateway.address for gateway in self.gateways),
            token=tokens.pop(),
            block=last.number,
            block_hash=last.hash,
            block_time=last.time,
            time=time,
            horizon=max(last.number, seen.number),
            start=first.time if first else 0,
            explorer=self._explorer,
            other_credits=self._settings.other_credits,
            deep=options.deep,
            first_block=first.number if first else 0,
        )

    async def _block_at(self, text: str, reader: ChainReader, head: Block, *, before: bool) -> Block:
        """`--from` and `--to`: a block's number, or a day or time in UTC."""
        if text.isascii() and text.isdigit():
            return await provider.block(self.nodes, min(int(text), head.number))
        return await reader.block_at(parse_time(text), head, before=before)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()
        for line in self._transports:
            await line.aclose()


def parse_time(text: str) -> int:
    """A day or time in ISO 8601, UTC where no zone is named, as unix seconds. Raises BadOptions."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadOptions(f"{text!r} is neither a block number nor a day such as 2026-10-01") from error
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def _parse_point(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    block, _, time = text.partition(":")
    if not (block.isascii() and block.isdigit() and time.isascii() and time.isdigit()):
        raise BadOptions("--at takes <block>:<unix seconds>, as a report prints it")
    return int(block), int(time)


def parse_accepted(content: bytes) -> dict[str, Acceptance]:
    """The file of accepted exceptions: JSON lines `{fingerprint, note, status?, until?}`. Raises BadOptions."""
    found = {}
    for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            one = Acceptance(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise BadOptions(f"--accepted, line {number}: not {{fingerprint, note, status?, until?}}") from error
        if not one.note or not all(
            isinstance(text, str) for text in (one.fingerprint, one.note, one.status, one.until)
        ):
            raise BadOptions(f"--accepted, line {number}: every exception needs a note, and all values are text")
        found[one.fingerprint] = one
    return found


__all__ = ["Auditor", "BadOptions", "ProgressReporting", "StripeReadError", "parse_accepted", "parse_time"]
