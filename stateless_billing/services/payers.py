"""Builds what answers visitors. No I/O."""

from collections.abc import Callable
from dataclasses import dataclass

from chain.gateway import Gateway
from chain.signatures import Signer
from stateless_billing.bookkeeping.orders import Orders
from stateless_billing.crediting.confirmations import Confirmations
from stateless_billing.crediting.daily_limit import DailyLimit
from stateless_billing.payers.account_watch import AccountWatch
from stateless_billing.payers.accounts import Accounts
from stateless_billing.payers.claims import PaymentClaims
from stateless_billing.payers.lookup_budget import LookupBudget
from stateless_billing.payers.quote_statuses import QuoteStatuses
from stateless_billing.payers.quotes import Quotes, QuoteTerms
from stateless_billing.payers.receipts import Receipts
from stateless_billing.payers.transaction_lookup import TransactionLookup
from stateless_billing.pricing.rate_overrides import RateSource, RecalledRates
from stateless_billing.runtime.clock import Clock
from stateless_billing.runtime.security_log import SecurityLog
from stateless_billing.services.clients import Clients
from stateless_billing.services.crediting import CreditingServices, create_confirmations, create_daily_limit
from stateless_billing.settings import Settings


@dataclass(frozen=True, kw_only=True)
class PayerServices:
    """What anybody may ask. `create_quotes` and `create_quote_statuses` need the signer's key."""

    accounts: Accounts
    account_watch: AccountWatch
    lookup_budget: LookupBudget
    claims: PaymentClaims
    receipts: Receipts
    create_quotes: Callable[[], Quotes]
    create_quote_statuses: Callable[[], QuoteStatuses]


def create_payers(
    settings: Settings, clock: Clock, clients: Clients, crediting: CreditingServices, security_log: SecurityLog
) -> PayerServices:
    """Everything reads over the visitors' own connections; only a claim credits."""
    core, gateways = crediting.core, clients.visitor_gateways
    confirmations = create_confirmations(settings, clients, clients.visitor_nodes, gateways)
    daily_limit = create_daily_limit(
        settings, gateways, confirmations, crediting.rates, crediting.daily_limit.histories
    )
    transactions = TransactionLookup(
        nodes=clients.visitor_nodes, gateways=gateways, confirmations=confirmations, clock=clock
    )
    budget = LookupBudget(
        searches_per_day=settings.visitor_reads_per_day // settings.processes, clock=clock, security_log=security_log
    )
    accounts = Accounts(
        stripe=clients.lookup_stripe,
        gateways=gateways,
        confirmations=confirmations,
        crediting=core.processor,
        daily_limit=daily_limit,
        status_cache=core.status_cache,
        clock=clock,
        budget=budget,
        # Orders of its own: this reading goes back to the record's beginning, and crediting must not wait for it.
        orders=Orders(stripe=clients.lookup_stripe, records=crediting.records, clock=clock, caps=crediting.orders.caps),
        minimum_cents=settings.min_payment_cents,
    )
    return PayerServices(
        accounts=accounts,
        account_watch=_create_account_watch(settings, clock, clients, crediting, accounts, confirmations),
        lookup_budget=budget,
        claims=PaymentClaims(transactions, clients.gateways, core.processor, core.status_cache),
        receipts=Receipts(
            transactions=transactions,
            gateways=gateways,
            stripe=clients.lookup_stripe,
            confirmations=confirmations,
            crediting=core.processor,
            status_cache=core.status_cache,
        ),
        create_quotes=lambda: _create_quotes(settings, clock, gateways[0], accounts, daily_limit, crediting.rates),
        create_quote_statuses=lambda: QuoteStatuses(
            nodes=clients.visitor_nodes,
            gateways=gateways,
            confirmations=confirmations,
            signer=Signer(settings.signer_key, settings.chain_id),
            clock=clock,
        ),
    )


def _create_account_watch(
    settings: Settings,
    clock: Clock,
    clients: Clients,
    crediting: CreditingServices,
    accounts: Accounts,
    confirmations: Confirmations,
) -> AccountWatch:
    rates = RecalledRates(crediting.price_feed, crediting.overrides, clock)
    gateways, histories = clients.visitor_gateways, crediting.daily_limit.histories
    return AccountWatch(
        accounts=accounts,
        nodes=clients.visitor_nodes,
        gateways=gateways,
        confirmations=confirmations,
        daily_limit=create_daily_limit(settings, gateways, confirmations, rates, histories),
        clock=clock,
    )


def _create_quotes(
    settings: Settings, clock: Clock, gateway: Gateway, accounts: Accounts, daily_limit: DailyLimit, rates: RateSource
) -> Quotes:
    terms = QuoteTerms(settings.min_payment_cents, settings.discount_bps, settings.quote_seconds)
    return Quotes(
        gateway=gateway,
        accounts=accounts,
        rates=rates,
        daily_limit=daily_limit,
        signer=Signer(settings.signer_key, settings.chain_id),
        terms=terms,
        clock=clock,
    )
