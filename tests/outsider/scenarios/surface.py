"""The public surface: malformed input, other origins, readiness, metrics, receipts, pages, start-up refusals."""

import json
from typing import Any

from tests.outsider.service import run_command
from tests.outsider.world import World, require

ORIGIN, STRANGER = "https://shop.example.org", "https://stranger.example.org"
ALLOWED = "access-control-allow-origin"


def scenario_malformed_input(world: World) -> str:
    """Malformed requests are refused as problems that say what to do; none is a 500."""
    wallet = world.create_payer(0).wallet
    bodies: list[Any] = [None, [], "text", {}, {"wallet": wallet}, {"cents": 1000}, {"wallet": wallet, "cents": "1000"}]
    bodies += [{"wallet": wallet, "cents": cents} for cents in (-1, 0, 1, 10**30, 1.5, True, None)]
    bodies += [
        {"wallet": each, "cents": 1000} for each in ("", "0x", "0x" + "g" * 40, wallet[:-1], wallet.swapcase(), 7)
    ]
    bodies += [{"tx_hash": each} for each in ("", "0x", "0x" + "z" * 64, None, 5, "0x" + "1" * 63)]
    requests = [("POST", path, json.dumps(body)) for path in PATHS for body in bodies]
    requests += [("POST", path, raw) for path in PATHS for raw in ("", "{", '{"wallet":', "\x00", "[" * 5000)]
    headers = {"content-type": "application/json"}
    statuses = set()
    for method, path, content in requests:
        answer = world.service.request(method, path, content=content, headers=headers)
        statuses.add(answer.status_code)
        require(400 <= answer.status_code < 500, f"{path} {content[:80]!r} answered {answer.status_code}")
        problem = answer.json()
        require(answer.headers["content-type"].startswith("application/problem+json"), f"{path}: a problem")
        require(problem["type"].startswith("/problems/") and problem["detail"], f"{path}: type and detail")
        require(problem["request_id"] == answer.headers["x-request-id"], f"{path}: the request's ID")
    for path in (f"/api/accounts/{wallet}x", "/api/payments/0x12", f"/receipt/0x{'1' * 64}/x", "/api/nothing"):
        status = world.service.client.get(path).status_code
        require(400 <= status < 500, f"GET {path} answered {status}")
    return f"{len(requests) + 4} malformed requests: {sorted(statuses)}"


PATHS = ("/api/quotes", "/api/quotes/status", "/api/payments")


def scenario_other_origins(world: World) -> str:
    """The origins in CORS_ORIGINS may read the public API, nobody else; pages and operators' addresses never."""
    client, wallet = world.service.client, world.create_payer(0).wallet
    public = [f"/api/accounts/{wallet}", "/abi.json", "/openapi.json", f"/api/payments/0x{'1' * 64}"]
    for path in public:
        answer = client.get(path, headers={"origin": ORIGIN})
        require(answer.headers.get(ALLOWED) == ORIGIN, f"{path} may be read from {ORIGIN}")
        exposed = answer.headers.get("access-control-expose-headers", "").lower()
        require("x-request-id" in exposed and "retry-after" in exposed, f"{path} exposes both headers: {exposed!r}")
        for answer_ in (answer, client.get(path, headers={"origin": STRANGER})):
            require("access-control-allow-credentials" not in answer_.headers, f"{path}: never with credentials")
        require(ALLOWED not in client.get(path, headers={"origin": STRANGER}).headers, f"{path}: not from elsewhere")
    for path in ("/pay", "/healthz", "/login", "/api/admin/customers", "/admin"):
        require(ALLOWED not in client.get(path, headers={"origin": ORIGIN}).headers, f"{path}: from no other site")
    asked = {
        "origin": ORIGIN,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    preflight = client.options("/api/quotes", headers=asked)
    require(preflight.is_success and preflight.headers.get(ALLOWED) == ORIGIN, f"a preflight is answered: {preflight}")
    refused = client.post("/api/quotes", json={}, headers={"origin": ORIGIN})
    require(refused.headers.get(ALLOWED) == ORIGIN, "a refusal may be read, too")
    return f"{len(public)} addresses and a preflight allowed, 5 never; no credentials"


def scenario_readiness_and_metrics(world: World) -> str:
    """Liveness, readiness and metrics tell what they should, and `doctor` finds nothing to mend."""
    client = world.service.client
    require(client.get("/healthz").is_success, "/healthz is 200")
    readiness = client.get("/readyz").json()
    require(readiness["ready"] and all(check["ok"] for check in readiness["checks"].values()), f"ready: {readiness}")
    metrics = world.service.metrics()
    names = {line.split("{")[0].split(" ")[0] for line in metrics.splitlines() if not line.startswith("#")}
    ours = {name for name in names if name.startswith("billing_")}
    require("billing_build_info" in ours, f"billing_build_info is among {sorted(ours)}")
    private = [world.settings["STRIPE_API_KEY"], world.settings["SIGNER_KEY"]]
    require(not any(secret in metrics for secret in private), "metrics show no secret")
    code, output = run_command(world.settings, "doctor")
    require(code == 0, f"doctor ends with 0, not {code}: {output}")
    return f"{len(readiness['checks'])} checks ready, {len(ours)} metrics, doctor clean"


def scenario_receipt_and_pages(world: World) -> str:
    """A receipt says the same as the claim; pages are served, and without the gateway's secrets."""
    payer = world.create_payer()
    hash_ = world.pay_quoted(payer, 2100)
    claim = world.service.follow(hash_, "credited")["payments"][0]
    receipt = world.service.request("GET", f"/receipt/{hash_}/0").json()
    shared = set(claim) & set(receipt)
    differing = {name for name in shared if claim[name] != receipt[name]}
    require(not differing, f"receipt and claim agree, not in {differing}")
    account = world.service.request("GET", f"/api/accounts/{payer.wallet}").json()
    require(account["payments"][0]["payment"] == claim["payment"], "the account lists the payment")
    require(str(payer.customer.email) not in json.dumps(account), "the mail address is masked")
    for path in ("/pay", f"/pay?tx_hash={hash_}", f"/receipt/{hash_}/0", "/docs/api"):
        page = world.service.client.get(path, headers={"accept": "text/html"})
        require(page.is_success and page.headers["content-type"].startswith("text/html"), f"{path} is a page")
        require("content-security-policy" in page.headers, f"{path} has a content security policy")
    return f"{len(shared)} fields agree; 4 pages"


def scenario_refused_start(world: World) -> str:
    """A start with a wrong key, chain, record or gateway ends with a code and a sentence, and serves nothing."""
    wrong = {
        "a wrong key": {"STRIPE_API_KEY": "rk_test_nobodyKnowsThis"},
        "another chain": {"CHAIN_ID": "8453"},
        "no such record": {"SERVICE_CUSTOMER_ID": "cus_Nobody00000000"},
        "no gateway there": {"GATEWAY_ADDRESSES": world.chain.contracts.token},
        "a malformed setting": {"SWEEP_SECONDS": "soon"},
    }
    codes = {}
    for name, change in wrong.items():
        code, output = run_command({**world.settings, "PORT": "0", "METRICS_PORT": "0", **change}, "serve")
        require(code not in (0, -1, 4) and output.strip(), f"{name}: ended with {code}: {output}")
        require("Traceback" not in output, f"{name}: a sentence, not a traceback: {output}")
        codes[name] = code
    return "; ".join(f"{name}: {code}" for name, code in codes.items())
