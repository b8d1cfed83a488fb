"""Registrations for the customers that exist: all customers of Stripe read, what is left to do signed, nothing written.

Half a listing is no listing: the same wallet may stand on a customer that was not read. So nothing is signed before the
last page. Customers made meanwhile are found by the next run, which leaves out what is registered by then.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chain import calls
from chain.bulk_reader import BulkReader
from chain.gateway import Gateway
from chain.signing import Signer, to_checksum_address
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
from stateless_billing.stripe.objects import WALLET, Customer
from stateless_billing.stripe.rate_limiter import Endpoint

BATCH = 100  # registrations in one multicall: about 4 million gas and 40 kB, within what nodes and blocks take
RETRY_DELAYS = (0.5, 1.0, 2.0, 4.0)  # seconds before each further try of a page
_WALLETS_PER_READ = 1_000

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Registration:
    """One signed statement that anybody may hand to the gateway until its deadline."""

    wallet: str
    customer_id: str
    deadline: int
    signature: bytes

    def line(self) -> dict[str, Any]:
        """As `register` prints it; the wallet as it stands in Stripe."""
        return {
            "wallet": self.wallet,
            "customer_id": self.customer_id,
            "deadline": self.deadline,
            "signature": "0x" + self.signature.hex(),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What is left to be registered, how much is, and what has to be mended first."""

    wanted: Sequence[RegistrationTarget]
    registered: int
    findings: Sequence[RegistrationIssue]


async def create_plan(
    stripe: StripeApi, gateway: Gateway, report: Report, retry_delays: Sequence[float] = RETRY_DELAYS
) -> Plan:
    """Read everything, sign nothing. Raises StripeFailure, ChainError."""
    wallets, read = await _read_wallets(stripe, report, retry_delays)
    wanted, findings = sort_wallets(wallets.items())
    report(f"{read} customers read, {len(wallets)} with a wallet, {len(findings)} findings; asking the gateway")
    registered: dict[str, str | None] = {}
    for some in batches([one.wallet for one in wanted], _WALLETS_PER_READ):
        registered.update(zip(some, await _read_registered(gateway, some), strict=True))
        report(f"{len(registered)} of {len(wanted)} wallets looked up")
    left, present, more = compare_with_chain(wanted, registered)
    return Plan(left, present, [*findings, *more])


async def _read_registered(gateway: Gateway, wallets: Sequence[str]) -> list[str | None]:
    return await gateway.reader.with_failover(
        lambda one: BulkReader(one, gateway.chain_id, gateway.address).customers_of(wallets)
    )


async def _read_wallets(stripe: StripeApi, report: Report, retry_delays: Sequence[float]) -> tuple[dict[str, str], int]:
    """The wallet of each customer that has one, our own records aside, and how many customers there are."""
    found: dict[str, str] = {}
    read, after, more = 0, None, True
    async with stripe.session() as session:
        while more:
            customers, more = await _read_page(session, after, retry_delays)
            read, after = read + len(customers), customers[-1].id if customers else None
            found |= {
                one.id: text for one in customers if one.value(RECORD_MARKER) is None and (text := one.value(WALLET))
            }
            report(f"{read} customers read, {len(found)} with a wallet")
    return found, read


async def _read_page(
    session: StripeSession, after: str | None, retry_delays: Sequence[float]
) -> tuple[list[Customer], bool]:
    """One page, newest first, and whether there are older ones. A passing failure does not end a long run."""
    params = {"limit": PAGE_SIZE, **({"starting_after": after} if after else {})}
    for pause in retry_delays:
        try:
            return await session.read(Endpoint.LIST_CUSTOMERS, lambda api: api.list_async(params), _parse)
        except (StripeUnavailable, RateLimited):
            await asyncio.sleep(pause)
    return await session.read(Endpoint.LIST_CUSTOMERS, lambda api: api.list_async(params), _parse)


def _parse(raw: Mapping[str, Any]) -> tuple[list[Customer], bool]:
    customers, more = objects.parse_customers(raw), raw.get("has_more")
    if not isinstance(more, bool) or (more and not customers):
        raise ValueError("a list that does not say where it ends")
    return customers, more


def sign_registrations(
    wanted: Sequence[RegistrationTarget], gateway: Gateway, signer: Signer, deadline: int, report: Report
) -> Iterator[Registration]:
    """The statements, one after the other."""
    for number, one in enumerate(wanted, 1):
        signature = signer.registration(gateway.address, one.wallet, one.customer_id, deadline)
        yield Registration(one.wallet, one.customer_id, deadline, signature)
        if number % _WALLETS_PER_READ == 0:
            report(f"{number} of {len(wanted)} signed")


def create_calldata(registrations: Sequence[Registration], gateway: Gateway) -> Iterator[dict[str, Any]]:
    """EVM transactions, each a `multicall` of at most BATCH registrations, that anybody may send in any order."""
    for some in batches(registrations, BATCH):
        inner = [calls.register(one.wallet, one.customer_id, one.deadline, one.signature) for one in some]
        yield {
            "to": to_checksum_address(gateway.address),
            "data": calls.multicall(inner),
            "value": "0x0",
            "registrations": len(some),
        }
