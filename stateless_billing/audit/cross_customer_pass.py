"""The last part of an audit, when all customers were read: credits elsewhere, cursors, identities."""

import re
from collections.abc import Sequence

from chain.errors import ChainError
from chain.gateway import find_payments_in_tx
from chain.payment import Payment
from stateless_billing.audit.collector import Collector
from stateless_billing.audit.readers.chain import ChainFacts, ChainReader
from stateless_billing.audit.readers.customers import AuditedCustomers
from stateless_billing.audit.readers.stripe import Missing, StripeReader, StripeReadError
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
from stateless_billing.audit.rules.payments import Credit
from stateless_billing.domain import ledger
from stateless_billing.domain.ledger import MatchOutcome

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")


class CrossCustomerPass:
    """Adds the rows that need everything. Every method may raise ChainError."""

    def __init__(self, reader: ChainReader, afterwards: StripeReader, scope: Scope, collector: Collector) -> None:
        self._reader, self._afterwards, self._scope, self._collector = reader, afterwards, scope, collector

    async def judge_unmatched_credits(self, chain: ChainFacts) -> None:
        """Credits that name a payment which is not their customer's."""
        collector = self._collector
        left = attach_credits(collector.open_payments, collector.unmatched_credits, collector.orders, self._scope)
        known = chain.find({claimed_identity(one) for one in left})
        for stray in left:
            await self._judge_unmatched_credit(stray, known.get(claimed_identity(stray)))
        for place in collector.open_payments.values():
            collector.add(mark_deleted(place, collector.deleted_customers, collector.orders))

    async def _judge_unmatched_credit(self, stray: Credit, payment: Payment | None) -> None:
        reason = reason_without_payment(stray, self._scope)
        if not reason and payment is None:
            if self._was_before_first_block(stray):
                return
            payment = await self._read_again(stray)
        if reason or payment is None:
            told = reason or f"no node shows payment {claimed_identity(stray)}"
            self._collector.add(judge_without_payment(stray, told))
        elif is_void(payment, stray):
            told = "it credited other cents than the final event promises, and was reversed"
            self._collector.add(judge_without_payment(stray, told))
        elif stray.net == 0:
            self._collector.add(
                judge_without_payment(stray, f"{payment.customer_id} was to be credited, not this customer")
            )
        elif row := self._collector.is_known(payment):
            self._collector.add(judge_second_credit(row, stray))

    def _was_before_first_block(self, stray: Credit) -> bool:
        """Whether a credit says that its payment lies before the range of this report."""
        block = stray.entry.metadata.get("block", "")
        return block.isascii() and block.isdigit() and int(block) < self._scope.first_block

    async def _read_again(self, stray: Credit) -> Payment | None:
        """The payment that a credit names, if a node shows it after all."""
        _, _, tx_hash, _ = claimed_identity(stray).split(":")
        found = await find_payments_in_tx(self._reader.nodes, self._reader.gateways, tx_hash)
        return next((one for one in found.payments if one.identity == claimed_identity(stray)), None) if found else None

    async def judge_cursors(self, chain: ChainFacts, accounts: AuditedCustomers) -> None:
        """Every cursor of every customer against the chain. Raises StripeReadError."""
        for account in accounts.known.values():
            for name in account.cursors:
                await self._judge_cursor(chain, account, name)

    async def _judge_cursor(self, chain: ChainFacts, account: AuditedCustomer, name: str) -> None:
        found = CURSOR.fullmatch(name)
        gateways = [one for one in self._reader.gateways if found and one.short == found[2]]
        if not gateways or not found or int(found[1]) != self._scope.chain_id:
            return
        address = gateways[0].address
        hashes = {one.sequence: one.tx_hash for one in chain.payments_of(account.id) if one.gateway == address}
        count = len(hashes) if not self._scope.first_block else 10**18
        cursor = ledger.parse_cursor(account.cursors[name])
        behind = [
            one
            for one in self._collector.uncredited.get((account.id, address), ())
            if cursor and one.sequence < cursor.next
        ]
        uncredited = sorted(one.sequence for one in await self._still_uncredited(account.id, behind))
        if fault := find_cursor_fault(account.cursors[name], count, hashes.get, uncredited):
            self._collector.add(cursor_row(account, name, fault, self._scope))

    async def _still_uncredited(self, customer: str, payments: Sequence[Payment]) -> list[Payment]:
        """Which of the payments that were uncredited at the report's time still are: a cursor is as it is now."""
        if not payments:
            return []
        try:
            since = await self._afterwards.list_entries(customer, self._scope.time + 1, None)
        except Missing as error:
            raise StripeReadError(f"the ledger of {customer} went away while it was read") from error
        found = [(one, ledger.match(one, None, since, self._scope.other_credits).finding) for one in payments]
        return [one for one, finding in found if finding is not MatchOutcome.CREDITED]

    async def judge_identities(self, chain: ChainFacts, accounts: AuditedCustomers) -> None:
        """Every wallet that paid or that Stripe names, as the gateways have it."""
        claims = accounts.claims()
        paid = {one.wallet for some in chain.payments.values() for one in some}
        wallets = sorted(wallet for wallet in paid | claims.keys() if _ADDRESS.fullmatch(wallet))
        for gateway in self._reader.gateways if wallets else ():
            registered = await self._reader.read_registered(gateway, wallets)
            for wallet, customer, other in find_drifts(claims, registered, accounts.known):
                self._collector.add(drift_row(wallet, gateway.address, customer, other, self._scope))


async def is_absent_on_chain(reader: ChainReader, identity: str) -> bool:
    """Whether no node shows a payment. Raises ChainError where one could not be asked."""
    _, _, tx_hash, _ = identity.split(":")
    for one in reader.nodes.each:
        found = await find_payments_in_tx(one, reader.gateways, tx_hash)
        if found and any(payment.identity == identity for payment in found.payments):
            return False
    if not reader.nodes.each:
        raise ChainError("there is no node to ask")
    return True
