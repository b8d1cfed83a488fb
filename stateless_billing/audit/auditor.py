"""Builds an audit from the settings: nodes, gateways and a read-only Stripe client."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import httpx
import msgspec

from chain import provider
from chain.errors import ChainError
from chain.failover import FailoverProvider
from chain.gateway import Gateway
from chain.payment import Block
from stateless_billing.audit.readers.bulk_http import BulkClient, BulkHost
from stateless_billing.audit.readers.chain import ChainReader, ProgressCallback, Side
from stateless_billing.audit.readers.ledger_spool import InvalidSpool, LedgerSpool, SpoolHead
from stateless_billing.audit.readers.stripe import API_BASE, LAG_PAUSES, MAX_CONCURRENT, StripeReader, StripeReadError
from stateless_billing.audit.report.report import Options, Report, snapshot_label
from stateless_billing.audit.rules.cross_customer import Acceptance
from stateless_billing.audit.rules.facts import Scope
from stateless_billing.audit.run import Audit, Sources
from stateless_billing.pricing.price_feed import CALL_TIMEOUT_SECONDS, PriceFeed
from stateless_billing.runtime.bounded_http import MAX_BULK_RESPONSE_BYTES, create_http_client
from stateless_billing.runtime.clock import Clock
from stateless_billing.settings import Settings
from stateless_billing.stripe.connection import MAX_RESPONSE_BYTES
from stateless_billing.stripe.rate_limiter import RateLimiter

NODE_PAUSES = (1.0, 4.0)  # seconds: an audit of hours must not end because the nodes were busy for a moment
_NODE_CONNECTIONS = 20
_MAX_DIGITS = 18  # of blocks and times
_PRICE_LIMITS = httpx.Limits(max_connections=2)


class InvalidOptions(Exception):
    """An option is invalid; the message names it."""


@dataclass(frozen=True, slots=True)
class ProgressReporting:
    """Callbacks for progress and messages."""

    on_progress: ProgressCallback
    on_message: Callable[[str], None]


class Auditor:
    """Runs audits. It has no way to write, neither to Stripe nor to the chain.

    A process that also credits payments passes its own rate limiter and a lower concurrency, so that the audit shares
    the Stripe limits. The two transports replace the sockets.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        reporting: ProgressReporting,
        explorer: str | None,
        node_transport: httpx.AsyncBaseTransport | None = None,
        stripe_transport_factory: Callable[[], httpx.AsyncBaseTransport] | None = None,
        rate_limiter: RateLimiter | None = None,
        max_concurrent: int = MAX_CONCURRENT,
    ) -> None:
        self.settings = settings
        self.reporting = reporting
        self._explorer = explorer
        self._http = create_http_client(node_transport, limits=_PRICE_LIMITS)
        self._node_http = BulkClient(_NODE_CONNECTIONS, MAX_BULK_RESPONSE_BYTES, node_transport)
        self._stripe_host = BulkHost(
            settings.stripe_api_base or API_BASE,
            max_connections=max_concurrent,
            max_bytes=MAX_RESPONSE_BYTES,
            transports=[stripe_transport_factory() for _ in range(max_concurrent)] if stripe_transport_factory else (),
        )
        self.nodes = FailoverProvider(self._node_http, settings.rpc_urls, settings.chain_id)
        self.nodes.pauses = NODE_PAUSES
        self.lag_pauses: tuple[float, ...] = LAG_PAUSES
        self.gateways = [Gateway(self.nodes, settings.chain_id, address) for address in settings.gateway_addresses]
        self.prices = PriceFeed(
            http=self._http,
            base=settings.price_api_base,
            coin=settings.coingecko_id,
            api_key=settings.coingecko_api_key,
            clock=clock,
            max_wait_seconds=CALL_TIMEOUT_SECONDS,  # no visitor waits for an audit
        )
        self._rate_limiter = rate_limiter or RateLimiter(
            rate=settings.stripe_rate, total_rate=settings.stripe_total_rate, processes=settings.processes
        )

    def create_stripe_reader(self, spool: LedgerSpool | None = None) -> StripeReader:
        """Create a Stripe reader with its own read count."""
        reader = StripeReader(self._stripe_host, self.settings.stripe_api_key, self._rate_limiter, spool)
        reader.lag_pauses = self.lag_pauses
        return reader

    async def run(self, options: Options, spool: LedgerSpool | None = None) -> Report:
        """Run one audit. A source that fails after the start makes the report incomplete.

        With `spool`, go on from what an interrupted audit wrote to it.

        Raises: InvalidOptions; StripeReadError or ChainError if the audit could not start; SpoolFailed.
        """
        try:
            audit = await self.prepare(options, spool)
        except InvalidSpool as error:
            raise invalid_spool(error) from error
        return await audit.run()

    async def prepare(self, options: Options, spool: LedgerSpool | None = None) -> Audit:
        """Create an audit that is ready to run.

        Raises: InvalidOptions, InvalidSpool, StripeReadError, ChainError.
        """
        accepted = parse_accepted(options.accepted)
        reader = ChainReader(self.nodes, self.gateways, self.reporting.on_progress)
        if spool and spool.head:
            options = replace(options, at=options.at or spool.head.at)
        scope = await self._find_scope(options, reader)
        if spool:
            self._pin(spool, options, scope)
        for gateway in self.gateways:
            code = await provider.code(self.nodes, gateway.address)
            reader.codes[gateway.address] = hashlib.sha256(code).hexdigest()
        sources = Sources(
            chain=reader,
            stripe=self.create_stripe_reader(spool),
            uncounted_stripe=self.create_stripe_reader(),
            prices=self.prices,
            stripe_rate=self.settings.stripe_rate,
            service_customer_id=self.settings.service_customer_id or "",
            live=self.settings.is_live,
            on_progress=self.reporting.on_progress,
            on_message=self.reporting.on_message,
        )
        return Audit(sources, options, scope, accepted)

    def _pin(self, spool: LedgerSpool, options: Options, scope: Scope) -> None:
        """Bind a new spool to this audit, or check that an older one is of the same. Raises: InvalidSpool."""
        settings = self.settings
        sources = {
            "chain_id": scope.chain_id,
            "gateways": scope.gateways,
            "livemode": settings.is_live,
            "service": settings.service_customer_id,
        }
        inputs = json.dumps(options.as_dict() | sources, sort_keys=True)
        head = SpoolHead(inputs=inputs, at=snapshot_label(scope), block_hash=scope.block_hash)
        before = spool.head
        if before is None:
            spool.begin(head)
        elif before.block_hash != head.block_hash:
            raise InvalidSpool(f"the chain has another block {scope.block} now than when it was written")
        elif before != head:
            raise InvalidSpool("it is of an audit with other options or settings")
        else:
            self.reporting.on_message(
                f"going on at {head.at}, with {spool.pages} pages of {spool.customers} ledgers that were read before"
            )

    async def _find_scope(self, options: Options, reader: ChainReader) -> Scope:
        final = await provider.block(self.nodes, "finalized")
        pinned = _parse_snapshot(options.at)
        now = await self.create_stripe_reader().now()
        if pinned and pinned[0] > final.number:
            raise InvalidOptions(f"--at: block {pinned[0]} is not final yet")
        if pinned and pinned[1] > now:
            raise InvalidOptions(
                f"--at: Stripe's clock has not passed {pinned[1]} yet, so that entries may still follow"
            )
        time = pinned[1] if pinned else now
        last_block = await provider.block(self.nodes, pinned[0]) if pinned else final
        if options.until:
            until_block = await self._find_boundary(options.until, reader, last_block, side="before")
            last_block = until_block if until_block.number < last_block.number else last_block
        first_block = await self._find_boundary(options.since, reader, final, side="after") if options.since else None
        head = await provider.block(self.nodes, "latest")
        newest = last_block if options.until else await reader.find_block_by_time(time, head, side="before")
        tokens = {await gateway.token() for gateway in self.gateways}
        if len(tokens) != 1:
            raise ChainError("the gateways take different tokens")
        return Scope(
            chain_id=self.settings.chain_id,
            gateways=tuple(gateway.address for gateway in self.gateways),
            token=tokens.pop(),
            block=last_block.number,
            block_hash=last_block.hash,
            block_time=last_block.time,
            time=time,
            horizon=max(last_block.number, newest.number),
            start=first_block.time if first_block else 0,
            explorer=self._explorer,
            other_credits=self.settings.other_credits,
            deep=options.deep,
            first_block=first_block.number if first_block else 0,
            treasuries=await self._find_treasuries(options, reader),
            known_sources=self.settings.known_sources,
        )

    @staticmethod
    async def _find_treasuries(options: Options, reader: ChainReader) -> tuple[str, ...]:
        """Read the gateways' treasuries if the options ask for their transfers."""
        if options.treasury_opening is not None and not (options.treasury and options.since):
            raise InvalidOptions("--treasury-opening needs --treasury and --from: before that block it holds")
        if not options.treasury:
            return ()
        if options.customer:
            raise InvalidOptions("--treasury accounts for all customers: leave out --customer")
        treasuries = await reader.read_treasuries()
        if options.treasury_opening is not None and len(treasuries) > 1:
            raise InvalidOptions("--treasury-opening needs gateways with one treasury, these have several")
        return treasuries

    async def _find_boundary(self, boundary: str, reader: ChainReader, head: Block, *, side: Side) -> Block:
        """Find the block of `--from` or `--to`: a block number, or a day or time in UTC."""
        if _is_number(boundary):
            return await provider.block(self.nodes, min(int(boundary), head.number))
        return await reader.find_block_by_time(parse_time(boundary), head, side=side)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.prices.aclose()
        await self._http.aclose()
        await self._node_http.aclose()
        await self._stripe_host.aclose()


