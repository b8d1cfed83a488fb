"""An agent calls an API that answers 402 while the account has too little credit: it pays, waits, and goes on.

Environment: that of pay.py, and API, WALLET and MAX_CENTS.
"""

import os

import httpx
from pay import Refused, pay

WALLET = os.environ["WALLET"]  # our own account: never one that an answer names
MAX_CENTS = int(os.environ["MAX_CENTS"])  # what this agent may spend; an answer asks, we decide


def get(url: str) -> httpx.Response:
    """Get a resource, paying once if the API asks for that."""
    answer = httpx.get(url, timeout=30)
    if answer.status_code != httpx.codes.PAYMENT_REQUIRED:
        return answer
    cents = answer.json()["cents"]
    if not 0 < cents <= MAX_CENTS:
        raise Refused(f"the API asks for {cents} cents, and this agent may spend {MAX_CENTS}; no token moved")
    claim = pay(WALLET, cents)
    if claim["state"] != "credited":
        raise Refused(f"paid, and not credited yet: {claim['state']}; ask about {claim['tx_hash']} before paying again")
    return httpx.get(url, timeout=30)


if __name__ == "__main__":
    print(get(os.environ["API"]).raise_for_status().text)
