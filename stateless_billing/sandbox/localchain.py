"""Runs a local EVM chain: anvil from `node_modules`, with the contracts of `contracts/`.

    with LocalChain.start(slots_in_an_epoch=1) as chain:
        owner, payer, treasury, signer = chain.accounts[:4]
        token = chain.deploy_token()
        gateway = chain.deploy_gateway(token, treasury, owner, signer, minimum=10**18, ceiling=10**6)
        chain.mint(token, payer, 10**21)
        chain.send(payer, token, encode_call("approve(address,uint256)", gateway, 10**21))

Time and finality in anvil:

- `safe` is `slots_in_an_epoch` blocks behind the head and `finalized` twice as many, by height alone; with 0 both are
  the head. They move only when blocks are mined, and `reorg` may go below them.
- A block's time is the machine's clock plus an offset, in whole seconds; blocks of one second share it. `timestamp`
  (of the genesis block) and `advance` change the offset, and time continues from there.
- Without `block_time` each EVM transaction makes a block at once; with it, blocks are mined at that pace, empty or not.
  Fractions work (0.2: five blocks of each second have the same time, as on Base).
- After a `reorg` anvil's clock may lag by a second.
"""

import fcntl
import functools
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
MNEMONIC = "test test test test test test test test test test test junk"  # anvil's default; its dev accounts are public
START_SECONDS = 30.0
RECEIPT_SECONDS = 30.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.01


class RpcError(Exception):
    """The node answered with an error; `data` holds the revert data, if any."""

    def __init__(self, method: str, error: dict[str, Any]) -> None:
        super().__init__(f"{method}: {error.get('message')}")
        self.code: int = error["code"]
        self.data: Any = error.get("data")


class Reverted(Exception):
    """An EVM transaction was mined and reverted; `reason` comes from repeating the call."""

    def __init__(self, receipt: dict[str, Any], reason: str) -> None:
        super().__init__(f"{receipt['transactionHash']} reverted: {reason}")
        self.receipt = receipt


@functools.cache
def build_contracts() -> None:
    """Compile the contracts, once in a process; fast if nothing changed."""
    forge = ROOT / "tools" / "forge"
    with forge.open() as alone:  # it always rewrites its cache, and a concurrent reader would recompile
        fcntl.flock(alone, fcntl.LOCK_EX)
        processes.run([forge, "build", "--quiet"], stdout=None, stderr=None, check=True)


def dev_account(index: int) -> LocalAccount:
    """Return the key of `LocalChain.accounts[index]`, for signing outside the node."""
    Account.enable_unaudited_hdwallet_features()
    account = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    assert isinstance(account, LocalAccount)
    return account


def encode_call(signature: str, *arguments: object) -> str:
    """Encode a call, such as of `mint(address,uint256)`."""
    types = [] if signature.endswith("()") else parse_type(signature[signature.index("(") :]).components
    return "0x" + (keccak(text=signature)[:4] + encode([t.to_type_str() for t in types], arguments)).hex()


