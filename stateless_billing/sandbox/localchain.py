"""A local EVM chain: anvil from `node_modules`, with the contracts of `contracts/` on it.

    with LocalChain.start(slots_in_an_epoch=1) as chain:
        owner, payer, treasury, signer = chain.accounts[:4]
        token = chain.deploy_token()
        gateway = chain.deploy_gateway(token, treasury, owner, signer, minimum=10**18, ceiling=10**6)
        chain.mint(token, payer, 10**21)
        chain.send(payer, token, encode_call("approve(address,uint256)", gateway, 10**21))

How anvil tells time and finality:

- `safe` is `slots_in_an_epoch` blocks behind the head and `finalized` twice as many, by height alone; with 0 both are
  the head. They move only when blocks are mined, and `reorg` goes below them without complaint.
- A block's time is the machine's clock plus an offset, in whole seconds; blocks of one second share it. `timestamp`
  (the genesis') and `advance` change the offset, and time runs on from there.
- Without `block_time` each EVM transaction makes a block at once; with it, blocks come at that pace, empty or not.
  Fractions work (0.2: five blocks of each second carry the same time, as on Base).
- After a `reorg` anvil's clock may lag by a second.
"""

import fcntl
import json
import os
import re
import subprocess
import tempfile
import time
import weakref
from types import TracebackType
from typing import Any, Self

import httpx
from eth_abi.abi import decode, encode
from eth_abi.grammar import parse as parse_type
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from stateless_billing.sandbox import processes

ROOT = processes.ROOT
MNEMONIC = "test test test test test test test test test test test junk"  # anvil's own; every dev account is public
START_SECONDS = 30.0
RECEIPT_SECONDS = 30.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.01


class RpcError(Exception):
    """The node answered with an error; `data` holds revert data, if any."""

    def __init__(self, method: str, error: dict[str, Any]) -> None:
        super().__init__(f"{method}: {error.get('message')}")
        self.code: int = error["code"]
        self.data: Any = error.get("data")


class Reverted(Exception):
    """An EVM transaction was mined and failed; `reason` is what the same call says now."""

    def __init__(self, receipt: dict[str, Any], reason: str) -> None:
        super().__init__(f"{receipt['transactionHash']} reverted: {reason}")
        self.receipt = receipt


def build_contracts() -> None:
    """Compiles the contracts; takes no time when nothing changed."""
    forge = ROOT / "tools" / "forge"
    with forge.open() as alone:  # it rewrites its cache even then, and whoever reads that half written compiles anew
        fcntl.flock(alone, fcntl.LOCK_EX)
        processes.run([forge, "build", "--quiet"], stdout=None, stderr=None, check=True)


def dev_account(index: int) -> LocalAccount:
    """The key of `LocalChain.accounts[index]`, for whoever has to sign outside the node."""
    Account.enable_unaudited_hdwallet_features()
    account = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    assert isinstance(account, LocalAccount)
    return account


def encode_call(signature: str, *arguments: object) -> str:
    """Call data for a signature such as `mint(address,uint256)`."""
    types = [] if signature.endswith("()") else parse_type(signature[signature.index("(") :]).components
    return "0x" + (keccak(text=signature)[:4] + encode([t.to_type_str() for t in types], arguments)).hex()


