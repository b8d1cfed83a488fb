"""Customers that are deleted, doubled, not payable, of another currency, or have a strange entry."""

import time

import httpx

from tests.outsider.world import Payer, World, require, state_of


def registered(world: World) -> Payer:
    """Return a payer whose wallet the gateway knows."""
    payer = world.create_payer()
    world.service.follow(world.pay_quoted(payer, 500), "credited")
    return payer


def refusal(world: World, wallet: str) -> tuple[int, str]:
    """Return status and code of a refused quote."""
    answer = world.service.request("POST", "/api/quotes", json={"wallet": wallet, "cents": 1000})
    return answer.status_code, answer.json().get("type", "").rpartition("/")[2]


def follow_held(world: World, payer: Payer, cause: str) -> None:
    """Pay without a quote, and require that the payment is held with this cause. Raises: DoesNotHold."""
    hash_ = world.chain.approve_and_pay(payer.key, payer.wallet, 4000)
    claim = world.service.follow(hash_, "held", "credited", seconds=60)
    require(state_of(claim) == ("held", cause), f"held: {cause}, not {state_of(claim)}")
    require(not world.credits(payer.customer, hash_), "a held payment has no credit")


def wait_for(world: World, wallet: str, expected: tuple[int, str], seconds: int = 60) -> None:
    """Wait until a quote is refused as expected: what is known of a customer may be half a minute old."""
    end = time.monotonic() + seconds
    while (told := refusal(world, wallet)) != expected:
        require(time.monotonic() < end, f"a quote is refused with {expected}, not {told}")
        time.sleep(1)


def scenario_deleted_customer(world: World) -> str:
    """A customer that is deleted after its registration: no quote, and payments are held; nobody else is credited."""
    payer = registered(world)
    before = {customer.id for customer in world.account.customers.values()}
    world.at_stripe(lambda: world.account.delete_customer(payer.customer))
    follow_held(world, payer, "customer_deleted")
    wait_for(world, payer.wallet, (409, "wallet_conflict"))
    require({customer.id for customer in world.account.customers.values()} == before, "no customer is made for it")
    return "held: customer_deleted; quotes refused as wallet_conflict; no other customer made"


def scenario_wallet_of_two_customers(world: World) -> str:
    """A wallet on two customers gets no quote unless it was registered before; then its own customer is credited."""
    payer, known = world.create_payer(), registered(world)
    for wallet in (payer.wallet, known.wallet):
        world.create_customer(metadata={"wallet_address": wallet.lower()})
    wait_for(world, payer.wallet, (409, "wallet_conflict"))
    hash_ = world.pay_quoted(known, 900)
    world.service.follow(hash_, "credited", seconds=90)
    world.require_credited_once(known, hash_, 900)
    return "not registered: wallet_conflict; registered: its own customer is credited"


def scenario_not_payable(world: World) -> str:
    """A customer marked `gateway_payments` = `off` gets no quote, and its payments are held."""
    payer = registered(world)
    changes = {"metadata": {"gateway_payments": "off"}}
    world.at_stripe(lambda: world.account.update_customer(payer.customer, changes))
    wait_for(world, payer.wallet, (409, "not_payable"))
    follow_held(world, payer, "not_payable")
    return "quotes refused, a payment held: not_payable"


def scenario_other_currency(world: World) -> str:
    """A customer billed in euros is not credited in dollars."""
    payer = world.create_payer()
    world.at_stripe(lambda: world.account.add(payer.customer, -700, "eur"))
    code = refusal(world, payer.wallet)
    if code[0] == httpx.codes.OK:  # a quote registers the wallet; the payment is held
        hash_ = world.pay_quoted(payer, 1000)
        claim = world.service.follow(hash_, "held", "credited", seconds=90)
        require(state_of(claim) == ("held", "currency"), f"held: currency, not {claim}")
    require("usd" not in payer.customer.balances, "no dollars on a customer of another currency")
    return f"a quote is answered {code[0]} {code[1]}, and no dollars are credited"


def scenario_strange_entry(world: World) -> str:
    """An entry of exactly these cents, written by hand, may be the payment's: it is held, not credited again."""
    payer = registered(world)
    world.at_stripe(lambda: world.account.add(payer.customer, -5000, "usd", description="by hand"))
    time.sleep(1)
    hash_ = world.chain.approve_and_pay(payer.key, payer.wallet, 4000)
    world.at_stripe(lambda: world.account.add(payer.customer, -5000, "usd", description="by hand, again"))
    claim = world.service.follow(hash_, "held", "credited", seconds=60)
    require(state_of(claim) == ("held", "ledger_altered"), f"held: ledger_altered, not {claim}")
    require(not world.credits(payer.customer, hash_), "a held payment has no credit")
    return "held: ledger_altered"


def scenario_search_an_hour_late(world: World) -> str:
    """While Stripe's search is an hour late, registered wallets pay; new ones are told that none is found."""
    known = registered(world)
    world.account.search_delay = 3600
    try:
        payer = world.create_payer()
        status = refusal(world, payer.wallet)
        require(status[1] == "unknown_wallet", f"a wallet that search does not show yet is unknown, not {status}")
        found = world.service.request("GET", f"/api/accounts/{payer.wallet}").json()["found"]
        require(found is False, "its account is not found")
        hash_ = world.pay_quoted(known, 800)
        world.service.follow(hash_, "credited", seconds=90)
    finally:
        world.account.search_delay = 0
    world.require_credited_once(known, hash_, 800)
    return "a registered wallet pays; a new one is refused as unknown_wallet"
