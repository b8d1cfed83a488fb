"""Pays for an account from a private key, and waits for the credit. Needs web3 and httpx.

Environment: SERVICE, RPC_URL, PAYER_KEY, and for the command line WALLET and CENTS.
"""

import os
import time
from typing import Any

import httpx
from eth_account import Account
from eth_account.messages import encode_typed_data
from web3 import Web3

PATIENCE = 600  # seconds; a payment that is credited later needs nobody to wait for it
TYPES = {
    "Quote": [
        {"name": "wallet", "type": "address"},
        {"name": "sequence", "type": "uint256"},
        {"name": "amount", "type": "uint256"},
        {"name": "cents", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ],
    "Registration": [
        {"name": "wallet", "type": "address"},
        {"name": "customerId", "type": "bytes32"},
        {"name": "deadline", "type": "uint256"},
    ],
}
ALLOWANCE = [
    {
        "name": "allowance",
        "type": "function",
        "stateMutability": "view",
        "inputs": [{"name": "owner", "type": "address"}, {"name": "spender", "type": "address"}],
        "outputs": [{"name": "", "type": "uint256"}],
    }
]

api = httpx.Client(base_url=os.environ["SERVICE"], timeout=30, headers={"accept": "application/json"})
web3 = Web3(Web3.HTTPProvider(os.environ["RPC_URL"]))
payer = web3.eth.account.from_key(os.environ["PAYER_KEY"])


class Refused(Exception):
    """The service refused. Its `type` is for programs, its `detail` says what to do."""


def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Post JSON, which is safe to repeat. Waits where the service asks for that; raises Refused for other problems."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            answer = api.post(path, json=body)
        except httpx.TransportError:
            if time.monotonic() > end:
                raise
            time.sleep(5)
            continue
        if answer.is_success:
            return answer.json()
        if answer.status_code not in (429, 502, 503, 504) or time.monotonic() > end:
            problem = answer.json()
            raise Refused(f"{problem['type']}: {problem['detail']}")
        time.sleep(int(answer.headers.get("retry-after", "5")))


def verify(quote: dict[str, Any]) -> None:
    """Check that the gateway's signer signed quote and registration. The contract does; this spends no gas."""
    abi = api.get("/abi.json").json()
    signer = web3.eth.contract(quote["gateway"], abi=abi).functions.signer().call()
    names = [field["name"] for field in TYPES["Quote"]]
    signed = {"Quote": {name: quote[name] for name in names} | {"amount": int(quote["amount"])}}
    signatures = {"Quote": quote["signature"]}
    if registration := quote["registration"]:
        customer_id = registration["customer_id"].encode().ljust(32, b"\0")
        terms = {"wallet": quote["wallet"], "customerId": customer_id, "deadline": registration["deadline"]}
        signed["Registration"], signatures["Registration"] = terms, registration["signature"]
    domain = {
        "name": "PaymentGateway",
        "version": "1",
        "chainId": quote["chain_id"],
        "verifyingContract": quote["gateway"],
    }
    for name, message in signed.items():
        typed = encode_typed_data(domain, {name: TYPES[name]}, message)
        if Account.recover_message(typed, signature=signatures[name]) != signer:
            raise Refused(f"the {name.lower()} is not signed by the gateway's signer; nothing was sent")


def send(call: dict[str, str]) -> str:
    """Send one call of a quote and wait until it is mined."""
    fields = {"from": payer.address, "to": call["to"], "data": call["data"], "value": 0}
    gas = web3.eth.estimate_gas(fields)  # reverts here, before anything is sent, if the contract would refuse
    nonce = web3.eth.get_transaction_count(payer.address, "pending")
    tip = web3.eth.max_priority_fee
    most = 2 * web3.eth.get_block("latest")["baseFeePerGas"] + tip
    fees = {"maxFeePerGas": most, "maxPriorityFeePerGas": tip}
    signed = payer.sign_transaction({**fields, **fees, "gas": gas, "nonce": nonce, "chainId": web3.eth.chain_id})
    receipt = web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(signed.raw_transaction))
    if receipt["status"] != 1:
        raise Refused(f"{call['label']}: reverted, no token moved")
    return Web3.to_hex(receipt["transactionHash"])


def wait_for_allowance(quote: dict[str, Any]) -> None:
    """Wait until the node that estimates the payment sees the approval: another may have mined it."""
    token = web3.eth.contract(quote["token"], abi=ALLOWANCE)
    while token.functions.allowance(payer.address, quote["gateway"]).call() < int(quote["amount"]):
        if time.time() > quote["deadline"]:
            raise Refused("the quote ended before the approval was seen; no token moved")
        time.sleep(0.5)


def wait_for_credit(tx_hash: str) -> dict[str, Any]:
    """Claim until nothing will change soon: the answer's `state` is the outcome."""
    end = time.monotonic() + PATIENCE
    while True:
        claim = post("/api/payments", {"tx_hash": tx_hash})
        if claim["retry_after"] is None or claim["state"] == "held" or time.monotonic() > end:
            return claim
        time.sleep(min(max(claim["retry_after"], 1), 60))


def pay(wallet: str, cents: int) -> dict[str, Any]:
    """Pay `cents` for the account of `wallet`; returns the claim."""
    quote = post("/api/quotes", {"wallet": wallet, "cents": cents, "payer": payer.address})
    verify(quote)
    *approvals, payment = quote["calls"]
    for approval in approvals:
        send(approval)
    wait_for_allowance(quote)
    return wait_for_credit(send(payment))


if __name__ == "__main__":
    claim = pay(os.environ["WALLET"], int(os.environ["CENTS"]))
    print(claim["state"], claim["payments"][0]["credit"])
    raise SystemExit(0 if claim["state"] == "credited" else 1)
