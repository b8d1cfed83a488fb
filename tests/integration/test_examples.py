"""The examples of `docs/integrating.md` pay on a local chain, and the document shows them as they are."""

import json
import os
import re
import runpy
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stateless_billing.crediting.payment_status import STATES
from stateless_billing.crediting.webhook import sign_body
from stateless_billing.sandbox import processes
from stateless_billing.sandbox.localchain import ROOT, dev_account
from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.shop import Customer, Shop

EXAMPLES = ROOT / "examples"
DOCUMENT = (ROOT / "docs" / "integrating.md").read_text()
ABI = ROOT / "chain" / "abi" / "PaymentGateway.json"
MISSING = [program for program in ("curl", "jq") if not shutil.which(program)]
[CAST] = (ROOT / "node_modules" / "@foundry-rs").glob("cast-*/bin")
STRIP = """
const source = require("fs").readFileSync(process.argv[1], "utf8");
console.log(require("amaro").transformSync(source, { mode: "strip-only" }).code);
"""  # as Node does from 22.18 on
CENTS = 2500
NEEDED = 5000


@pytest.fixture
def mining(stack: Stack) -> Iterator[None]:
    """Make a block a second, as a payer's chain does."""
    stack.chain.rpc("evm_setIntervalMining", 1)
    yield
    stack.chain.rpc("evm_setIntervalMining", 0)


def run(
    command: list[str], stack: Stack, service: Service, wallet: str, *, cwd: Path = ROOT, **more: str
) -> tuple[int, str]:
    """Run an example; its exit code and everything it printed."""
    settings = {
        "SERVICE": service.url,
        "RPC_URL": stack.chain.url,
        "PAYER_KEY": "0x" + dev_account(2).key.hex(),
        "WALLET": wallet,
        "CENTS": str(CENTS),
        "PATH": f"{CAST}:{os.environ['PATH']}",
        "HOME": str(cwd),
        "no_proxy": "127.0.0.1",
    }
    done = processes.run(command, cwd=cwd, env={**settings, **more}, timeout=90)
    return done.returncode, done.stdout + done.stderr


def credited(stack: Stack, customer: Customer) -> list[int]:
    """Return the cents of the customer's credits, newest first."""
    return [-row["amount"] for row in stack.credits(customer.id)]


@pytest.mark.usefixtures("mining")
def test_python(shop: Shop, stack: Stack, service: Service) -> None:
    customer = shop.customer()
    for _ in ("registers", "is registered"):
        code, printed = run([sys.executable, "examples/python/pay.py"], stack, service, customer.wallet)
        assert (code, printed.split()[0]) == (0, "credited"), printed
    assert credited(stack, customer) == [CENTS, CENTS]
    code, printed = run([sys.executable, "examples/python/pay.py"], stack, service, "0x" + "12" * 20)
    assert code == 1
    assert "/problems/unknown_wallet: No account has this wallet. Nothing was sent" in printed


@pytest.mark.usefixtures("mining")
def test_typescript(shop: Shop, stack: Stack, service: Service, tmp_path: Path) -> None:
    stripped = processes.run(["node", "-e", STRIP, str(EXAMPLES / "typescript" / "pay.ts")], cwd=ROOT)
    assert stripped.returncode == 0, stripped.stderr
    (tmp_path / "pay.mjs").write_text(stripped.stdout)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    customer = shop.customer()
    sent = int(stack.chain.rpc("eth_getTransactionCount", stack.payer, "latest"), 16)
    for _ in ("registers", "is registered"):
        code, printed = run(["node", "pay.mjs"], stack, service, customer.wallet, cwd=tmp_path)
        assert (code, printed.split()[0]) == (0, "credited"), printed
    assert int(stack.chain.rpc("eth_getTransactionCount", stack.payer, "latest"), 16) == sent + 2, "no approvals"
    assert credited(stack, customer) == [CENTS, CENTS]


@pytest.mark.skipif(bool(MISSING), reason=f"pay.sh needs {' and '.join(MISSING)}, which this machine does not have")
@pytest.mark.usefixtures("mining")
def test_shell(shop: Shop, stack: Stack, service: Service, tmp_path: Path) -> None:
    customer = shop.customer()
    command = ["bash", str(EXAMPLES / "shell" / "pay.sh")]
    code, printed = run(command, stack, service, customer.wallet, cwd=tmp_path)
    assert (code, printed.split()[0]) == (0, "credited"), printed
    assert credited(stack, customer) == [CENTS]
    code, printed = run(command, stack, service, "0x" + "12" * 20, cwd=tmp_path)
    assert (code, printed.split(": ")[0]) == (1, "/problems/unknown_wallet")


