"""The services of one process by name, and their lifecycle. Building does no I/O; `start` does."""

from collections.abc import Callable
from types import TracebackType

import httpx

from chain.errors import NodeError
from stateless_billing.assumptions.breaches import Breaches
from stateless_billing.payers.account_watch import AccountWatch
from stateless_billing.payers.quote_statuses import QuoteStatuses
from stateless_billing.payers.quotes import Quotes
from stateless_billing.runtime.clock import Clock, ReferenceClock
from stateless_billing.runtime.logs import log_context
from stateless_billing.runtime.security_log import SecurityLog
from stateless_billing.services.clients import create_clients
from stateless_billing.services.contract_facts import ContractFacts
from stateless_billing.services.crediting import create_crediting
from stateless_billing.services.operators import create_operators
from stateless_billing.services.payers import create_payers
from stateless_billing.services.recovery import StripeProbe
from stateless_billing.services.startup import Startup, Token
from stateless_billing.settings import Settings
from stateless_billing.stripe.connection import create_transport
from stateless_billing.support.recent_payments import RecentPayments


class Services:
    """Collaborators by name. `nodes` and `stripe` replace the transports to nodes and price feed, and to Stripe."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        nodes: httpx.AsyncBaseTransport | None = None,
        stripe: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.node_transport = nodes
        self.stripe_transport_factory = stripe
        self.security_log = SecurityLog(clock)
        self._clients = clients = create_clients(settings, clock, nodes, stripe or create_transport)
        self.http = clients.http
        self.nodes = clients.nodes
        self.gateways = clients.gateways
        self.rate_limiter = clients.rate_limiter
        self.stripe = clients.stripe
        self._contract_facts = ContractFacts(clients.nodes, clients.gateways[0], settings, clock)

        crediting = create_crediting(settings, clock, clients)
        self.records = crediting.records
        self.startup = Startup(clients.nodes, clients.gateways, crediting.records)
        self.status_cache = crediting.core.status_cache
        self.reversals = crediting.reversals
        self.stripe_probe = StripeProbe(clients.stripe, crediting.records, clock)
        self.price_feed = crediting.price_feed
        self.overrides = crediting.overrides
        self.rates = crediting.rates
        self.orders = crediting.orders
        self.confirmations = crediting.core.confirmations
        self.pricer = crediting.pricer
        self.crediting = crediting.core.processor
        self.sweeper = crediting.sweeper
        self._webhook = crediting.core.webhook

        self._payers = payers = create_payers(settings, clock, clients, crediting, self.security_log)
        self.accounts = payers.accounts
        self.lookup_budget = payers.lookup_budget
        self.claims = payers.claims
        self.receipts = payers.receipts

        self._operators = operators = create_operators(settings, clock, clients, crediting)
        self.grants = operators.grants
        self.sign_ins = operators.sign_ins
        self.sign_outs = operators.sign_outs
        self.customer_search = operators.customer_search
        self.wallet_conflicts = operators.wallet_conflicts
        self.decisions = operators.decisions
        self.uncredited_payments = operators.uncredited_payments

    @property
    def breaches(self) -> Breaches:
        """What this process saw of Stripe, nodes and price feed that should be impossible."""
        return self._clients.breaches

    @property
    def token(self) -> Token | None:
        """The gateways' token, once the chain was read."""
        return self.startup.token

    @property
    def stripe_time(self) -> ReferenceClock:
        """Stripe's clock, by its last response; the machine's while that is not known."""
        return self._clients.stripe_time

    @property
    def account_watch(self) -> AccountWatch:
        """What keeps the accounts of open streams current."""
        return self._payers.account_watch

    @property
    def recent_payments(self) -> RecentPayments:
        """What is known of the latest and the waiting payments without asking Stripe."""
        return self._operators.recent_payments

    def quotes(self) -> Quotes:
        """The quote maker; needs the signer's key."""
        return self._payers.create_quotes()

    def quote_statuses(self) -> QuoteStatuses:
        """What tells whether quotes were paid; needs the signer's key."""
        return self._payers.create_quote_statuses()

    async def permit_domain(self) -> dict[str, str] | None:
        """`name` and `version` by which the token's permits are signed; None if it has no permit. Raises ChainError."""
        if self.token is None:
            raise NodeError("the token was not read since this process started")
        return await self._contract_facts.permit_domain(self.token.address)

    async def signer_fault(self) -> str | None:
        """Why the newest gateway refuses our signatures; None if it accepts them. Raises ChainError."""
        return await self._contract_facts.signer_fault()

    async def start(self, *, waits_for_stripe: bool = False) -> None:
        """Check that chain, gateways and Stripe account are the right ones; repeat failed reads after a pause.

        With `waits_for_stripe`, as a server does, go on for as long as Stripe alone cannot be read; the caller admits
        the requests.

        Raises: StartupRefused with what to mend.
        """
        read_at = self.clock.boot()
        with log_context():  # tasks started later do not inherit the startup's fields
            service = await self.startup.run(waits_for_stripe=waits_for_stripe)
        self.sign_outs.load(service.metadata or {}, read_at)
        self.sweeper.start(service)
        if not waits_for_stripe:
            self.startup.admit()

    async def __aenter__(self) -> "Services":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._webhook:
            await self._webhook.aclose()
        await self.price_feed.aclose()
        await self._clients.aclose()
