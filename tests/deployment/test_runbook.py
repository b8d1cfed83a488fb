"""Executes docs/runbook.md against stand-ins: the first deployment verbatim, and a new Stripe key."""

import re
import shutil
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from stateless_billing.sandbox import processes
from stateless_billing.sandbox.api_keys import BALANCE_READ, BALANCE_WRITE, CUSTOMER_WRITE
from stateless_billing.sandbox.localchain import ROOT
from stateless_billing.sandbox.stack import Service, Stack, free_port
from stateless_billing.settings import Settings
from tests.deployment import runbook
from tests.integration.shop import Shop

pytestmark = pytest.mark.timeout(300)
FLY = tomllib.loads((ROOT / "fly.toml").read_text())
KEY, NEW_KEY = "rk_test_of_the_operator", "rk_test_of_the_operator_too"
FIRST = runbook.commands(runbook.section("First deployment"))
LINKED = (".venv", "node_modules", "app.py", "chain", "deployments", "requirements.txt", "stateless_billing", "static")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Run a chain that mines by itself, and a restricted key with the permissions that the page names."""
    with Stack.start(block_time=1) as running:
        for secret in (KEY, NEW_KEY):
            grant(running, secret, CUSTOMER_WRITE, BALANCE_WRITE)
        yield running


def grant(stack: Stack, secret: str, *permissions: str) -> None:
    """Set a key's permissions, as in the Dashboard."""
    stack.control("POST", "api_keys", {"secret": secret, "permissions": list(permissions)})


@dataclass
class Operator:
    """An operator with a folder and a shell. `facts` replace the page's placeholders."""

    folder: Path
    facts: dict[str, str]

    def run(self, command: str) -> str:
        """Run a command of the page and return its output."""
        for placeholder, fact in self.facts.items():
            command = command.replace(placeholder, fact)
        assert "…" not in command, f"nothing stands for a placeholder: {command}"
        done = processes.run(["sh", "-c", command], cwd=self.folder)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    @property
    def env(self) -> dict[str, str]:
        """The variables in `.env`."""
        lines = (self.folder / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


def start_as_fly(operator: Operator, command: str, url: str) -> Service:
    """Start a process as Fly does after `fly secrets import` and `fly deploy`; secrets take precedence."""
    place = {"HOST": "127.0.0.1", "PORT": url.rsplit(":")[-1], "METRICS_PORT": str(free_port())}
    words = command.split()[3:]
    return Service(words, {**FLY["env"], **operator.env, **place}, url if words == ["serve"] else None)


def test_the_first_deployment_word_for_word(stack: Stack, tmp_path: Path) -> None:
    for name in LINKED:
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "fly.toml").write_text((ROOT / "fly.toml").read_text())
    url = f"http://127.0.0.1:{free_port()}"
    signer = stack.settings["SIGNER_KEY"]
    operator = Operator(
        tmp_path,
        {
            "rk_live_…": KEY,
            "https://…,https://…": f"{stack.chain.url},{stack.chain.url.replace('127.0.0.1', 'localhost')}",
            "GATEWAY_ADDRESSES=0x…": f"GATEWAY_ADDRESSES={stack.gateways[0]}",
            "SIGNER_KEY=0x…": f"SIGNER_KEY={signer if signer.startswith('0x') else '0x' + signer}",
            "re_…": "re_sandbox",
            "CG-…": "CG-sandbox",
            "https://pay.example.org": url,
        },
    )
    # The page uses Base and Stripe itself; point the service at the stand-ins.
    world = {
        name: stack.settings[name] for name in ("STRIPE_API_BASE", "CHAIN_ID", "PRICE_API_BASE", "RESEND_API_BASE")
    }
    running: list[Service] = []
    for command in FIRST:
        if command == "fly deploy":
            running = [start_as_fly(operator, FLY["processes"][group], url) for group in ("web", "sweep")]
        if only_check_form(command) or (command.startswith("curl ") and not shutil.which("curl")):
            continue
        if "explain" in command:
            operator.facts["0x…"] = pay(stack, running[0])
        output = operator.run(command)
        if command.startswith("cat > .env"):
            with (tmp_path / ".env").open("a") as file:
                file.writelines(f"{name}={value}\n" for name, value in world.items())
        if command.endswith("doctor"):
            assert {line.split()[0] for line in output.splitlines()} == {"ok", "note"}, output
    assert tomllib.loads((tmp_path / "fly.toml").read_text()) == FLY | {"app": "your-billing"}
    for service in running:
        assert "Traceback" not in service.log()
        service.stop()
    check_secrets(operator)
    if not shutil.which("curl"):
        pytest.skip("everything ran except the checks with curl, which this machine does not have")


def only_check_form(command: str) -> bool:
    """Whether a command cannot run here (Fly, installation); if so, check that it exists."""
    program, _, rest = command.partition(" ")
    if program == "fly":
        assert runbook.is_valid_fly_command(command), command
    if program == "make":
        assert re.search(rf"^{rest}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return program in ("fly", "make")


def check_secrets(operator: Operator) -> None:
    """Check the imported secrets: only settings, in the import's format, and none that fly.toml also sets."""
    assert set(operator.env) <= {field.name.upper() for field in fields(Settings)}
    assert not set(operator.env) & set(FLY["env"])
    assert all(re.fullmatch(r"[^\s'\"#]+", value) for value in operator.env.values())
    assert (operator.folder / ".env").stat().st_mode & 0o077 == 0


def pay(stack: Stack, web: Service) -> str:
    """Pay from the page, wait for the sweep to credit it, and make it final."""
    shop = Shop(stack)
    customer = shop.customer()
    tx_hash = shop.pay(web, customer, 500, deep=False)
    end = time.monotonic() + 60
    while not stack.credits(customer.id):
        assert time.monotonic() < end, web.log()
        time.sleep(0.3)
    stack.chain.mine(4, interval=1)
    return tx_hash


@pytest.mark.parametrize("command", runbook.fly_commands())
def test_every_command_for_fly_is_valid(command: str) -> None:
    assert runbook.is_valid_fly_command(command)


def test_every_secret_has_a_rotation() -> None:
    rotations = runbook.section("Keys, without downtime")
    for setting in fields(Settings):
        if setting.metadata["secret"]:
            assert setting.name.upper() in rotations


def test_two_stripe_keys_never_write_at_once_and_pages_stay_up(stack: Stack) -> None:
    """Follow the page's steps for the Stripe key, without the ten minutes."""
    shop = Shop(stack)
    old = stack.serve(STRIPE_API_KEY=KEY, SWEEP="off", CONFIRMATIONS="10000:1s,finalized")
    customer = shop.customer()
    grant(stack, KEY, CUSTOMER_WRITE, BALANCE_READ)
    tx_hash = shop.pay(old, customer)  # quotes keep working
    waiting = shop.claimed(old, tx_hash, "pending")
    assert waiting["payments"][0]["cause"] == "stripe_down"
    assert stack.http.get(f"{old.url}/pay?wallet={customer.wallet}&usd=5").is_success
    assert not stack.credits(customer.id)
    new = stack.serve(STRIPE_API_KEY=NEW_KEY, SWEEP="off", CONFIRMATIONS="10000:1s,finalized")
    shop.claimed(new, tx_hash)
    assert len(stack.credits(customer.id)) == 1
