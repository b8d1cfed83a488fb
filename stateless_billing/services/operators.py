"""Builds what the pages behind the sign-in use. No I/O."""

import secrets
from dataclasses import dataclass

from stateless_billing.bookkeeping.orders import Orders
from stateless_billing.bookkeeping.sign_outs import SignOuts
from stateless_billing.grants.caps import Caps
from stateless_billing.grants.granting import Grants
from stateless_billing.operators.mailer import Mailer
from stateless_billing.operators.sign_in import SignIns
from stateless_billing.operators.signed_tokens import Tokens
from stateless_billing.operators.smart_accounts import SmartAccounts
from stateless_billing.pricing.market_rates import MarketRates
from stateless_billing.runtime.clock import Clock
from stateless_billing.services.clients import Clients
from stateless_billing.services.crediting import CreditingServices
from stateless_billing.settings import Settings
from stateless_billing.support.customer_facts import CustomerReader
from stateless_billing.support.customer_search import CustomerSearch
from stateless_billing.support.decisions.history import DecisionHistory
from stateless_billing.support.decisions.order_checks import OrderChecks
from stateless_billing.support.decisions.order_decisions import OrderDecisions
from stateless_billing.support.decisions.rate_decisions import RateDecisions
from stateless_billing.support.decisions.reversal_decisions import ReversalDecisions
from stateless_billing.support.deletions import CustomerDeletions
from stateless_billing.support.recent_payments import RecentPayments
from stateless_billing.support.uncredited_payments import UncreditedPayments
from stateless_billing.support.wallet_conflicts import WalletConflicts


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """What checks decisions that move money, and puts them into words."""

    checks: OrderChecks
    orders: OrderDecisions
    rates: RateDecisions
    reversals: ReversalDecisions
    history: DecisionHistory


@dataclass(frozen=True, kw_only=True)
class OperatorServices:
    """What moderators and admins use."""

    grants: Grants
    sign_ins: SignIns
    sign_outs: SignOuts
    customer_search: CustomerSearch
    wallet_conflicts: WalletConflicts
    decisions: Decisions
    uncredited_payments: UncreditedPayments
    recent_payments: RecentPayments


def create_operators(
    settings: Settings, clock: Clock, clients: Clients, crediting: CreditingServices
) -> OperatorServices:
    """Everything behind the sign-in."""
    grants = Grants(
        stripe=clients.stripe,
        records=crediting.records,
        locks=crediting.core.locks,
        clock=clock,
        caps=Caps(settings.max_grant_cents, settings.max_grants_per_day_cents, settings.max_grants_all_cents),
        reversals=crediting.reversals,
    )
    # Orders of its own: what is read about a wallet goes back to the record's beginning, and crediting must not wait.
    orders = Orders(stripe=clients.lookup_stripe, records=crediting.records, clock=clock, caps=crediting.orders.caps)
    reader = CustomerReader(clients.lookup_stripe, clients.gateways)
    conflicts = WalletConflicts(stripe=clients.lookup_stripe, gateway=clients.gateways[0], orders=orders, reader=reader)
    decisions = _create_decisions(settings, clock, clients, crediting, grants)
    return OperatorServices(
        grants=grants,
        sign_ins=_create_sign_ins(settings, clock, clients),
        sign_outs=SignOuts(clients.lookup_stripe, crediting.records, clock, settings.operators),
        customer_search=CustomerSearch(
            stripe=clients.lookup_stripe,
            nodes=clients.nodes,
            gateways=clients.gateways,
            records=crediting.records,
            grants=grants.ledger,
            conflicts=conflicts,
            reader=reader,
            clock=clock,
        ),
        wallet_conflicts=conflicts,
        decisions=decisions,
        uncredited_payments=UncreditedPayments(
            gateways=clients.gateways,
            confirmations=crediting.core.confirmations,
            crediting=crediting.core.processor,
            pricer=crediting.pricer,
            orders=crediting.orders,
            records=crediting.records,
            status_cache=crediting.core.status_cache,
            deletions=CustomerDeletions(clients.lookup_stripe, clock),
            clock=clock,
        ),
        recent_payments=RecentPayments(
            gateways=clients.gateways,
            confirmations=crediting.core.confirmations,
            status_cache=crediting.core.status_cache,
        ),
    )


def _create_decisions(
    settings: Settings, clock: Clock, clients: Clients, crediting: CreditingServices, grants: Grants
) -> Decisions:
    market = MarketRates(crediting.price_feed, clients.gateways, settings.discount_bps)
    checks = OrderChecks(clients.lookup_stripe, crediting.pricer, market, settings.operators)
    return Decisions(
        checks=checks,
        orders=OrderDecisions(
            checks=checks,
            orders=crediting.orders,
            pricer=crediting.pricer,
            rates=market,
            clock=clock,
            discount_bps=settings.discount_bps,
        ),
        rates=RateDecisions(crediting.overrides, market, settings.operators, clock),
        reversals=ReversalDecisions(clients.lookup_stripe, grants),
        history=DecisionHistory(
            orders=crediting.orders,
            overrides=crediting.overrides,
            grants=grants.ledger,
            crediting=crediting.core.processor,
            confirmations=crediting.core.confirmations,
            nodes=clients.nodes,
            gateways=clients.gateways,
            clock=clock,
        ),
    )


def _create_sign_ins(settings: Settings, clock: Clock, clients: Clients) -> SignIns:
    """Without mail settings by wallet only; without a roster nobody can sign in."""
    mailer = None
    if settings.resend_api_key and settings.mail_from:
        mailer = Mailer(clients.http, settings.resend_api_base, settings.resend_api_key, settings.mail_from)
    return SignIns(
        tokens=Tokens(settings.session_secrets or (secrets.token_hex(32),), clock),
        roster=settings.operators,
        mailer=mailer,
        chain_id=settings.chain_id,
        clock=clock,
        smart_accounts=SmartAccounts(clients.visitor_nodes),
    )
