"""What integrators rely on: the webhook, wallets registered beforehand, limits, and quotes that end."""

import json
import time

from tests.outsider.chain import APPROVE, Reverted, call_data
from tests.outsider.scenarios.payments import TERMS, ask_status
from tests.outsider.service import Service, run_command
from tests.outsider.world import DoesNotHold, World, require

QUOTE_SECONDS = 30  # the least


def scenario_webhook(world: World) -> str:
    """Every credit is posted with a valid signature, and posted again after a refusal."""
    payer = world.create_payer()
    world.receiver.refusals = 1
    hash_ = world.pay_quoted(payer, 2200)
    world.service.follow(hash_, "credited", seconds=90)
    end = time.monotonic() + 40
    while not (posted := [each for each in world.receiver.received if hash_ in each["payment"]]):
        require(time.monotonic() < end, "the webhook is posted again after a refusal")
        time.sleep(0.2)
    wallet = payer.wallet.lower()
    told = [(each["customer_id"], each["customer"], each["wallet"].lower(), each["cents"]) for each in posted]
    require(set(told) == {(payer.customer.id, payer.customer.id, wallet, 2200)}, f"it tells the credit: {posted}")
    require(world.receiver.unsigned == 0, "every request is signed")
    return f"refused once, then posted {len(posted)} time(s), signed"


def scenario_registered_beforehand(world: World) -> str:
    """Wallets are registered by the command's calldata, sent by a stranger; then a plain payment pays for them."""
    payer, stranger = world.create_payer(), world.chain.create_account()
    code, output = run_command(world.settings, "register", "--calldata")
    require(code in (0, 1), f"register signs, and reports conflicts by 1: {code} {output}")
    batches = [json.loads(line) for line in output.splitlines() if line.startswith('{"to"')]
    for batch in batches:
        world.chain.send(stranger, batch["to"], batch["data"])
    gateway = world.chain.contracts.gateway
    registered = world.chain.read(gateway, "customerOf(address)", "bytes32", payer.wallet)
    require(registered.rstrip(b"\0").decode() == payer.customer.id, "the wallet is registered for its customer")
    hash_ = world.chain.approve_and_pay(payer.key, payer.wallet, 800)
    world.service.follow(hash_, "credited", seconds=90)
    world.require_credited_once(payer, hash_, 1000)
    return f"{len(batches)} batch(es) sent by a stranger; a first payment without a quote is credited"


def scenario_limits(world: World) -> str:
    """Cents below the minimum and above the maximum are refused, and a payment above the maximum is held."""
    payer = world.create_payer(1_000_000)
    account = world.service.request("GET", f"/api/accounts/{payer.wallet}").json()
    bounds = account["minimum_cents"], account["maximum_cents"]
    refused = []
    for cents in (bounds[0] - 1, bounds[1] + 1):
        answer = world.service.request("POST", "/api/quotes", json={"wallet": payer.wallet, "cents": cents})
        refused.append(answer.json()["type"].rpartition("/")[2])
    require(refused == ["below_minimum", "above_maximum"], f"refused by their names, not {refused}")
    world.service.follow(world.pay_quoted(payer, bounds[0]), "credited", seconds=90)
    hash_ = world.chain.approve_and_pay(payer.key, payer.wallet, bounds[1] * 8 // 1000 * 100)  # at $0.0125 a token
    claim = world.service.follow(hash_, "held", "credited", seconds=90)
    require(claim["payments"][0]["cause"] == "over_limit", f"held: over_limit, not {claim}")
    require(not world.credits(payer.customer, hash_), "a held payment has no credit")
    return f"{bounds[0]} to {bounds[1]} cents; more is refused, and held when paid all the same"


def scenario_quote_that_ends(world: World) -> str:
    """A quote that was not paid is void once a final block is later than its deadline; then it reverts."""
    payer = world.create_payer()
    service = Service({**world.settings, "QUOTE_SECONDS": str(QUOTE_SECONDS), "SWEEP": "off"})
    quote = service.quote(payer.wallet, 1000, payer.wallet)
    world.violations += service.violations
    service.kill()
    status = {name: quote[name] for name in ("gateway", *TERMS, "signature")}
    seen = [ask_status(world, status)]
    end = time.monotonic() + 90
    while seen[-1] != "void":
        require(time.monotonic() < end, f"it ends as void, not {seen}")
        time.sleep(0.5)
        if (state := ask_status(world, status)) != seen[-1]:
            seen.append(state)
    require(seen in (["open", "undecided", "void"], ["open", "void"]), f"open, undecided, void, not {seen}")
    require(time.time() > quote["deadline"], "no quote is void before its deadline")
    world.chain.send(payer.key, quote["token"], call_data(APPROVE, quote["gateway"], int(quote["amount"])))
    try:
        world.chain.send(payer.key, quote["calls"][-1]["to"], quote["calls"][-1]["data"])
    except Reverted:
        return f"{', '.join(seen)}; then it reverts"
    raise DoesNotHold("a void quote cannot be paid")
