"""Checks the chain, the contracts and the Stripe account before anything is served or swept."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from chain.contracts import read_early
from chain.errors import ChainError, NoContract, NodeError, WrongChain
from chain.failover import FailoverProvider
from chain.gateway import Gateway
from stateless_billing.bookkeeping.records import NotOurAccount, ServiceRecords
from stateless_billing.stripe.errors import StripeFailure
from stateless_billing.stripe.objects import Customer

log = logging.getLogger(__name__)

STARTED = "nodes, gateways and the Stripe account are checked"
RETRY_DELAYS = (0.5, 2.0)
"""Seconds between the attempts of a start: a passing fault should not end it."""


class StartupRefused(Exception):
    """The service must not start. The message says what is wrong and how to fix it."""


class StartupReadFailed(StartupRefused):
    """The service cannot start because Stripe or the chain could not be read."""


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

    async def run(self, retry_delays: Iterable[float]) -> Customer:
        """Check chain, gateways and account; repeat failed reads after each delay. Returns the service record.

        Raises: StartupRefused, with how to fix it.
        """
        for delay in retry_delays:
            try:
                return await self._attempt()
            except StartupReadFailed as error:
                log.warning("%s", error)
                await asyncio.sleep(delay)
        return await self._attempt()

    async def wait(self, seconds: float) -> bool:
        """Wait until the first attempt has ended, but no longer than this; return whether the checks have passed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._attempt_ended.wait()
        return self.has_passed

    async def _attempt(self) -> Customer:
        try:
            service, failure = await asyncio.gather(self._check_account(), self._check_chain(), return_exceptions=True)
            failures = [result for result in (failure, service) if isinstance(result, BaseException)]
            failures.sort(
                key=lambda failure: isinstance(failure, StartupReadFailed)
            )  # what waiting does not mend first
            if failures:
                raise failures[0]
            assert isinstance(service, Customer)
            self.has_passed = True
        finally:
            self._attempt_ended.set()
        log.info(STARTED)
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
            raise StartupReadFailed(
                f"Stripe could not be read: {error}. Check STRIPE_API_KEY and STRIPE_API_BASE."
            ) from error


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