def invalid_spool(error: InvalidSpool) -> InvalidOptions:
    """Return what a file that cannot be gone on from means for the options."""
    return InvalidOptions(f"--spool: {error}. Name another file, or delete it to start anew")


def parse_time(text: str) -> int:
    """Parse an ISO 8601 day or time, in UTC unless it names a zone, into Unix seconds.

    Raises: InvalidOptions.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidOptions(f"{text!r} is neither a block number nor a day such as 2026-10-01") from error
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS


def _parse_snapshot(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    block, _, time = text.partition(":")
    if not (_is_number(block) and _is_number(time)):
        raise InvalidOptions("--at takes <block>:<unix seconds>, as a report prints it")
    return int(block), int(time)


def parse_accepted(content: bytes) -> dict[str, Acceptance]:
    """Parse the file of accepted exceptions: JSON lines of Acceptance. Raises: InvalidOptions."""
    accepted = {}
    for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            acceptance = Acceptance(**msgspec.json.decode(line))
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidOptions(f"--accepted, line {number}: not {{fingerprint, note, status?, until?}}") from error
        if not acceptance.note or not all(
            isinstance(value, str)
            for value in (acceptance.fingerprint, acceptance.note, acceptance.status, acceptance.until)
        ):
            raise InvalidOptions(f"--accepted, line {number}: every exception needs a note, and all values are text")
        accepted[acceptance.fingerprint] = acceptance
    return accepted


__all__ = [
    "Auditor",
    "InvalidOptions",
    "ProgressReporting",
    "StripeReadError",
    "invalid_spool",
    "parse_accepted",
    "parse_time",
]
