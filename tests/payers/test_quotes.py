"""Quotes bind a wallet for no longer than they live, and never one whose account is not clear."""

import pytest

from chain.contracts import TokenContract, contract_functions
from chain.payment import customer_id_to_bytes32
from stateless_billing.domain.errors import ProblemError
from stateless_billing.payers.responses import QuoteResponse
from stateless_billing.services.container import Services
from tests.fakes.factories import GATEWAY, WALLET
from tests.fakes.in_process_service import BEGIN, READS, Town

contract_functions(TokenContract.abi)  # a virtual loop cannot wait for the thread that loads it

SEARCHES = "GET /v1/customers/search"
SIGNER_KEY = "11" * 32
QUOTE_SECONDS = 300
ALICE, BOB = "cus_Alice", "cus_Bob"


def town_with(**wallets: str) -> Town:
    """Create a town of customers by ID, each with a `wallet_address`."""
    town = Town([])
    for customer_id, wallet in wallets.items():
        town.add(customer_id, {"wallet_address": wallet})
    node = town.nodes[0]
    node.views |= {"rateCeiling": 10**12}
    node.lies["symbol"] = lambda _: [int.from_bytes(b"T".ljust(32, b"\0"))]  # a text of one letter
    return town


def register(town: Town, customer_id: str | None) -> None:
    """Register every wallet for a customer, or none."""
    value = customer_id_to_bytes32(customer_id) if customer_id else bytes(32)
    town.nodes[0].views["customerOf"] = int.from_bytes(value)


async def quote(services: Services) -> QuoteResponse:
    """Ask for a quote of $50."""
    return await services.quotes().create(WALLET, 5_000, None, "192.0.2.1")


async def refusal(services: Services) -> ProblemError:
    """Ask for a quote and return why there is none."""
    with pytest.raises(ProblemError) as refused:
        await quote(services)
    return refused.value


def test_a_registration_ends_with_its_quote() -> None:
    town = town_with(cus_Alice=WALLET)

    async def scenario() -> None:
        services = town.process(SIGNER_KEY=SIGNER_KEY, REGISTRATION_SECONDS="86400")
        answer = await quote(services)
        assert answer.registration
        assert answer.registration.customer_id == ALICE
        assert answer.registration.deadline == answer.deadline
        assert answer.deadline - BEGIN <= QUOTE_SECONDS + 10

    town.run(scenario())


def test_a_registered_wallet_that_moved_gets_no_quote() -> None:
    """An old registration bound the wallet to its former account: nothing more is signed for that account."""
    town = town_with(cus_Alice=WALLET)

    async def scenario() -> None:
        services = town.process(SIGNER_KEY=SIGNER_KEY)
        assert (await quote(services)).registration
        town.set_metadata(ALICE, {"wallet_address": ""})
        town.add(BOB, {"wallet_address": WALLET})
        register(town, ALICE)  # a stranger sends the registration while it lives
        town.stripe.log.counts.clear()
        problem = await refusal(services)
        assert problem.code == "wallet_conflict"
        assert "no money moved" in problem.detail
        assert "Ask support" in problem.detail
        assert dict(town.stripe.log.counts) == {READS: 1}, "only the registered customer is read"
        register(town, BOB)  # the owner corrects it
        assert (await quote(services)).registered, "at once: an account is cached for the customer on the chain"

    town.run(scenario())


def test_a_registered_wallet_is_compared_without_case() -> None:
    town = town_with(cus_Alice=WALLET.upper().replace("X", "x"))
    register(town, ALICE)

    async def scenario() -> None:
        assert (await quote(town.process(SIGNER_KEY=SIGNER_KEY))).registered

    town.run(scenario())


@pytest.mark.parametrize("exists", [True, False])
def test_a_wallet_of_a_deleted_or_missing_customer_gets_no_quote(exists: bool) -> None:
    town = town_with(cus_Alice=WALLET)
    register(town, ALICE if exists else "cus_Nobody")
    town.customer(ALICE).deleted = True

    async def scenario() -> None:
        services = town.process(SIGNER_KEY=SIGNER_KEY)
        assert (await refusal(services)).code == "wallet_conflict"
        account = await services.accounts.describe(WALLET, "192.0.2.1")
        assert (account.found, account.registered, account.payments) == (False, True, [])

    town.run(scenario())


def test_a_wallet_of_two_customers_gets_no_quote() -> None:
    town = town_with(cus_Alice=WALLET, cus_Bob=WALLET)

    async def scenario() -> None:
        services = town.process(SIGNER_KEY=SIGNER_KEY)
        assert (await refusal(services)).code == "wallet_conflict"
        assert town.asked(SEARCHES) == 1

    town.run(scenario())


@pytest.mark.parametrize(
    ("registered", "wallets", "expected"),
    [
        (BOB, {BOB: WALLET}, ""),
        (None, {BOB: WALLET}, ""),
        (ALICE, {ALICE: "", BOB: WALLET}, f"correctCustomer {GATEWAY} {WALLET} {BOB}"),
        ("cus_Nobody", {BOB: WALLET}, f"correctCustomer {GATEWAY} {WALLET} {BOB}"),
        (None, {ALICE: WALLET, BOB: WALLET}, "remove `wallet_address` from all customers but its owner"),
    ],
)
def test_moderators_see_each_conflict_with_its_next_action(
    registered: str | None, wallets: dict[str, str], expected: str
) -> None:
    town = town_with(**wallets)
    register(town, registered)

    async def scenario() -> None:
        services = town.process(SIGNER_KEY=SIGNER_KEY)
        note = (await services.customer_search.find(WALLET)).note
        assert expected in note
        assert ("gets no quotes" in note) == bool(expected)

    town.run(scenario())
