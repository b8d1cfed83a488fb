"""A wallet controlled by the test, on any node."""

from __future__ import annotations

import json
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import BrowserContext

from stateless_billing.runtime.bounded_http import create_ssl_context

Answer = dict[str, Any]
Node = Callable[[str, list[Any]], Any]

PROVIDER = (Path(__file__).parent / "provider.js").read_text()
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E"
    "%3Crect width='8' height='8' rx='2' fill='%23d9622b'/%3E%3C/svg%3E"
)
OUTCOME_UNKNOWN = -32603
BATCHES = ("wallet_getCapabilities", "wallet_sendCalls", "wallet_getCallsStatus")


class NodeRefused(Exception):
    """The node answered with an error, which wallets pass on."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("message", ""))
        self.error = error


def rpc(url: str) -> Node:
    """Return a JSON-RPC node, which signs for its own unlocked accounts."""

    def ask(method: str, params: list[Any]) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = httpx.post(url, json=body, timeout=30, trust_env=False, verify=create_ssl_context()).json()
        if "error" in answer:
            raise NodeRefused(answer["error"])
        return answer["result"]

    return ask


class ScriptedWallet:
    """A wallet: an account, a network, a node, and queued faults by method."""

    def __init__(
        self, node: Node, account: str, *, chain_id: int, name: str = "Test wallet", legacy: bool = False
    ) -> None:
        self.node = node
        self.account = account
        self.chain = hex(chain_id)
        self.known_chains = {self.chain}
        self.name = name
        self.legacy = legacy
        self.connected = False
        self.twins = False
        self.batch: str | None = None
        self.sent: list[str] = []
        self.asked: list[tuple[str, list[Any]]] = []
        self._faults: dict[str, deque[Callable[[str, list[Any]], Answer]]] = defaultdict(deque)

    # Controls: each changes the next answer to one method.

    def refuse(self, method: str, code: int, *, inner: int | None = None, message: str = "") -> None:
        """Answer with an error; `inner` nests the real code, as some mobile wallets do."""
        error: dict[str, Any] = {"code": code, "message": message or f"refused with {code}"}
        if inner is not None:
            error["data"] = {"originalError": {"code": inner}}
        self._faults[method].append(lambda *_: {"error": error})

    def throw(self, method: str, error: Any) -> None:
        """Answer with an error of any shape."""
        self._faults[method].append(lambda *_: {"error": error})

    def delay(self, method: str, seconds: float) -> None:
        """Answer late."""

        def late(name: str, params: list[Any]) -> Answer:
            time.sleep(seconds)
            return self._plain(name, params)

        self._faults[method].append(late)

    def behave(self, method: str, times: int) -> None:
        """Answer as usual `times` times before the next fault."""
        self._faults[method].extend([self._plain] * times)

    def hang(self, method: str) -> None:
        """Neither execute the request nor answer."""
        self._faults[method].append(lambda *_: {"silent": True})

    def drop_answer(self, method: str) -> None:
        """Execute the request but never answer."""
        self._faults[method].append(lambda name, params: {**self._plain(name, params), "silent": True})

    def fail_after(self, method: str) -> None:
        """Execute the request and report an unspecific error."""

        def failed(name: str, params: list[Any]) -> Answer:
            self._plain(name, params)
            return {"error": {"code": OUTCOME_UNKNOWN, "message": "Internal JSON-RPC error."}}

        self._faults[method].append(failed)

    def answer_with(self, method: str, result: Any) -> None:
        """Answer with a fixed result, such as a smart account's own hash."""
        self._faults[method].append(lambda *_: {"result": result})

    def count(self, method: str) -> int:
        """Return how often the page called a method."""
        return sum(1 for name, _ in self.asked if name == method)

    def answer(self, method: str, params: list[Any]) -> Answer:
        """Answer a request of the page."""
        self.asked.append((method, params))
        if self._faults[method]:
            return self._faults[method].popleft()(method, params)
        return self._plain(method, params)

    def _plain(self, method: str, params: list[Any]) -> Answer:
        match method:
            case "eth_requestAccounts":
                self.connected = True
                return {"result": [self.account]}
            case "eth_accounts":
                return {"result": [self.account] if self.connected else []}
            case "eth_chainId":
                return {"result": self.chain}
            case "wallet_switchEthereumChain":
                return self._switch(params[0]["chainId"])
            case "wallet_addEthereumChain":
                self.known_chains.add(params[0]["chainId"])
                return {"result": None}
        if self.batch and method in BATCHES:
            return self._batched(method, params)
        try:
            return {"result": self.node(method, params)}
        except NodeRefused as refusal:
            return {"error": refusal.error}

    def _batched(self, method: str, params: list[Any]) -> Answer:
        """EIP-5792 as consecutive EVM transactions; none of their hashes is the batch's id."""
        if method == "wallet_getCapabilities":
            return {"result": {self.chain: {"atomic": {"status": self.batch}}}}
        if method == "wallet_getCallsStatus":
            receipts = [{"transactionHash": sent_hash, "status": "0x1", "logs": []} for sent_hash in self.sent]
            return {"result": {"version": "2.0.0", "id": params[0], "status": 200, "receipts": receipts}}
        for call in params[0]["calls"]:
            sent = {"from": params[0]["from"], **call}
            self.sent.append(self.node("eth_sendTransaction", [sent]))
        return {"result": {"id": "0xbatch"}}

    def _switch(self, chain: str) -> Answer:
        if chain not in self.known_chains:
            return {"error": {"code": 4902, "message": "Unrecognized chain ID"}}
        self.chain = chain
        return {"result": None, "events": [["chainChanged", chain]]}


def install(context: BrowserContext, wallets: Sequence[ScriptedWallet]) -> None:
    """Put the wallets into every page of a browser context."""
    by_id = {f"wallet-{index}": wallet for index, wallet in enumerate(wallets)}
    context.expose_function("scriptedWallet", lambda uuid, method, params: by_id[uuid].answer(method, params))
    facts = [
        {"uuid": uuid, "name": wallet.name, "icon": ICON, "legacy": wallet.legacy, "twins": wallet.twins}
        for uuid, wallet in by_id.items()
    ]
    context.add_init_script(f"{{ const scriptedWallets = {json.dumps(facts)};\n{PROVIDER} }}")
