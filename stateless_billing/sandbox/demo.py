"""Demonstrates one payment on a local chain, from wallet to credit.

Run as `python -m stateless_billing.sandbox.demo [--once]`. Prints each step with its time. With `--once` it exits after
the payment, and its last line is `tx=0x… credit=cbtxn_… before=<cents> after=<cents>`; otherwise it keeps running until
interrupted.
"""

import argparse
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from stateless_billing.sandbox import demo_wallet
from stateless_billing.sandbox.stack import Service, Stack

CENTS = 5000
CREDIT_SECONDS = 60
SLOTS = 5
FINAL_BLOCKS = 2 * SLOTS + 1  # anvil finalizes blocks this far below its head
WHOLE_SECOND = 1.5  # the audit covers Stripe's whole seconds only: the credit's must be over
SETTINGS = {"CONFIRMATIONS": "10000:2s,100000:safe,finalized"}


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="exit after the payment")
    once = parser.parse_args().once
    report = _create_reporter()
    report("compiling the contracts; starting a local chain and the stand-ins for Stripe and the price feed")
    with Stack.start(block_time=1, slots_in_an_epoch=SLOTS, settings=SETTINGS) as stack:
        report(f"chain {stack.chain.url}, gateway {stack.gateways[0]}, token {stack.token}")
        report(f"Stripe stand-in {stack.sandbox}, bookkeeping {stack.settings['SERVICE_CUSTOMER_ID']}")
        service = stack.serve()
        report(f"the service answers at {service.url}")
        paid = _pay(stack, service, report)
        _run_audit(stack, report)
        if not once:
            _keep_running(stack, service, paid["wallet"])
            return 0
    print(f"tx={paid['tx']} credit={paid['credit']} before={paid['before']} after={paid['after']}", flush=True)
    return 0


def _create_reporter() -> Callable[[str], None]:
    start = time.monotonic()

    def report(sentence: str) -> None:
        print(f"{time.monotonic() - start:6.1f} s  {sentence}", flush=True)

    return report


def _pay(stack: Stack, service: Service, report: Callable[[str], None]) -> dict[str, Any]:
    wallet = stack.chain.accounts[5]
    customer = stack.add_customer("payer@example.org", wallet)
    before = stack.balance(customer)
    report(f"customer {customer} has the wallet {wallet} and a credit of {before} cents")
    quote = _require_success(
        stack.http.post(f"{service.url}/api/quotes", json={"wallet": wallet, "cents": CENTS, "payer": stack.payer})
    )
    report(f"quote: {quote['cents']} cents for {quote['amount']} base units until {quote['deadline']}")
    tx_hash = ""
    for call in quote["calls"]:
        tx_hash = stack.chain.send(stack.payer, call["to"], call["data"])["transactionHash"]
        report(f"{call['label']}: {tx_hash}")
    payment = _wait_for_credit(stack, service, tx_hash, report)
    after = stack.balance(customer)
    report(f"credited: {payment['credit']}, the customer's credit is {after} cents")
    return {"wallet": wallet, "tx": tx_hash, "credit": payment["credit"], "before": before, "after": after}


def _run_audit(stack: Stack, report: Callable[[str], None]) -> None:
    stack.chain.mine(FINAL_BLOCKS)
    time.sleep(WHOLE_SECOND)
    report("the payment is final; the audit compares chain and Stripe:")
    done = stack.run("audit", "--deep", "--progress", "none")
    if done.returncode:
        raise RuntimeError(f"the audit is not clean:\n{done.stdout}{done.stderr}")
    print("".join(f"          {line}\n" for line in done.stdout.splitlines() if line), flush=True)


def _wait_for_credit(stack: Stack, service: Service, tx_hash: str, report: Callable[[str], None]) -> dict[str, Any]:
    end, last = time.monotonic() + CREDIT_SECONDS, ""
    while time.monotonic() < end:
        answer = _require_success(stack.http.post(f"{service.url}/api/payments", json={"tx_hash": tx_hash}))
        if answer["state"] != last:
            last = answer["state"]
            report(f"the payment is {last}")
        if last == "credited":
            payment: dict[str, Any] = answer["payments"][0]
            return payment
        time.sleep(min(answer["retry_after"] or 1, 1))
    raise TimeoutError(f"the payment was not credited within {CREDIT_SECONDS} s: {last}")


def _require_success(answer: Any) -> dict[str, Any]:
    assert answer.is_success, answer.text
    body: dict[str, Any] = answer.json()
    return body


def _keep_running(stack: Stack, service: Service, wallet: str) -> None:
    with demo_wallet.pages(service.url, stack.chain.url, stack.payer) as pages:
        _print_addresses(stack, service, f"{pages}/pay?wallet={wallet}&usd=50")
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        ended.wait()


def _print_addresses(stack: Stack, service: Service, page: str) -> None:
    print(
        f"\n  pay page      {page}"
        "\n                (includes a test wallet, so you can pay without installing one)"
        f"\n  admin pages   {service.url}/login (as admin@example.org; the mail is at {stack.sandbox}/_sandbox/mails)"
        f"\n  API           {service.url}/docs/api"
        f"\n  health        {service.url}/readyz"
        f"\n  chain         {stack.chain.url} (chain id {stack.chain.chain_id};"
        " its accounts are Foundry's well-known test accounts)"
        f"\n  stand-ins     {stack.sandbox}/_sandbox/state"
        "\n\nEverything keeps running. Press Ctrl-C to stop.",
        flush=True,
    )


if __name__ == "__main__":
    raise SystemExit(main())