class Api(ThreadingHTTPServer):
    """Somebody's API: it answers 402 while the account has less than NEEDED cents of credit."""

    def __init__(self, stack: Stack, customer: Customer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stack = stack
        self.customer = customer


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Api)
        lacking = NEEDED - self.server.stack.balance(self.server.customer.id)
        body = {"cents": lacking} if lacking > 0 else {"forecast": "sun"}
        self.send_response(402 if lacking > 0 else 200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        """Log nothing."""


@contextmanager
def started(api: Api) -> Iterator[str]:
    """Serve the API for the duration of the block; its address."""
    thread = threading.Thread(target=api.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{api.server_address[1]}/forecast"
    api.shutdown()
    api.server_close()
    thread.join()


@pytest.mark.usefixtures("mining")
def test_an_agent_pays_what_a_402_asks_and_goes_on(shop: Shop, stack: Stack, service: Service) -> None:
    customer = shop.customer()
    command = [sys.executable, "examples/python/agent.py"]
    with started(Api(stack, customer)) as address:
        code, printed = run(command, stack, service, customer.wallet, API=address, MAX_CENTS="100")
        assert (code, "may spend 100; no token moved" in printed) == (1, True), printed
        assert credited(stack, customer) == []
        code, printed = run(command, stack, service, customer.wallet, API=address, MAX_CENTS="6000")
        assert (code, json.loads(printed)) == (0, {"forecast": "sun"}), printed
    assert credited(stack, customer) == [NEEDED]


def test_the_webhooks_check_accepts_ours_and_nothing_else() -> None:
    is_authentic = runpy.run_path(str(EXAMPLES / "python" / "webhook.py"))["is_authentic"]
    body = b'{"customer_id":"cus_1","cents":5000}'
    header = sign_body("secret", 1_000_000, body)
    assert is_authentic("secret", header, body, 1_000_010)
    for secret, sent, content, now in [
        ("other", header, body, 1_000_010),
        ("secret", header, body + b" ", 1_000_010),
        ("secret", header.replace("t=1", "t=2"), body, 2_000_000),
        ("secret", header, body, 1_000_301),
        ("secret", header.upper(), body, 1_000_010),
        ("secret", "", body, 1_000_010),
        ("secret", header + ",v1=" + "0" * 64, body, 1_000_010),
    ]:
        assert not is_authentic(secret, sent, content, now)


def shown(document: str) -> Mapping[str, str]:
    """Return the code that follows each example's name."""
    pieces = re.split(r"`(examples/[\w/.]+)`", document)
    blocks = {name: re.search(r"\n```\w+\n(.*?)```\n", text, re.DOTALL) for name, text in batched(pieces[1:])}
    return {name: block[1] for name, block in blocks.items() if block}


def batched(pieces: list[str]) -> Iterator[tuple[str, str]]:
    """Pair each name with the text behind it."""
    return zip(pieces[::2], pieces[1::2], strict=True)


def test_the_document_shows_the_examples_as_they_are() -> None:
    files = {path.relative_to(ROOT).as_posix() for path in EXAMPLES.rglob("*.*") if path.is_file()}
    listed = shown(DOCUMENT)
    assert {name for name in files if "__pycache__" not in name} == set(listed)
    for name, code in listed.items():
        assert code == (ROOT / name).read_text(), name


def test_the_document_names_every_state_and_what_the_contract_signs() -> None:
    table = DOCUMENT.partition("## What ends a polling loop")[2].partition("## Python")[0]
    assert set(STATES) == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) & set(STATES)
    contract = (ROOT / "contracts" / "src" / "PaymentGateway.sol").read_text()
    for signed in re.findall(r'keccak256\("(\w+\([\w ,]+\))"\)', contract):
        assert f"`{signed}`" in DOCUMENT
    for name in ("payQuoted", "register", "permit", "multicall", "pay"):
        [function] = [entry for entry in json.loads(ABI.read_text()) if entry.get("name") == name]
        arguments = [argument["name"] for argument in function["inputs"]]
        assert f"`{name}({', '.join(arguments)})`" in DOCUMENT
