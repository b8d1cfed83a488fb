"""Recomputes the audit's totals without any code of the service: Python's standard library, a node, a Stripe key.

STRIPE_API_KEY=rk_… RPC_URLS=https://… GATEWAY_ADDRESSES=0x… python3 docs/audit/recompute.py
Reads every entry of every customer. Prints the totals as JSON; names each payment whose net is not its cents, and each
credit of kind `payment` without a payment, and exits with 1. What it cannot see it prints as well.
"""

import json
import os
import sys
import time
from collections import Counter, defaultdict
from fractions import Fraction
from urllib.parse import urlencode
from urllib.request import Request, urlopen

STRIPE = os.environ.get("STRIPE_API_BASE", "https://api.stripe.com")
HEADERS = {"authorization": "Bearer " + os.environ["STRIPE_API_KEY"], "stripe-version": "2026-10-28.endive"}
NODE = os.environ["RPC_URLS"].split(",")[0].strip()
UNSEEN = "NOT SEEN: forged grants and rates, credits without kind, whose credit it is, stray transfers"
PAYMENT = "0x8a15d709d8ba7b3da2946a4110feb3f70e8a0dd1e55a69caba618fd7270d74f6"  # keccak of the event's signature


def rpc(method, *params):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    return json.load(urlopen(Request(NODE, body, {"content-type": "application/json"}), timeout=60))["result"]


def words(raw):
    return [int(raw[i : i + 64], 16) for i in range(2, len(raw), 64)]


def listed(path, **params):
    while True:
        time.sleep(0.05)  # below Stripe's 25 requests a second
        url = f"{STRIPE}{path}?{urlencode({'limit': 100, **params})}"
        page = json.load(urlopen(Request(url, headers=HEADERS), timeout=60))
        yield from page["data"]
        if not page["has_more"]:
            return
        params["starting_after"] = page["data"][-1]["id"]


chain_id, final = int(rpc("eth_chainId"), 16), int(rpc("eth_getBlockByNumber", "finalized", False)["number"], 16)
carried, nets = defaultdict(list), Counter()  # identity → credits; id of a credit → its net
for customer in listed("/v1/customers"):
    rows = [one for one in listed(f"/v1/customers/{customer['id']}/balance_transactions") if one["currency"] == "usd"]
    undone = {one["id"]: one["metadata"]["reverses"] for one in rows if "reverses" in one["metadata"]}
    for row in rows:
        root = row["id"]
        while root in undone:
            root = undone[root]
        nets[root] -= row["amount"]  # Stripe counts a credit as negative
        if row["metadata"].get("kind") == "payment":
            carried[row["metadata"].get("payment", "").lower()].append(row)
payments, expected, newer = {}, {}, {}  # (block, amount, promised cents), read last to hold the newest; cents due
for gateway in (one.strip().lower() for one in os.environ["GATEWAY_ADDRESSES"].split(",")):
    total, index = words(rpc("eth_call", {"to": gateway, "data": "0x005b4487"}, "latest"))[0], []
    for start in range(0, total, 500):
        asked = {"to": gateway, "data": f"0xf0e81aba{start:064x}{min(start + 500, total):064x}"}
        index += words(rpc("eth_call", asked, "latest"))[2:]
    for number, count in Counter(index).items():
        within = rpc("eth_getBlockByNumber", hex(number), False)["hash"]
        logs = rpc("eth_getLogs", {"blockHash": within, "address": gateway, "topics": [PAYMENT]})
        assert len(logs) == count, f"block {number} shows {len(logs)} payments, the contract counts {count}"
        ordinals = Counter()
        for log in logs:
            tx_hash = log["transactionHash"]
            payments[f"{chain_id}:{gateway}:{tx_hash}:{ordinals[tx_hash]}"] = number, *words(log["data"])[1:]
            ordinals[tx_hash] += 1
for name, (number, amount, cents) in payments.items():
    told = carried[name][-1]["metadata"] if carried[name] else {}
    rate = Fraction(told.get("rate", 0)) / (10_000 - int(told.get("discount_bps", 0)))
    (expected if number <= final else newer)[name] = cents or int(amount * rate * 100 * 10_000 / 10**18)
net = {name: sum(nets[row["id"]] for row in rows) for name, rows in carried.items() if name not in newer}
totals = {"payments_read": len(expected), "paid_raw": str(sum(payments[name][1] for name in expected))}
print(json.dumps(totals | {"expected_cents": sum(expected.values()), "credited_cents": sum(net.values())}))
wrong = {name: cents for name, cents in net.items() if cents != expected.get(name, 0)}
print(*wrong.items(), UNSEEN, sep="\n", file=sys.stderr)
sys.exit(bool(wrong))