class LocalChain:
    """A running anvil. Created by `start`; stopped by `stop` or by leaving the `with` block."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self.url = url
        # trust_env=False: the environment's proxies must not be used for a local node.
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
        """Start anvil on 127.0.0.1 and wait until it answers. Port 0 selects a free one.

        `timestamp` and `number` are those of the genesis block; `block_time` is the mining interval in seconds.
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
            # npm's launcher starts anvil as its child; both are stopped as one session.
            process = processes.start(command, stdout=log, stderr=subprocess.STDOUT)
            try:
                return cls(process, _listening_url(process, log.fileno()))
            except BaseException:
                processes.end(process, STOP_SECONDS)
                raise

    def stop(self) -> None:
        """Stop this anvil."""
        self._client.close()
        processes.end(self.process, STOP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def rpc(self, method: str, *params: object) -> Any:
        """Return the result of a JSON-RPC call."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self._client.post(self.url, json=request).raise_for_status().json()
        if "error" in answer:
            raise RpcError(method, answer["error"])
        return answer["result"]

    # Transactions

    def submit(self, sender: str, to: str | None, data: str = "0x", *, gas: int | None = None) -> str:
        """Send from an unlocked account and return the hash, without waiting for the receipt."""
        call = {"from": sender, "data": data} | ({"to": to} if to else {}) | ({"gas": hex(gas)} if gas else {})
        tx_hash = self.rpc("eth_sendTransaction", call)
        assert isinstance(tx_hash, str)
        return tx_hash

    def receipt(self, tx_hash: str, *, seconds: float = RECEIPT_SECONDS) -> dict[str, Any]:
        """Wait for a receipt; even without interval mining, anvil may answer before it has mined."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            receipt: dict[str, Any] | None = self.rpc("eth_getTransactionReceipt", tx_hash)
            if receipt is not None:
                return receipt
            time.sleep(POLL_SECONDS)
        raise TimeoutError(f"no receipt of {tx_hash} within {seconds} s")

    def send(self, sender: str, to: str | None, data: str = "0x", *, gas: int | None = None) -> dict[str, Any]:
        """Send from an unlocked account and wait for the receipt. Raises: `Reverted`."""
        receipt = self.receipt(self.submit(sender, to, data, gas=gas))
        if int(receipt["status"], 16) != 1:
            raise Reverted(receipt, self._reason(sender, to, data))
        return receipt

    def call(self, to: str, signature: str, *arguments: object, returns: str) -> Any:
        """Return one value from a view, such as `call(token, "balanceOf(address)", holder, returns="uint256")`."""
        data = encode_call(signature, *arguments)
        return decode([returns], bytes.fromhex(self.rpc("eth_call", {"to": to, "data": data}, "latest")[2:]))[0]

    # Contracts

    def deploy(self, name: str, types: list[str], arguments: list[object], *, sender: str | None = None) -> str:
        """Deploy a contract of `contracts/src` and return its address."""
        data = self._artifact(name)["bytecode"]["object"] + encode(types, arguments).hex()
        return to_checksum_address(self.send(sender or self.accounts[0], None, data)["contractAddress"])

    def deploy_token(self) -> str:
        """Deploy a TestToken."""
        return self.deploy("TestToken", [], [])

    def deploy_gateway(self, token: str, treasury: str, owner: str, signer: str, minimum: int, ceiling: int) -> str:
        """Deploy a new PaymentGateway."""
        types = ["address", "address", "address", "address", "uint256", "uint256"]
        return self.deploy("PaymentGateway", types, [token, treasury, owner, signer, minimum, ceiling])

    def mint(self, token: str, to: str, amount: int) -> dict[str, Any]:
        """Mint TestTokens."""
        return self.send(self.accounts[0], token, encode_call("mint(address,uint256)", to, amount))

    def balance(self, token: str, holder: str) -> int:
        """Return a token balance in base units."""
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
        """Return a block by number or tag. Raises: LookupError."""
        block = self.rpc("eth_getBlockByNumber", hex(which) if isinstance(which, int) else which, False)
        if block is None:
            raise LookupError(f"no block {which}")
        assert isinstance(block, dict)
        return block

    def height(self, tag: str = "latest") -> int:
        """Return the block number of a tag."""
        return int(self.block(tag)["number"], 16)

    def mine(self, blocks: int = 1, *, interval: int = 0) -> None:
        """Mine blocks now, spaced by `interval` seconds on the chain's clock."""
        self.rpc("anvil_mine", hex(blocks), *([hex(interval)] if interval else []))

    def advance(self, seconds: int) -> None:
        """Advance the chain's clock, effective with the next block."""
        self.rpc("evm_increaseTime", seconds)

    def reorg(self, depth: int) -> None:
        """Replace the last `depth` blocks with empty ones; their EVM transactions are lost."""
        self.rpc("anvil_reorg", depth, [])


def _listening_url(process: subprocess.Popen[bytes], log: int) -> str:
    """Return the address that anvil prints, which also proves that the port is its own."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        output = os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")
        if match := re.search(r"Listening on (127\.0\.0\.1:\d+)", output):
            return f"http://{match[1]}"
        if process.poll() is not None:
            raise RuntimeError(f"anvil ended at once: {output.strip()[-500:]}")
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"anvil does not answer after {START_SECONDS} s")
