"""Last pass of an audit: misplaced credits, cursors and wallet identities."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

from chain.errors import ChainError, InconsistentChainData
from chain.gateway import find_payments_in_tx
from chain.payment import Payment
from stateless_billing.audit.collector import Collector
from stateless_billing.audit.readers.chain import ChainFacts, ChainReader, in_turns
from stateless_billing.audit.readers.customers import AuditedCustomers
from stateless_billing.audit.readers.stripe import StripeObjectNotFound, StripeReader, StripeReadError
from stateless_billing.audit.rules.cross_customer import (
    attach_credits,
    claimed_identity,
    cursor_row,
    drift_row,
    find_cursor_fault,
    find_drifts,
    is_void,
    judge_second_credit,
    judge_without_payment,
    mark_deleted,
    reason_without_payment,
)
from stateless_billing.audit.rules.facts import CURSOR, AuditedCustomer, Scope
from stateless_billing.audit.rules.payments import Credit, judge_payment
from stateless_billing.audit.rules.rows import Row
from stateless_billing.domain import ledger
from stateless_billing.domain.ledger import MatchOutcome

_WALLETS_AT_ONCE = 1_000
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")


class CrossCustomerPass:
    """Adds the rows that depend on more than one customer.

    Methods raise ChainError and StripeReadError.
    """

    def __init__(
        self,
        reader: ChainReader,
        stripe: StripeReader,
        scope: Scope,
        collector: Collector,
        only_customer: str | None = None,
    ) -> None:
        self._reader = reader
        self._stripe = stripe
        self._scope = scope
        self._collector = collector
        self._only_customer = only_customer
        self._duplicates: dict[str, Row] = {}  # without what the accepted exceptions say of them

    async def judge_unmatched_credits(self, chain: ChainFacts) -> None:
        """Match the credits that name a payment of another customer, in an order that no answer's speed decides."""
        collector = self._collector
        credits_ = sorted(
            collector.unmatched_credits,
            key=lambda credit: (credit.entry.created, credit.entry.id, credit.entry.customer),
        )
        unmatched = attach_credits(collector.open_payments, credits_, collector.orders, self._scope)
        payments = await chain.find({claimed_identity(credit) for credit in unmatched})
        for credit in unmatched:
            await self._judge_unmatched_credit(credit, payments.get(claimed_identity(credit)))
        for open_payment in collector.open_payments.values():
            collector.add(mark_deleted(open_payment, collector.deleted_customers, collector.orders))

    async def _judge_unmatched_credit(self, credit: Credit, payment: Payment | None) -> None:
        reason = reason_without_payment(credit, self._scope)
        if not reason and payment is None:
            if self._was_before_first_block(credit):
                return
            payment = await self._find_claimed_payment(credit)
            self._require_known(payment)
        if reason or payment is None:
            reason = reason or f"no node shows payment {claimed_identity(credit)}"
            self._collector.add(judge_without_payment(credit, reason))
        elif is_void(payment, credit):
            reason = "it credited other cents than the final event promises, and was reversed"
            self._collector.add(judge_without_payment(credit, reason))
        elif credit.net == 0:
            reason = f"{payment.customer_id} was to be credited, not this customer"
            self._collector.add(judge_without_payment(credit, reason))
        elif row := self._duplicates.get(payment.identity) or self._collector.find_row(payment):
            self._duplicates[payment.identity] = duplicate = judge_second_credit(row, credit)
            self._collector.add(duplicate)
        elif self._only_customer not in (None, payment.customer_id) and self._scope.is_shown(payment):
            orders = self._collector.orders
            target = orders.target_of(payment, [credit.entry])
            self._collector.add(judge_payment(payment, [replace(credit, rule="identity")], target, self._scope, orders))

    def _was_before_first_block(self, credit: Credit) -> bool:
        """Return whether the credit's metadata places its payment before the range of this report."""
        block = credit.entry.metadata.get("block", "")
        return block.isascii() and block.isdigit() and int(block) < self._scope.first_block

    def _require_known(self, found: Payment | None) -> None:
        """Require a payment that only its EVM transaction showed to be none that the index should have shown.

        Raises: InconsistentChainData.
        """
        if found is None or self._only_customer not in (None, found.customer_id):
            return
        if self._scope.first_block <= found.block <= self._scope.horizon:
            raise InconsistentChainData(f"the gateway's index omits {found.identity}, which is on the chain")

    async def _find_claimed_payment(self, credit: Credit) -> Payment | None:
        """Look up the payment that a credit names by its EVM transaction."""
        _, _, tx_hash, _ = claimed_identity(credit).split(":")
        nodes, gateways = self._reader.nodes, self._reader.gateways
        transaction = await nodes.repeat(lambda: find_payments_in_tx(nodes, gateways, tx_hash))
        for payment in transaction.payments if transaction else ():
            if payment.identity == claimed_identity(credit):
                return payment
        return None

    async def judge_cursors(self, chain: ChainFacts, customers: AuditedCustomers) -> None:
        """Check every cursor of every customer against the chain."""
        async for customer in in_turns(customers.by_id.values()):
            for name in customer.cursors:
                await self._judge_cursor(chain, customer, name)

    async def _judge_cursor(self, chain: ChainFacts, customer: AuditedCustomer, name: str) -> None:
        match = CURSOR.fullmatch(name)
        gateways = [gateway for gateway in self._reader.gateways if match and gateway.address_prefix == match[2]]
        if not gateways or not match or int(match[1]) != self._scope.chain_id:
            return
        address = gateways[0].address
        payments = [payment for payment in chain.payments_of(customer.id) if payment.gateway == address]
        hashes = {payment.sequence: payment.tx_hash for payment in payments}
        count = len(hashes) if not self._scope.first_block else 10**18
        cursor = ledger.parse_cursor(customer.cursors[name])
        passed = [
            payment
            for payment in self._collector.uncredited.get((customer.id, address), ())
            if cursor and payment.sequence < cursor.next
        ]
        uncredited = sorted(payment.sequence for payment in await self._filter_uncredited(customer.id, passed))
        if fault := find_cursor_fault(customer.cursors[name], count, hashes.get, uncredited):
            self._collector.add(cursor_row(customer, name, fault, self._scope))

    async def _filter_uncredited(self, customer: str, payments: Sequence[Payment]) -> list[Payment]:
        """Return the payments that are still uncredited now.

        A cursor is read as of now, so a payment credited since the report's time does not contradict it.
        """
        if not payments:
            return []
        try:
            newer_entries = await self._stripe.list_entries(customer, self._scope.time + 1, None)
        except StripeObjectNotFound as error:
            raise StripeReadError(f"the ledger of {customer} disappeared while it was read") from error
        return [
            payment
            for payment in payments
            if ledger.match(payment, None, newer_entries, self._scope.other_credits).outcome
            is not MatchOutcome.CREDITED
        ]

    async def judge_identities(self, chain: ChainFacts, customers: AuditedCustomers) -> None:
        """Compare the customer of each wallet at the gateways with the one in Stripe."""
        claims = await customers.customers_by_wallet()
        async for payment in in_turns(chain.payments.each()):
            claims.setdefault(payment.wallet, ())
        wallets = sorted(filter(_ADDRESS.fullmatch, claims))
        parts = [wallets[start : start + _WALLETS_AT_ONCE] for start in range(0, len(wallets), _WALLETS_AT_ONCE)]
        for gateway, part in itertools.product(self._reader.gateways, parts):
            registered = await self._reader.read_registered(gateway, part)
            for wallet, customer, other in find_drifts(claims, registered, customers.by_id):
                self._collector.add(drift_row(wallet, gateway.address, customer, other, self._scope))


async def is_absent_on_chain(reader: ChainReader, identity: str) -> bool:
    """Return whether no node shows a payment. Raises: ChainError if a node does not answer."""
    _, _, tx_hash, _ = identity.split(":")
    for node in reader.nodes.providers:
        transaction = await find_payments_in_tx(node, reader.gateways, tx_hash)
        if transaction and any(payment.identity == identity for payment in transaction.payments):
            return False
    if not reader.nodes.providers:
        raise ChainError("no node is configured")
    return True
