"""Payments: plain and quoted, claimed often, with a permit, at a wrong price."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from eth_account import Account as KeyPair
from eth_account.messages import encode_typed_data

from tests.outsider.chain import APPROVE, PAY_QUOTED, SLOTS, WHOLE, Reverted, call_data, types_of
from tests.outsider.prices import PriceFeed
from tests.outsider.service import Service
from tests.outsider.stripe.server import Server
from tests.outsider.world import DoesNotHold, World, require

QUOTE = "Quote(address wallet,uint256 sequence,uint256 amount,uint256 cents,uint256 deadline)"
REGISTRATION = "Registration(address wallet,bytes32 customerId,uint256 deadline)"
PERMIT = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
TERMS = ("wallet", "sequence", "amount", "cents", "deadline")


def fields_of(declaration: str) -> list[dict[str, str]]:
    """Return the fields of an EIP-712 type as its declaration names them."""
    return [dict(zip(("type", "name"), each.split(" "), strict=True)) for each in types_of(declaration)]


def typed(domain: dict[str, Any], declaration: str, message: dict[str, Any]) -> Any:
    """Return what is signed."""
    return encode_typed_data(domain, {declaration.partition("(")[0]: fields_of(declaration)}, message)


def require_signed(world: World, quote: dict[str, Any]) -> None:
    """Require that the gateway's signer signed a quote and its registration. Raises: DoesNotHold."""
    domain = {
        "name": "PaymentGateway",
        "version": "1",
        "chainId": quote["chain_id"],
        "verifyingContract": quote["gateway"],
    }
    terms = {name: int(quote[name]) if name == "amount" else quote[name] for name in TERMS}
    signed = [(QUOTE, terms, quote["signature"])]
    if registration := quote["registration"]:
        customer_id = registration["customer_id"].encode().ljust(32, b"\0")
        message = {"wallet": quote["wallet"], "customerId": customer_id, "deadline": registration["deadline"]}
        signed.append((REGISTRATION, message, registration["signature"]))
    for declaration, message, signature in signed:
        signer = KeyPair.recover_message(typed(domain, declaration, message), signature=signature)
        require(signer == world.chain.signer.address, f"{declaration} is signed by the gateway's signer, not {signer}")


def scenario_plain_payment_nobody_claims(world: World) -> str:
    """A plain payment is credited once, at its block's price, after finality, although nobody claims it."""
    payer = world.create_payer()
    world.service.follow(world.pay_quoted(payer, 500), "credited")  # registers the wallet
    hash_ = world.chain.approve_and_pay(payer.key, payer.wallet, 4000)
    block = int(world.chain.rpc("eth_getTransactionReceipt", hash_)["blockNumber"], 16)
    mined = int(world.chain.rpc("eth_getBlockByNumber", hex(block), False)["timestamp"], 16)
    end = time.monotonic() + 90
    while not world.credits(payer.customer, hash_) and time.monotonic() < end:
        time.sleep(0.5)
    entry = world.require_credited_once(payer, hash_, 5000)
    require(entry.at >= mined + 2 * SLOTS - 1, "no plain payment is credited before its block is final")
    require(world.service.claim(hash_)["payments"][0]["cents"] == 5000, "the claim tells 5000 cents")
    return f"4000 tokens at $0.0125, credited 5000 cents {entry.at - mined:.0f} s after the block"


def scenario_plain_payment_claimed_at_once(world: World) -> str:
    """However often it is claimed, a plain payment is `confirming` until its block is final."""
    payer = world.create_payer()
    world.service.follow(world.pay_quoted(payer, 500), "credited")
    hash_ = world.chain.approve_and_pay(payer.key, payer.wallet, 4000)
    block = int(world.chain.rpc("eth_getTransactionReceipt", hash_)["blockNumber"], 16)
    mined = int(world.chain.rpc("eth_getBlockByNumber", hex(block), False)["timestamp"], 16)
    claims = 0
    while int(world.chain.rpc("eth_getBlockByNumber", "finalized", False)["number"], 16) < block:
        require(not world.credits(payer.customer, hash_), "no plain payment is credited before its block is final")
        claims += world.service.claim(hash_)["state"] == "confirming"
        time.sleep(0.3)
    world.service.follow(hash_, "credited", seconds=90)
    entry = world.require_credited_once(payer, hash_, 5000)
    require(claims > 3, "it is confirming meanwhile")
    return f"{claims} claims answered confirming; credited {entry.at - mined:.0f} s after the block"


def scenario_quoted_payment(world: World) -> str:
    """A quoted payment registers its wallet, and is credited within seconds at the quote's price."""
    payer = world.create_payer()
    quote = world.service.quote(payer.wallet, 2500, payer.wallet)
    require_signed(world, quote)
    require(quote["registration"]["customer_id"] == payer.customer.id, "the registration names the customer")
    status = {name: quote[name] for name in ("gateway", *TERMS, "signature")}
    require(ask_status(world, status) == "open", "an unpaid quote is open")
    hash_ = ""
    for call in quote["calls"]:
        hash_ = world.chain.send(payer.key, call["to"], call["data"])["transactionHash"]
    began = time.monotonic()
    claim = world.service.follow(hash_, "credited", seconds=90)
    seconds = time.monotonic() - began
    entry = world.require_credited_once(payer, hash_, 2500)
    require(claim["payments"][0]["credit"] == entry.id, "the claim names the entry")
    require(ask_status(world, status) == "paid", "a paid quote is paid")
    registered = world.chain.read(quote["gateway"], "customerOf(address)", "bytes32", payer.wallet)
    require(registered.rstrip(b"\0").decode() == payer.customer.id, "the wallet is registered for its customer")
    try:
        world.chain.send(payer.key, quote["calls"][0]["to"], call_data(APPROVE, quote["gateway"], 10**24))
        world.chain.send(payer.key, quote["calls"][-1]["to"], quote["calls"][-1]["data"])
    except Reverted:
        return f"2500 cents credited {seconds:.1f} s after it was mined; the same quote reverts the second time"
    raise DoesNotHold("a quote pays once")


