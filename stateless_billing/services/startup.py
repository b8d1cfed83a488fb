"""Checks the chain, the contracts and the Stripe account before anything is served or swept."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from itertools import chain, repeat

from chain.contracts import read_early
from chain.errors import ChainError, NoContract, NodeError, WrongChain
from chain.failover import FailoverProvider
from chain.gateway import Gateway
from stateless_billing.bookkeeping.records import NotOurAccount, ServiceRecords
from stateless_billing.domain.errors import StartupReadFailed, StartupRefused
from stateless_billing.stripe.errors import KeyRejected, StripeFailure
from stateless_billing.stripe.objects import Customer

log = logging.getLogger(__name__)

STARTED = "nodes, gateways and the Stripe account are checked"
_RETRY_DELAYS = (0.5, 2.0)  # seconds; a passing fault should not end a start
_OUTAGE_RETRY_SECONDS = 5.0


class StripeAway(StartupReadFailed):
    """Stripe does not answer properly."""


@dataclass(frozen=True, slots=True)
class Token:
    """The ERC-20 token that all gateways take."""

    address: str
    symbol: str
    decimals: int


class Startup:
    """The checks of one process, and whether they have passed. `token` is known once the chain was read."""

    def __init__(self, nodes: FailoverProvider, gateways: list[Gateway], records: ServiceRecords) -> None:
        self._nodes = nodes
        self._gateways = gateways
        self._records = records
        self._attempt_ended = asyncio.Event()
        self.token: Token | None = None
        self.has_passed = False

    async def run(self, *, waits_for_stripe: bool) -> Customer:
        """Check chain, gateways and account; repeat failed reads after a pause. Returns the service record.

        With `waits_for_stripe`, go on for as long as the chain can be read and Stripe cannot.

        Raises: StartupRefused, with how to fix it.
        """
        delays = chain(_RETRY_DELAYS, repeat(_OUTAGE_RETRY_SECONDS))
        while True:
            try:
                return await self._attempt()
            except StartupReadFailed as error:
                delay = next(delays)
                is_outage = waits_for_stripe and isinstance(error, StripeAway)
                if delay == _OUTAGE_RETRY_SECONDS and not is_outage:
                    raise
                log.warning("%s", error)
                await asyncio.sleep(delay)

    def admit(self) -> None:
        """Let requests pass: all that a start does is done."""
        self.has_passed = True
        self._attempt_ended.set()
        log.info(STARTED)

    async def wait(self, seconds: float) -> bool:
        """Wait until the start or its first attempt has ended, no longer than this; return whether it has passed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._attempt_ended.wait()
        return self.has_passed

    async def _attempt(self) -> Customer:
        try:
            service, failure = await asyncio.gather(self._check_account(), self._check_chain(), return_exceptions=True)
            failures = [result for result in (failure, service) if isinstance(result, BaseException)]
            failures.sort(key=_rank)
            if failures:
                raise failures[0]
        except BaseException:
            self._attempt_ended.set()
            raise
        assert isinstance(service, Customer)
        return service

    async def _check_chain(self) -> None:
        if self.token is not None:
            return
        try:
            self.token = await check_chain(self._nodes, self._gateways)
        except ChainError as error:
            raise StartupReadFailed(
                f"The chain could not be read: {error}. Check RPC_URLS and GATEWAY_ADDRESSES."
            ) from error

    async def _check_account(self) -> Customer:
        try:
            return await self._records.load()
        except NotOurAccount as error:
            raise StartupRefused(
                f"{error}. Use the key of the right account, or create the records with `doctor --init`."
            ) from error
        except StripeFailure as error:
            failure = StartupReadFailed if isinstance(error, KeyRejected) else StripeAway
            raise failure(f"Stripe could not be read: {error}. Check STRIPE_API_KEY and STRIPE_API_BASE.") from error


def _rank(failure: BaseException) -> int:
    """Rank a failure: what no waiting mends is said first, an outage of Stripe last."""
    return isinstance(failure, StartupReadFailed) + isinstance(failure, StripeAway)


async def check_chain(nodes: FailoverProvider, gateways: list[Gateway]) -> Token:
    """Check the chain of every node and the code of every gateway, and return the gateways' token.

    Nodes that do not answer are tolerated as long as one does.

    Raises: StartupRefused, with how to fix it; ChainError.
    """
    address = await _token_address(nodes, [gateway.address for gateway in gateways])
    decimals, symbol = await read_early(nodes, [(address, "decimals"), (address, "symbol")])
    if decimals != 18:
        raise StartupRefused(f"The token has {decimals} decimals; only 18 are supported.")
    return Token(address, symbol, decimals)


async def _token_address(nodes: FailoverProvider, gateways: list[str]) -> str:
    """The token that all gateways take. Raises: StartupRefused, ChainError."""
    views = [(gateway, view) for gateway in gateways for view in ("token", "totalPayments")]
    answers = await nodes.read_all(lambda node: read_early(node, views))
    failures = [answer for answer in answers if isinstance(answer, ChainError)]
    for failure in failures:
        if isinstance(failure, WrongChain):
            raise StartupRefused(f"{failure}. Correct RPC_URLS or CHAIN_ID.") from failure
        log.warning("%s", failure)
    tokens = next((answer[::2] for answer in answers if not isinstance(answer, ChainError)), None)
    if tokens is None:
        for failure in failures:
            if isinstance(failure, NoContract):
                raise StartupRefused(f"{failure}. Correct GATEWAY_ADDRESSES.") from failure
        raise NodeError("; ".join(map(str, failures)))
    if len(set(tokens)) > 1:
        raise StartupRefused("The gateways take different tokens. All of GATEWAY_ADDRESSES must take the same one.")
    return str(tokens[0])
