"""tools/deploy on a local chain, from a copy of the repository, and `doctor`'s check of its record."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stateless_billing import settings
from stateless_billing.doctor.checks import Check
from stateless_billing.doctor.examination import examine
from stateless_billing.runtime.clock import SystemClock
from stateless_billing.sandbox import processes
from stateless_billing.sandbox.localchain import ROOT, encode_call
from stateless_billing.sandbox.stack import Stack
from stateless_billing.services.container import Services

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
TOKEN = 10**18


@dataclass(frozen=True)
class Site:
    """A copy of the repository that deploys to the stack's chain."""

    folder: Path
    stack: Stack

    def deploy(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run tools/deploy."""
        return self.run("deploy", *arguments, **changes)

    def act(self, sender: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Send an owner's action from an unlocked account."""
        return self.run("owner", *arguments, BROADCAST="1", WALLET=f"--unlocked --sender {sender}")

    def run(self, tool: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run a tool."""
        stack = self.stack
        plan = {
            "RPC_URL": stack.chain.url,
            "CHAIN_ID": str(stack.chain.chain_id),
            "TOKEN": stack.token,
            "TREASURY": stack.treasury,
            "OWNER": stack.chain.accounts[0],
            "SIGNER": stack.chain.accounts[3],
            "MINIMUM_AMOUNT": str(TOKEN),
            "RATE_CEILING": "5000000",
            "WALLET": f"--unlocked --sender {stack.chain.accounts[8]}",
        }
        return processes.run(
            [self.folder / "tools" / tool, *arguments], env={**os.environ, **plan, **changes}, timeout=110
        )

    @property
    def record(self) -> Path:
        """The path of the deployment record."""
        return self.folder / "deployments" / f"{self.stack.chain.chain_id}.json"

    async def examined(self, *gateways: str) -> Check:
        """Return `doctor`'s check of these gateways' deployment."""
        environ = {**self.stack.settings, "GATEWAY_ADDRESSES": ",".join(gateways)}
        async with Services(settings.load(settings.SERVE, environ), SystemClock()) as services:
            checks = await examine(services, self.record.parent)
        return next(check for check in checks if check.name == "deployment")


@pytest.fixture
def site(stack: Stack, tmp_path: Path) -> Iterator[Site]:
    """Create a copy with forge's build output, to avoid recompiling, and a space in its path."""
    folder = tmp_path / "a clone"
    shutil.copytree(ROOT / "tools", folder / "tools")
    shutil.copytree(ROOT / "contracts", folder / "contracts", symlinks=True)
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    before = stack.chain.rpc("evm_snapshot")
    yield Site(folder, stack)
    stack.chain.rpc("evm_revert", before)


def address(printed: str) -> str:
    """Return the gateway named in forge's output."""
    match = re.search(r"(?:would be deployed, or is when sent:|is deployed already:) (0x[0-9a-fA-F]{40})", printed)
    assert match, printed
    return match[1]


async def test_a_dry_run_then_a_real_one_then_the_doctor(site: Site) -> None:
    chain = site.stack.chain
    dry = site.deploy()
    assert dry.returncode == 0, dry.stdout + dry.stderr
    assert "Nothing was sent" in dry.stdout
    gateway = address(dry.stdout)
    assert chain.rpc("eth_getCode", gateway, "latest") == "0x"
    assert not site.record.exists()
    assert (await site.examined(site.stack.gateways[0])).ok  # nothing to compare with

    real = site.deploy(BROADCAST="1")
    assert real.returncode == 0, real.stdout + real.stderr
    assert chain.rpc("eth_getCode", gateway, "latest") != "0x"
    recorded = json.loads(site.record.read_text())
    assert recorded["chain_id"] == chain.chain_id
    entry = recorded["gateways"][gateway]
    assert (entry["treasury"], entry["rate_ceiling"], entry["paused"]) == (site.stack.treasury, "5000000", False)
    assert (await site.examined(gateway)).ok

    again = site.deploy(BROADCAST="1")
    assert again.returncode == 0, again.stdout + again.stderr
    assert address(again.stdout) == gateway

    unknown = await site.examined(gateway, site.stack.gateways[0])
    assert not unknown.ok
    assert "is not in deployments/" in unknown.detail

    chain.send(chain.accounts[0], gateway, encode_call("pause()"))
    chain.send(chain.accounts[0], gateway, encode_call("setSigner(address)", chain.accounts[5]))
    changed = await site.examined(gateway)
    assert not changed.ok
    assert "paused is True, recorded is False" in changed.detail
    assert f"signer is {chain.accounts[5].lower()}" in changed.detail
    assert site.deploy("record", gateway).returncode == 0
    assert (await site.examined(gateway)).ok
    assert len(json.loads(site.record.read_text())["gateways"]) == 1

    second = site.deploy(BROADCAST="1", SALT="0x" + "00" * 31 + "01")
    assert second.returncode == 0, second.stdout + second.stderr
    assert len(json.loads(site.record.read_text())["gateways"]) == 2


def test_a_rejected_plan_sends_nothing(site: Site) -> None:
    chain = site.stack.chain
    nobody = "0x" + "99" * 20
    height = chain.height()
    for reason, changes in {
        "script failed: WrongChain": {"CHAIN_ID": "8453"},
        "script failed: NotAToken": {"TOKEN": nobody},
        "script failed: BadTreasury": {"TREASURY": site.stack.token},
    }.items():
        done = site.deploy(BROADCAST="1", **changes)
        assert done.returncode != 0
        assert reason in done.stdout + done.stderr
    assert chain.height() == height
    assert not site.record.exists()


async def test_the_owners_actions_are_printed_for_a_safe_and_sent_from_a_key(site: Site) -> None:
    chain, gateway = site.stack.chain, site.stack.gateways[0]
    owner, heir = chain.accounts[0], chain.accounts[7]
    dry = site.run("owner", "setSigner", gateway, heir)
    assert dry.returncode == 0, dry.stdout + dry.stderr
    assert f"data {encode_call('setSigner(address)', heir)}" in dry.stdout
    assert "Nothing was sent" in dry.stdout
    for sender, action in ((owner, ("transferOwnership", gateway, heir)), (heir, ("acceptOwnership", gateway))):
        done = site.act(sender, *action)
        assert done.returncode == 0, done.stdout + done.stderr
    assert chain.call(gateway, "owner()", returns="address") == heir.lower()
    corrected = site.act(heir, "correctCustomer", gateway, chain.accounts[9], "cus_Corrected1")
    assert corrected.returncode == 0, corrected.stdout + corrected.stderr
    customer = chain.call(gateway, "customerOf(address)", chain.accounts[9], returns="bytes32")
    assert customer.rstrip(b"\0") == b"cus_Corrected1"
    assert "script failed: Refused" in site.act(heir, "unpause", gateway).stderr  # it is not paused
    assert site.run("owner", "sell", gateway).returncode == 2
