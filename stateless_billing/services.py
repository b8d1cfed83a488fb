"""Everything that works together in one process, built from the settings. No I/O before `start`."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import httpx

from chain import node, token
from chain.errors import ChainError, WrongChain
from chain.gateway import Gateway
from chain.node import Nodes
from chain.signing import Signer
from stateless_billing.accounts import Accounts
from stateless_billing.bookkeeping import Bookkeeping, NotOurAccount
from stateless_billing.claims import Claims
from stateless_billing.clock import Clock
from stateless_billing.confirmations import Confirmations
from stateless_billing.crediting import Crediting
from stateless_billing.errors import StripeFailure
from stateless_billing.limits import DailyLimit
from stateless_billing.pacer import Pacer
from stateless_billing.pricing import PriceFeed
from stateless_billing.progress import Memory
from stateless_billing.quotes import Quotes, QuoteTerms
from stateless_billing.sealing import Sealing
from stateless_billing.settings import Settings
from stateless_billing.stripe_connection import transport
from stateless_billing.stripe_ledger import StripeLedger
from stateless_billing.sweep import Sweep

_LOOK_UP_CONNECTIONS = 3
_NODE_CONNECTIONS = httpx.Limits(max_connections=20, max_keepalive_connections=20, keepalive_expiry=30)


log = logging.getLogger(__name__)


class NotFit(Exception):
    """The service may not start: what was found, and what to do."""


class NotRead(NotFit):
    """The service may not start: Stripe or the chain could not be read."""


@dataclass(frozen=True, slots=True)
class Token:
    """The ERC-20 token that all gateways take."""

    address: str
    symbol: str
    decimals: int


class Services:
    """Collaborators by name. `start` checks the world before anything is served or swept.

    `nodes` and `stripe` are the transports that requests to nodes and price feed, and to Stripe, go through.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        nodes: httpx.AsyncBaseTransport | None = None,
        stripe: Callable[[], httpx.AsyncBaseTransport] = transport,
    ) -> None:
        self.settings, self.clock = settings, clock
        self.http = httpx.AsyncClient(transport=nodes, limits=_NODE_CONNECTIONS, trust_env=False)
        self.nodes = Nodes(self.http, settings.rpc_urls, settings.chain_id)
        self.gateways = [Gateway(self.nodes, settings.chain_id, one) for one in settings.gateway_addresses]
        pacer = Pacer(settings.stripe_rate, settings.processes)
        self.stripe = StripeLedger(settings.stripe_api_key, settings.stripe_api_base, pacer, clock, stripe)
        # Look-ups by anybody never wait for, nor hold, the connections that credit.
        lookups = StripeLedger(
            settings.stripe_api_key, settings.stripe_api_base, pacer, clock, stripe, connections=_LOOK_UP_CONNECTIONS
        )
        self._ledgers = (self.stripe, lookups)
        self.books = Bookkeeping(self.stripe, settings.service_customer_id)
        self.memory = Memory(clock)
        self.prices = PriceFeed(
            self.http, settings.price_api_base, settings.coingecko_id, settings.coingecko_api_key, clock
        )
        self.confirmations = Confirmations(
            self.nodes, self.gateways, settings.confirmations, settings.max_unfinalized_cents, clock
        )
        self.limit = DailyLimit(self.gateways, settings.max_payment_cents, self.prices, settings.discount_bps)
        self.crediting = Crediting(
            *(self.stripe, self.confirmations, self.prices, self.limit, self.memory, clock),
            discount_bps=settings.discount_bps,
            other_credits=settings.other_credits,
        )
        sealing = Sealing(self.stripe, self.crediting, self.memory, clock, settings.other_credits)
        self.sweep = Sweep(
            *(self.gateways, self.confirmations, self.crediting, sealing, self.memory, self.books, clock)
        )
        self.claims = Claims(self.nodes, self.gateways, self.confirmations, self.crediting)
        self.accounts = Accounts(
            *(lookups, self.gateways, self.confirmations, self.crediting, self.limit, self.memory, clock),
            minimum_cents=settings.min_payment_cents,
        )
        self.token: Token | None = None

    def quotes(self) -> Quotes:
        """The quote maker; needs the signer's key."""
        terms = QuoteTerms(
            self.settings.min_payment_cents,
            self.settings.discount_bps,
            self.settings.quote_seconds,
            self.settings.registration_seconds,
        )
        signer = Signer(self.settings.signer_key, self.settings.chain_id)
        return Quotes(self.gateways[0], self.accounts, self.prices, self.limit, signer, terms, self.clock)

    async def start(self) -> None:
        """Check that chain, gateways and Stripe account are the right ones. Raises NotFit with what to mend."""
        try:
            self.token = await check_chain(self.nodes, self.gateways)
            self.sweep.start(await self.books.check())
        except NotOurAccount as error:
            raise NotFit(
                f"{error}. Use the key of the right account, or make the records with `doctor --init`."
            ) from error
        except StripeFailure as error:
            raise NotRead(f"Stripe could not be read: {error}. Check STRIPE_API_KEY and STRIPE_API_BASE.") from error
        except ChainError as error:
            raise NotRead(f"The chain could not be read: {error}. Check RPC_URLS and GATEWAY_ADDRESSES.") from error

    async def __aenter__(self) -> "Services":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for ledger in self._ledgers:
            await ledger.aclose()
        await self.http.aclose()


async def check_chain(nodes: Nodes, gateways: list[Gateway]) -> Token:
    """The gateways' token, once every node is on the right chain and every gateway has code. Raises NotFit, ChainError.

    A node that does not answer is no reason not to start, as long as one does.
    """
    for one in nodes.each:
        try:
            await node.chain_id(one)
        except WrongChain as error:
            raise NotFit(f"{error}. Mend RPC_URLS or CHAIN_ID.") from error
        except ChainError as error:
            log.warning("%s", error)
    tokens = set()
    for gateway in gateways:
        if not await node.code(nodes, gateway.address):
            raise NotFit(f"There is no contract at {gateway.address}. Mend GATEWAY_ADDRESSES.")
        tokens.add(await gateway.token())
        await gateway.total_payments()
    if len(tokens) > 1:
        raise NotFit("The gateways take different tokens. All of GATEWAY_ADDRESSES must take the same one.")
    address = tokens.pop()
    decimals = await token.decimals(nodes, address)
    if decimals != 18:
        raise NotFit(f"The token has {decimals} decimals; only 18 are supported.")
    return Token(address, await token.symbol(nodes, address), decimals)
