"""Quotes bind a wallet for no longer than they live, and never one whose account is not clear."""

import asyncio

import pytest

from chain.contracts import TokenContract, contract_functions
from chain.payment import customer_id_to_bytes32
from stateless_billing.audit.run import index_orders
from stateless_billing.domain import order_rules
from stateless_billing.domain.errors import ProblemError
from stateless_billing.domain.order_rules import Order
from stateless_billing.payers.responses import QuoteResponse
from stateless_billing.services.container import Services
from tests.fakes.factories import GATEWAY, WALLET, entry, payment
from tests.fakes.in_process_service import BEGIN, NOW_BLOCK, READS, SERVICE, Town

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


async def order(services: Services, text: str) -> Order:
    """Order whom to register for the wallet."""
    form_id = f"{services.grants.create_grant_id()}00customer"
    return await services.wallet_conflicts.order(form_id, WALLET, text, "ann@example.org", "their ticket 7")


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


@pytest.mark.parametrize("registered", [True, False])
@pytest.mark.parametrize(
    ("attribute", "value", "reason"),
    [("currency", "eur", "another currency"), ("test_clock", "clock_1", "test clock")],
)
def test_what_could_not_be_credited_is_not_quoted(attribute: str, value: str, reason: str, registered: bool) -> None:
    town = town_with(cus_Alice=WALLET)
    setattr(town.customer(ALICE), attribute, value)
    if registered:
        register(town, ALICE)

    async def scenario() -> None:
        problem = await refusal(town.process(SIGNER_KEY=SIGNER_KEY))
        assert problem.code == "not_payable"
        assert reason in problem.detail
        assert "no money moved" in problem.detail

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
        assert await services.accounts.find_conflict(WALLET, "192.0.2.1") == "moved"

    town.run(scenario())


def test_a_wallet_of_two_customers_gets_no_quote() -> None:
    town = town_with(cus_Alice=WALLET, cus_Bob=WALLET)

    async def scenario() -> None:
        services = town.process(SIGNER_KEY=SIGNER_KEY)
        assert (await refusal(services)).code == "wallet_conflict"
        assert await services.accounts.find_conflict(WALLET, "192.0.2.1") == "shared"
        assert town.asked(SEARCHES) == 1

    town.run(scenario())


def test_account_at_its_limit_is_refused_with_the_time_of_the_next_payment() -> None:
    earlier = payment(customer_id=ALICE, block=NOW_BLOCK - 1800, cents=5_000)
    town = Town([earlier])
    town.set_metadata(ALICE, {"wallet_address": WALLET})
    town.nodes[0].views |= {"rateCeiling": 10**12}
    town.nodes[0].lies["symbol"] = lambda _: [int.from_bytes(b"T".ljust(32, b"\0"))]
    register(town, ALICE)
    resets_at = earlier.time + 24 * 3600
    when = "2026-09-22 15:13:20 UTC"

    async def scenario() -> None:
        for maximum, left, said in (
            (
                "5400",
                400,
                f"limit of $54.00 in 24 hours is reached. Nothing was sent and no money moved. Pay again from {when}",
            ),
            ("9000", 4_000, f"limit of $90.00 in 24 hours $40.00 is left, and more from {when} on."),
        ):
            services = town.process(SIGNER_KEY=SIGNER_KEY, MAX_PAYMENT_CENTS=maximum)
            account = await services.accounts.describe(WALLET, "192.0.2.1")
            assert (account.maximum_cents, account.maximum_resets_at) == (left, resets_at)
            problem = await refusal(services)
            assert problem.code == "above_maximum"
            assert said in problem.detail

    town.run(scenario())


@pytest.mark.parametrize(
    ("registered", "wallets", "expected"),
    [
        (BOB, {BOB: WALLET}, ""),
        (None, {BOB: WALLET}, ""),
        (ALICE, {ALICE: "", BOB: WALLET}, f"correctCustomer {GATEWAY} {WALLET} {BOB}"),
        ("cus_Nobody", {BOB: WALLET}, f"correctCustomer {GATEWAY} {WALLET} {BOB}"),
        (None, {ALICE: WALLET, BOB: WALLET}, "Next: an admin chooses below"),
    ],
)
def test_moderators_see_each_conflict_with_its_next_action(
    registered: str | None, wallets: dict[str, str], expected: str
) -> None:
    town = town_with(**wallets)
    register(town, registered)

    async def scenario() -> None:
        services = town.process(SIGNER_KEY=SIGNER_KEY)
        conflict = (await services.customer_search.find(WALLET)).conflict
        assert (conflict is not None) == bool(expected)
        assert expected in (conflict.advice if conflict else "")

    town.run(scenario())


def test_an_order_resolves_a_duplicate() -> None:
    town = town_with(cus_Alice=WALLET, cus_Bob=WALLET, cus_Carol="")

    async def scenario() -> None:
        services = town.process(SIGNER_KEY=SIGNER_KEY)
        assert (await refusal(services)).code == "wallet_conflict"
        await order(services, "customer:cus_Alice")
        await order(services, "customer:cus_Bob")
        await asyncio.sleep(61)
        answer = await quote(services)
        assert answer.registration
        assert answer.registration.customer_id == BOB, "the newest order stands"
        conflict = (await services.customer_search.find(WALLET)).conflict
        assert conflict
        assert (conflict.chosen, sorted(conflict.choices)) == (BOB, [ALICE, BOB])
        assert BOB in conflict.advice
        town.set_metadata(BOB, {"wallet_address": ""})
        town.add("cus_Dave", {"wallet_address": WALLET})
        await asyncio.sleep(61)
        assert (await refusal(services)).code == "wallet_conflict", "the chosen customer does not have it any more"
        town.set_metadata(BOB, {"wallet_address": WALLET})
        await order(services, "withdraw")
        await asyncio.sleep(61)
        assert (await refusal(services)).code == "wallet_conflict"

    town.run(scenario())


@pytest.mark.parametrize(
    ("text", "registered", "code"),
    [
        ("customer:cus_Carol", None, "unusable_customer"),
        ("customer:cus_Nobody", None, "unusable_customer"),
        ("customer:cus_Service", None, "unusable_customer"),
        ("customer:cus_Bob", ALICE, "too_late"),
        ("redirect:cus_Bob", None, "invalid_input"),
        ("customer:cus_Bob;gone:cus_Alice", None, "invalid_input"),
        ("release", None, "invalid_input"),
        ("", None, "invalid_input"),
    ],
)
def test_orders_about_wallets_are_checked(text: str, registered: str | None, code: str) -> None:
    town = town_with(cus_Alice=WALLET, cus_Bob=WALLET, cus_Carol="")
    register(town, registered)

    async def scenario() -> None:
        services = town.process(SIGNER_KEY=SIGNER_KEY)
        with pytest.raises(ProblemError) as refused:
            await order(services, text)
        assert refused.value.code == code
        assert "Nothing was ordered" in refused.value.detail
        assert not town.rows(SERVICE)

    town.run(scenario())


def test_an_order_about_a_wallet_concerns_no_payment() -> None:
    row = entry(
        cents=1,
        metadata={"kind": "order", "payment": f"wallet:{WALLET}", "order": "customer:cus_Bob"},
    )
    orders = order_rules.parse_all([row])
    assert [parsed.target for parsed in orders] == [BOB]
    index = index_orders([row], {})
    paid = payment(customer_id=ALICE)
    assert index.target_of(paid, []) == ALICE
    assert order_rules.effective_order(paid.identity, orders) is None
    assert order_rules.find_named_customers(paid.identity, [row]) == ()