def ask_status(world: World, status: dict[str, Any]) -> str:
    """Return what became of a quote."""
    state: str = world.service.request("POST", "/api/quotes/status", json=status).json()["state"]
    return state


def scenario_claimed_by_many(world: World) -> str:
    """Twenty claims of one payment at two processes at once write one credit, under one key."""
    payer = world.create_payer()
    services = [world.service, world.second]
    hash_ = world.pay_quoted(payer, 1500)
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda index: services[index % 2].claim(hash_), range(20)))
    world.service.follow(hash_, "credited", seconds=90)
    world.second.follow(hash_, "credited", seconds=90)
    world.require_credited_once(payer, hash_, 1500)
    keys = {seen.key for seen in world.desk.seen if seen.key and payer.customer.id in seen.key}
    require(len(keys) == 1, f"one key for one payment, not {keys}")
    return "20 claims at 2 processes, 1 credit, 1 key"


def scenario_permit(world: World) -> str:
    """A permit and a payment go in one transaction, as the integrators' guide says."""
    payer, token = world.create_payer(), world.chain.contracts.token
    quote = world.service.quote(payer.wallet, 1200, payer.wallet)
    amount, deadline, gateway = int(quote["amount"]), quote["deadline"], quote["gateway"]
    name = world.chain.read(token, "name()", "string")
    nonce = world.chain.read(token, "nonces(address)", "uint256", payer.wallet)
    domain = {"name": name, "version": "1", "chainId": quote["chain_id"], "verifyingContract": quote["token"]}
    message = {"owner": payer.wallet, "spender": gateway, "value": amount, "nonce": nonce, "deadline": deadline}
    signed = payer.key.sign_message(typed(domain, PERMIT, message))
    words = (amount, deadline, signed.v, signed.r.to_bytes(32), signed.s.to_bytes(32))
    permit = call_data("permit(uint256,uint256,uint8,bytes32,bytes32)", *words)
    calls = [bytes.fromhex(data[2:]) for data in (permit, quote["calls"][-1]["data"])]
    hash_ = world.chain.send(payer.key, gateway, call_data("multicall(bytes[])", calls))["transactionHash"]
    world.service.follow(hash_, "credited", seconds=90)
    world.require_credited_once(payer, hash_, 1200)
    return "permit, registration and payment in one transaction, 1200 cents"


def scenario_changed_terms(world: World) -> str:
    """The contract refuses a quote whose cents, amount or wallet somebody changed, and no token moves."""
    payer = world.create_payer()
    world.service.follow(world.pay_quoted(payer, 500), "credited")
    quote = world.service.quote(payer.wallet, 1000, payer.wallet)
    world.chain.send(payer.key, world.chain.contracts.token, call_data(APPROVE, quote["gateway"], 10**24))
    before = world.chain.read(world.chain.contracts.token, "balanceOf(address)", "uint256", payer.wallet)
    amount, signature = int(quote["amount"]), bytes.fromhex(quote["signature"][2:])
    honest = [payer.wallet, amount, quote["cents"], quote["deadline"], signature]
    changes = {0: world.create_payer(0).wallet, 1: amount - 1, 2: 2000, 3: quote["deadline"] + 60, 4: signature[:-1]}
    for position, value in changes.items():
        terms = [value if index == position else each for index, each in enumerate(honest)]
        try:
            world.chain.send(payer.key, quote["gateway"], call_data(PAY_QUOTED, *terms))
        except Reverted:
            continue
        raise DoesNotHold(f"the gateway refuses changed terms: {terms}")
    after = world.chain.read(world.chain.contracts.token, "balanceOf(address)", "uint256", payer.wallet)
    require(after == before, "a refused payment moves no token")
    hash_ = world.chain.send(payer.key, quote["gateway"], call_data(PAY_QUOTED, *honest))["transactionHash"]
    world.service.follow(hash_, "credited", seconds=90)
    return f"{len(changes)} changes refused, {(before - after) // WHOLE} tokens moved; the honest terms pay"


def scenario_wrong_price(world: World) -> str:
    """No quote is signed at a price that is missing, nothing, or above the contract's ceiling."""
    payer = world.create_payer()
    refused = []
    for dollars in ("", "0", "50.0"):
        feed = Server(PriceFeed(dollars).answer)
        service = Service({**world.settings, "PRICE_API_BASE": feed.url, "SWEEP": "off"}, ready_states=(200, 503))
        answer = service.request("POST", "/api/quotes", json={"wallet": payer.wallet, "cents": 450_000})
        require(answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, f"price {dollars!r}: {answer.text}")
        refused.append(answer.json()["type"].rpartition("/")[2])
        world.violations += service.violations
        service.kill()
        feed.close()
    require(set(refused) == {"rate_unavailable"}, f"refused as rate_unavailable, not {refused}")
    return "no quote without a price, at nothing, or above the ceiling"
