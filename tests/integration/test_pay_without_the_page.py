"""Runs the commands of `docs/pay-without-the-page.md` verbatim."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.localchain import ROOT, dev_account
from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.shop import Shop

PAGE = ROOT / "docs" / "pay-without-the-page.md"
MISSING = [program for program in ("curl", "jq") if not shutil.which(program)]
[CAST] = (ROOT / "node_modules" / "@foundry-rs").glob("cast-*/bin")  # npm installs the one for this machine


def commands() -> str:
    """Return all commands of the page in order."""
    return "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL))


@pytest.mark.skipif(bool(MISSING), reason=f"the page needs {' and '.join(MISSING)}, which this machine does not have")
def test_the_documented_commands_pay(shop: Shop, stack: Stack, service: Service, tmp_path: Path) -> None:
    customer = shop.customer()
    stack.chain.rpc("evm_setIntervalMining", 1)
    try:
        done = processes.run(
            ["bash", "-euo", "pipefail", "-c", commands()],
            cwd=tmp_path,
            env={
                "PATH": f"{CAST}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "SERVICE": service.url,
                "RPC_URL": stack.chain.url,
                "WALLET": customer.wallet,
                "PAYER_KEY": dev_account(2).key.hex(),
                "no_proxy": "127.0.0.1",
            },
            timeout=90,
        )
    finally:
        stack.chain.rpc("evm_setIntervalMining", 0)
    assert done.returncode == 0, done.stdout + done.stderr
    paid = json.loads((tmp_path / "paid.json").read_text())["transactionHash"]
    shop.finalize()
    shop.claimed(service, paid)
    assert [-row["amount"] for row in stack.credits(customer.id)] == [3000, 2500]
