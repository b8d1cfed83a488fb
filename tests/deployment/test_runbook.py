"""docs/runbook.md, done: the first deployment word for word, with stand-ins for the world; a new Stripe key."""

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
    """A chain that goes on by itself, and a restricted key with the permissions that the page names."""
    with Stack.start(block_time=1) as running:
        for secret in (KEY, NEW_KEY):
            grant(running, secret, CUSTOMER_WRITE, BALANCE_WRITE)
        yield running


def grant(stack: Stack, secret: str, *permissions: str) -> None:
    """What somebody does in the Dashboard."""
    stack.control("POST", "api_keys", {"secret": secret, "permissions": list(permissions)})


@dataclass
class Operator:
    """Somebody with a folder and a shell. `facts` are what stands for the page's placeholders."""

    folder: Path
    facts: dict[str, str]

    def does(self, command: str) -> str:
        """Run a command as it stands on the page; what it printed."""
        for placeholder, fact in self.facts.items():
            command = command.replace(placeholder, fact)
        assert "…" not in command, f"nothing stands for a placeholder: {command}"
        done = processes.run(["sh", "-c", command], cwd=self.folder)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    @property
    def env(self) -> dict[str, str]:
        """What `.env` holds."""
        lines = (self.folder / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


def as_fly_does(operator: Operator, command: str, url: str) -> Service:
    """Start a process as a machine on Fly would, after `fly secrets import` and `fly deploy`: secrets win."""
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
    # Which world it is: the page's own is Base and the real Stripe.
    world = {
        name: stack.settings[name] for name in ("STRIPE_API_BASE", "CHAIN_ID", "PRICE_API_BASE", "RESEND_API_BASE")
    }
    running: list[Service] = []
    for command in FIRST:
        if command == "fly deploy":
            running = [as_fly_does(operator, FLY["processes"][group], url) for group in ("web", "sweep")]
        if only_of_that_form(command) or (command.startswith("curl ") and not shutil.which("curl")):
            continue
        if "explain" in command:
            operator.facts["0x…"] = pay(stack, running[0])
        told = operator.does(command)
        if command.startswith("cat > .env"):
            with (tmp_path / ".env").open("a") as file:
                file.writelines(f"{name}={value}\n" for name, value in world.items())
        if command.endswith("doctor"):
            assert {line.split()[0] for line in told.splitlines()} == {"ok", "note"}, told
    assert tomllib.loads((tmp_path / "fly.toml").read_text()) == FLY | {"app": "your-billing"}
    for service in running:
        assert "Traceback" not in service.log()
        service.stop()
    check_secrets(operator)
    if not shutil.which("curl"):
        pytest.skip("all of it was done but the looks with curl, which this machine does not have")


def only_of_that_form(command: str) -> bool:
    """Whether a command needs Fly, or installs what is there: then it must at least be one that exists."""
    program, _, rest = command.partition(" ")
    if program == "fly":
        assert runbook.is_flys(command), command
    if program == "make":
        assert re.search(rf"^{rest}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return program in ("fly", "make")


def check_secrets(operator: Operator) -> None:
    """What was imported: settings only, in the form that the import takes, and none that fly.toml sets otherwise."""
    assert set(operator.env) <= {one.name.upper() for one in fields(Settings)}
    assert not set(operator.env) & set(FLY["env"])
    assert all(re.fullmatch(r"[^\s'\"#]+", value) for value in operator.env.values())
    assert (operator.folder / ".env").stat().st_mode & 0o077 == 0


def pay(stack: Stack, web: Service) -> str:
    """A payment from the page, credited by the machine that sweeps, and final."""
    shop = Shop(stack)
    customer = shop.customer()
    tx_hash = shop.pay(web, customer, 500, deep=False)
    end = time.monotonic() + 60
    while not stack.credits(customer.id):
        assert time.monotonic() < end, web.log()
        time.sleep(0.3)
    stack.chain.mine(4, interval=1)
    return tx_hash


@pytest.mark.parametrize("command", runbook.for_fly())
def test_every_command_for_fly_has_the_form_of_one(command: str) -> None:
    assert runbook.is_flys(command)


def test_every_secret_has_its_rotation() -> None:
    told = runbook.section("Keys, without downtime")
    for setting in fields(Settings):
        if setting.metadata["secret"]:
            assert setting.name.upper() in told


def test_two_stripe_keys_never_write_at_once_and_pages_stay_up(stack: Stack) -> None:
    """The page's steps for the Stripe key, but for the ten minutes."""
    shop = Shop(stack)
    old = stack.serve(STRIPE_API_KEY=KEY, SWEEP="off", CONFIRMATIONS="10000:1s,finalized")
    customer = shop.customer()
    grant(stack, KEY, CUSTOMER_WRITE, BALANCE_READ)
    tx_hash = shop.pay(old, customer)  # quotes go on
    waiting = shop.claimed(old, tx_hash, "pending")
    assert waiting["payments"][0]["cause"] == "stripe_down"
    assert stack.http.get(f"{old.url}/pay?wallet={customer.wallet}&usd=5").is_success
    assert not stack.credits(customer.id)
    new = stack.serve(STRIPE_API_KEY=NEW_KEY, SWEEP="off", CONFIRMATIONS="10000:1s,finalized")
    shop.claimed(new, tx_hash)
    assert len(stack.credits(customer.id)) == 1
