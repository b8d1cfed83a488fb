"""The stand-ins start as a program."""

import subprocess
import sys

import httpx

from stateless_billing.sandbox import processes


def test_it_prints_its_address_and_serves_there() -> None:
    command = [
        sys.executable,
        "-m",
        "stateless_billing.sandbox",
        "--port",
        "0",
        "--key",
        "sk_test_mine",
        "--price",
        "0.007",
    ]
    process = processes.start(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    name, base = process.stdout.readline().split()
    assert name == "sandbox"
    headers = {"Authorization": "Bearer sk_test_mine", "Stripe-Version": "2026-10-28.endive"}
    assert httpx.get(f"{base}/v1/customers", headers=headers).status_code == 200
    price = httpx.get(f"{base}/api/v3/simple/price?ids=lit-protocol&vs_currencies=usd").json()
    assert price == {"lit-protocol": {"usd": 0.007}}
    process.terminate()
    assert process.wait(10) is not None
