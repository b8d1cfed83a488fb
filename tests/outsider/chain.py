"""A chain of the kit's own: starts anvil, deploys the contracts and pays, by JSON-RPC alone."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from eth_abi.abi import decode, encode
from eth_account import Account as KeyPair
from eth_account.signers.local import LocalAccount
from eth_typing import HexStr
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from tests.outsider import children
from tests.outsider.network import free_port

ROOT = Path(__file__).parents[2]
ANVIL = ROOT / "node_modules" / ".bin" / "anvil"
CHAIN_ID = 31337
SLOTS = 4  # `safe` is so many blocks of a second behind the head, `finalized` twice as many
OPTIONS = ("--host", "127.0.0.1", "--block-time", "1", "--slots-in-an-epoch", str(SLOTS), "--silent")
WHOLE = 10**18
MINIMUM, CEILING = 80 * WHOLE, 4_000_000
MINT, APPROVE = "mint(address,uint256)", "approve(address,uint256)"
PAY, PAY_QUOTED = "pay(address,uint256)", "payQuoted(address,uint256,uint256,uint256,bytes)"
REGISTER = "register(address,bytes32,uint256,bytes)"


class Reverted(Exception):
    """An EVM transaction that the contract refused."""


def selector(signature: str) -> bytes:
    """Return a function's selector."""
    return keccak(text=signature)[:4]


def types_of(signature: str) -> list[str]:
    """Return the types of a function's parameters."""
    inner = signature[signature.index("(") + 1 : -1]
    return inner.split(",") if inner else []


def call_data(signature: str, *arguments: Any) -> str:
    """Encode a call."""
    return "0x" + (selector(signature) + encode(types_of(signature), arguments)).hex()


@dataclass(frozen=True)
class Contracts:
    """Addresses of what was deployed."""

    token: str
    gateway: str
    treasury: str


class Chain:
    """A node on this machine, which mines every second."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._client = httpx.Client(timeout=30)
        self.owner, self.signer = KeyPair.create(), KeyPair.create()
        environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
        log = children.directory_of_logs() / "anvil.log"
        self._anvil = children.Child(
            [str(ANVIL), *OPTIONS, "--port", str(self.port), "--chain-id", str(CHAIN_ID)], log, environment, ROOT
        )
        self._wait()
        self.funder: str = self.rpc("eth_accounts")[0]
        self.contracts = self._deploy()

    def end(self) -> None:
        """End the node."""
        self._anvil.kill()

    def rpc(self, method: str, *params: Any) -> Any:
        """Ask the node. Raises: Reverted for its refusal."""
        answer = self._client.post(
            self.url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        ).json()
        if "error" in answer:
            raise Reverted(f"{method}: {answer['error']}")
        return answer["result"]

    def read(self, to: str, signature: str, returns: str, *arguments: Any) -> Any:
        """Call a view."""
        raw = self.rpc("eth_call", {"to": to, "data": call_data(signature, *arguments)}, "latest")
        return decode([returns], bytes.fromhex(raw[2:]))[0]

    def create_account(self, tokens: int = 0) -> LocalAccount:
        """Return a new key with ether for gas and `tokens` whole tokens."""
        account: LocalAccount = KeyPair.create()
        self.rpc("anvil_setBalance", account.address, hex(10 * WHOLE))
        if tokens:
            self.send_unlocked(self.contracts.token, call_data(MINT, account.address, tokens * WHOLE))
        return account

    def send_unlocked(self, to: str | None, data: str) -> dict[str, Any]:
        """Send from an account whose key the node holds."""
        fields = {"from": self.funder, "data": data, "gas": hex(8_000_000)} | ({"to": to} if to else {})
        return self._mined(self.rpc("eth_sendTransaction", fields))

    def send(self, account: LocalAccount, to: str, data: str) -> dict[str, Any]:
        """Sign an EVM transaction, send it, and return its receipt. Raises: Reverted."""
        base = int(self.rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
        fields = {"from": account.address, "to": to, "data": data}
        gas = int(self.rpc("eth_estimateGas", fields), 16)  # reverts here if the contract would refuse
        signed = account.sign_transaction(
            {
                "to": to_checksum_address(to),
                "data": HexStr(data),
                "value": 0,
                "gas": gas * 5 // 4,
                "nonce": int(self.rpc("eth_getTransactionCount", account.address, "pending"), 16),
                "chainId": CHAIN_ID,
                "maxFeePerGas": 2 * base + 10**9,
                "maxPriorityFeePerGas": 10**9,
                "type": 2,
            }
        )
        return self._mined(self.rpc("eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex()))

    def approve_and_pay(self, account: LocalAccount, wallet: str, tokens: int) -> str:
        """Pay without a quote; returns the hash."""
        amount = tokens * WHOLE
        self.send(account, self.contracts.token, call_data(APPROVE, self.contracts.gateway, amount))
        hash_: str = self.send(account, self.contracts.gateway, call_data(PAY, wallet, amount))["transactionHash"]
        return hash_

    def wait_until_final(self, number: int) -> None:
        """Wait until a block is final."""
        end = time.monotonic() + 60
        while int(self.rpc("eth_getBlockByNumber", "finalized", False)["number"], 16) < number:
            if time.monotonic() > end:
                raise TimeoutError(f"block {number} did not become final")
            time.sleep(0.3)

    def _mined(self, hash_: str) -> dict[str, Any]:
        end = time.monotonic() + 30
        while not (receipt := self.rpc("eth_getTransactionReceipt", hash_)):
            if time.monotonic() > end:
                raise TimeoutError(f"{hash_} was not mined")
            time.sleep(0.1)
        if receipt["status"] != "0x1":
            raise Reverted(f"{hash_} reverted")
        result: dict[str, Any] = receipt
        return result

    def _wait(self) -> None:
        end = time.monotonic() + 30
        while True:
            try:
                self.rpc("eth_chainId")
            except httpx.TransportError:
                if self._anvil.ended or time.monotonic() > end:
                    raise RuntimeError(f"anvil did not start: {self._anvil.log.read_text()}") from None
                time.sleep(0.1)
            else:
                return

    def _deploy(self) -> Contracts:
        treasury = KeyPair.create().address
        token = self._create("TestToken", [], ())
        types = ["address", "address", "address", "address", "uint256", "uint256"]
        arguments = (token, treasury, self.owner.address, self.signer.address, MINIMUM, CEILING)
        return Contracts(token, self._create("PaymentGateway", types, arguments), treasury)

    def _create(self, name: str, types: list[str], arguments: tuple[Any, ...]) -> str:
        artifact = json.loads((ROOT / "contracts" / "out" / f"{name}.sol" / f"{name}.json").read_text())
        code = artifact["bytecode"]["object"] + encode(types, arguments).hex()
        address: str = self.send_unlocked(None, code)["contractAddress"]
        return address
