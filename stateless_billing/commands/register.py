"""Signs registrations for existing customers: reads all customers of Stripe and writes nothing.

Nothing is signed before the last page was read, because another customer on it may have the same wallet. The next run
picks up customers created meanwhile and skips those that are registered by then.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from chain import contracts
from chain.bulk_reader import BulkReader
from chain.gateway import Gateway
from chain.signatures import Signer, to_checksum_address
from stateless_billing.bookkeeping.records import RECORD_MARKER
from stateless_billing.commands.registration_plan import (
    RegistrationIssue,
    RegistrationTarget,
    batches,
    compare_with_chain,
    sort_wallets,
)
from stateless_billing.stripe import objects
from stateless_billing.stripe.client import PAGE_SIZE, StripeApi, StripeSession
from stateless_billing.stripe.errors import RateLimited, StripeUnavailable
from stateless_billing.stripe.objects import CUSTOMERS, WALLET, CustomerPage
from stateless_billing.stripe.rate_limiter import Endpoint

MULTICALL_SIZE = 100  # registrations: about 4 million gas and 40 kB, within the limits of nodes and blocks
RETRY_DELAYS = (0.5, 1.0, 2.0, 4.0)  # seconds before each further try of a page
_WALLETS_PER_READ = 1_000

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Registration:
    """A signed registration that anybody may submit to the gateway until its deadline."""

    wallet: str
    customer_id: str
    deadline: int
    signature: bytes

    def line(self) -> dict[str, Any]:
        """The output of `register`, with the wallet as written in Stripe."""
        return {
            "wallet": self.wallet,
            "customer_id": self.customer_id,
            "deadline": self.deadline,
            "signature": "0x" + self.signature.hex(),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """The registrations to sign, the number already registered, and findings to fix first."""

    targets: Sequence[RegistrationTarget]
    registered: int
    findings: Sequence[RegistrationIssue]


async def create_plan(
    stripe: StripeApi, gateway: Gateway, report: Report, retry_delays: Sequence[float] = RETRY_DELAYS
) -> Plan:
    """Read all customers and their registrations. Signs nothing. Raises: StripeFailure, ChainError."""
    wallets, count = await _read_wallets(stripe, report, retry_delays)
    targets, findings = sort_wallets(wallets.items())
    report(f"{count} customers read, {len(wallets)} with a wallet, {len(findings)} findings; asking the gateway")
    registered: dict[str, str | None] = {}
    for batch in batches([target.wallet for target in targets], _WALLETS_PER_READ):
        registered.update(zip(batch, await _read_registered(gateway, batch), strict=True))
        report(f"{len(registered)} of {len(targets)} wallets looked up")
    unregistered, registered_count, conflicts = compare_with_chain(targets, registered)
    return Plan(unregistered, registered_count, [*findings, *conflicts])


async def _read_registered(gateway: Gateway, wallets: Sequence[str]) -> list[str | None]:
    return await gateway.reader.with_failover(
        lambda node: BulkReader(node, gateway.chain_id, gateway.address).customers_of(wallets)
    )


async def _read_wallets(stripe: StripeApi, report: Report, retry_delays: Sequence[float]) -> tuple[dict[str, str], int]:
    """The wallet of each customer that has one, except our records, and the number of customers read."""
    wallets: dict[str, str] = {}
    count = 0
    after: str | None = None
    complete = False
    async with stripe.session() as session:
        while not complete:
            page = await _read_page(session, after, retry_delays)
            complete = page.complete
            count += len(page.customers)
            for customer in page.customers:
                after = customer.id
                if customer.value(RECORD_MARKER) is None and (wallet := customer.value(WALLET)):
                    wallets[customer.id] = wallet
            report(f"{count} customers read, {len(wallets)} with a wallet")
    return wallets, count


async def _read_page(session: StripeSession, after: str | None, retry_delays: Sequence[float]) -> CustomerPage:
    """Read one page, newest first. Retries transient failures."""
    params = {"limit": PAGE_SIZE, **({"starting_after": after} if after else {})}
    for pause in retry_delays:
        try:
            return await session.read(Endpoint.LIST_CUSTOMERS, CUSTOMERS, params, objects.parse_customers)
        except (StripeUnavailable, RateLimited):
            await asyncio.sleep(pause)
    return await session.read(Endpoint.LIST_CUSTOMERS, CUSTOMERS, params, objects.parse_customers)


def sign_registrations(
    targets: Sequence[RegistrationTarget], gateway: Gateway, signer: Signer, deadline: int, report: Report
) -> Iterator[Registration]:
    """Sign the registrations one by one."""
    for number, target in enumerate(targets, 1):
        signature = signer.registration(gateway.address, target.wallet, target.customer_id, deadline)
        yield Registration(target.wallet, target.customer_id, deadline, signature)
        if number % _WALLETS_PER_READ == 0:
            report(f"{number} of {len(targets)} signed")


def create_calldata(registrations: Sequence[Registration], gateway: Gateway) -> Iterator[dict[str, Any]]:
    """Build EVM transactions of up to MULTICALL_SIZE registrations each, which anybody may send in any order."""
    for batch in batches(registrations, MULTICALL_SIZE):
        inner = [
            contracts.encode_register(entry.wallet, entry.customer_id, entry.deadline, entry.signature)
            for entry in batch
        ]
        yield {
            "to": to_checksum_address(gateway.address),
            "data": contracts.encode_multicall(inner),
            "value": "0x0",
            "registrations": len(batch),
        }