class LocalChain:
    """A running anvil. Made by `start`; stopped by `stop` or by leaving the `with` block."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self.url = url
        # Proxies of the environment are not for a node on this machine.
        self._client = httpx.Client(trust_env=False, timeout=RECEIPT_SECONDS)
        weakref.finalize(self, self._client.close)
        self._artifacts: dict[str, dict[str, Any]] = {}
        self.chain_id = int(self.rpc("eth_chainId"), 16)
        self.accounts: list[str] = [to_checksum_address(account) for account in self.rpc("eth_accounts")]

    @classmethod
    def start(
        cls,
        *,
        chain_id: int = 31337,
        port: int = 0,
        timestamp: int | None = None,
        block_time: float | None = None,
        slots_in_an_epoch: int = 1,
        number: int | None = None,
    ) -> Self:
        """Starts anvil on 127.0.0.1 and waits until it answers. `port` 0 takes any free one.

        `timestamp` and `number` are those of the genesis block; `block_time` in seconds mines at that pace.
        """
        options = {
            "host": "127.0.0.1",
            "port": port,
            "chain-id": chain_id,
            "mnemonic": MNEMONIC,
            "slots-in-an-epoch": slots_in_an_epoch,
            "timestamp": timestamp,
            "block-time": block_time,
            "number": number,
        }
        command = [str(ROOT / "node_modules" / ".bin" / "anvil")]
        for name, value in options.items():
            if value is not None:
                command += [f"--{name}", str(value)]
        with tempfile.TemporaryFile() as log:
            # npm's launcher starts the real anvil as its child; both are stopped as one session.
            process = processes.start(command, stdout=log, stderr=subprocess.STDOUT)
            try:
                return cls(process, _listening_url(process, log.fileno()))
            except BaseException:
                processes.end(process, STOP_SECONDS)
                raise

    def stop(self) -> None:
        """Stops this anvil and nothing else."""
        self._client.close()
        processes.end(self.process, STOP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def rpc(self, method: str, *params: object) -> Any:
        """One JSON-RPC call's result."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self._client.post(self.url, json=request).raise_for_status().json()
        if "error" in answer:
            raise RpcError(method, answer["error"])
        return answer["result"]

    # Transactions

    def submit(self, sender: str, to: str | None, data: str = "0x", *, gas: int | None = None) -> str:
        """Sends from an unlocked account and returns the hash; it need not be mined yet, and may fail when it is."""
        call = {"from": sender, "data": data} | ({"to": to} if to else {}) | ({"gas": hex(gas)} if gas else {})
        tx_hash = self.rpc("eth_sendTransaction", call)
        assert isinstance(tx_hash, str)
        return tx_hash

    def receipt(self, tx_hash: str, *, seconds: float = RECEIPT_SECONDS) -> dict[str, Any]:
        """Waits for a receipt. Without interval mining too: anvil may answer before it has mined."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            receipt: dict[str, Any] | None = self.rpc("eth_getTransactionReceipt", tx_hash)
            if receipt is not None:
                return receipt
            time.sleep(POLL_SECONDS)
        raise TimeoutError(f"no receipt of {tx_hash} within {seconds} s")

    def send(self, sender: str, to: str | None, data: str = "0x", *, gas: int | None = None) -> dict[str, Any]:
        """Sends from an unlocked account and waits for the receipt; raises `Reverted` when it failed."""
        receipt = self.receipt(self.submit(sender, to, data, gas=gas))
        if int(receipt["status"], 16) != 1:
            raise Reverted(receipt, self._reason(sender, to, data))
        return receipt

    def call(self, to: str, signature: str, *arguments: object, returns: str) -> Any:
        """One value from a view, such as `call(token, "balanceOf(address)", holder, returns="uint256")`."""
        data = encode_call(signature, *arguments)
        return decode([returns], bytes.fromhex(self.rpc("eth_call", {"to": to, "data": data}, "latest")[2:]))[0]

    # Contracts

    def deploy(self, name: str, types: list[str], arguments: list[object], *, sender: str | None = None) -> str:
        """Deploys a contract of `contracts/src` with its constructor's arguments; returns its address."""
        data = self._artifact(name)["bytecode"]["object"] + encode(types, arguments).hex()
        return to_checksum_address(self.send(sender or self.accounts[0], None, data)["contractAddress"])

    def deploy_token(self) -> str:
        """Deploys a TestToken."""
        return self.deploy("TestToken", [], [])

    def deploy_gateway(self, token: str, treasury: str, owner: str, signer: str, minimum: int, ceiling: int) -> str:
        """Deploys a PaymentGateway; each call makes another one."""
        types = ["address", "address", "address", "address", "uint256", "uint256"]
        return self.deploy("PaymentGateway", types, [token, treasury, owner, signer, minimum, ceiling])

    def mint(self, token: str, to: str, amount: int) -> dict[str, Any]:
        """Mints TestTokens."""
        return self.send(self.accounts[0], token, encode_call("mint(address,uint256)", to, amount))

    def balance(self, token: str, holder: str) -> int:
        """A token balance in base units."""
        balance = self.call(token, "balanceOf(address)", holder, returns="uint256")
        assert isinstance(balance, int)
        return balance

    def _artifact(self, name: str) -> dict[str, Any]:
        if name not in self._artifacts:
            path = ROOT / "contracts" / "out" / f"{name}.sol" / f"{name}.json"
            self._artifacts[name] = json.loads(path.read_text())
        return self._artifacts[name]

    def _reason(self, sender: str, to: str | None, data: str) -> str:
        try:
            self.rpc("eth_call", {"from": sender, "data": data} | ({"to": to} if to else {}), "latest")
        except RpcError as error:
            return f"{error} {error.data or ''}".strip()
        return "unknown; the same call would succeed now"

    # Blocks and time

    def block(self, which: str | int = "latest") -> dict[str, Any]:
        """A block by number or tag; LookupError when there is none."""
        block = self.rpc("eth_getBlockByNumber", hex(which) if isinstance(which, int) else which, False)
        if block is None:
            raise LookupError(f"no block {which}")
        assert isinstance(block, dict)
        return block

    def height(self, tag: str = "latest") -> int:
        """The number of the block that a tag stands for."""
        return int(self.block(tag)["number"], 16)

    def mine(self, blocks: int = 1, *, interval: int = 0) -> None:
        """Mines blocks now, each `interval` seconds of the chain's clock after the one before."""
        self.rpc("anvil_mine", hex(blocks), *([hex(interval)] if interval else []))

    def advance(self, seconds: int) -> None:
        """Moves the chain's clock forward; the next block shows it."""
        self.rpc("evm_increaseTime", seconds)

    def reorg(self, depth: int) -> None:
        """Replaces the last `depth` blocks by as many empty ones; their EVM transactions are gone."""
        self.rpc("anvil_reorg", depth, [])


def _listening_url(process: subprocess.Popen[bytes], log: int) -> str:
    """Where anvil says it listens. Its own word also proves that the port was not somebody else's."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        said = os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")
        if found := re.search(r"Listening on (127\.0\.0\.1:\d+)", said):
            return f"http://{found[1]}"
        if process.poll() is not None:
            raise RuntimeError(f"anvil ended at once: {said.strip()[-500:]}")
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"anvil does not answer after {START_SECONDS} s")
