"""A node that stands still, whose finality stalls, or that shows other payments than the chain has."""

import json
from typing import Any

from tests.integration.slow_node import SlowNode

_TAGS = ("latest", "safe", "finalized")
_ABOVE_HEAD = ("eth_getBlockByNumber", "eth_getTransactionReceipt", "eth_getTransactionByHash")
_WORD = 64  # hex digits


class FaultyNode(SlowNode):
    """Forwards every call to another node, and answers about its heads as it was told."""

    def __init__(self, behind: str) -> None:
        super().__init__(behind, 0)
        self._stalled: dict[str, str] = {}  # block numbers by tag
        self._disagrees = False

    def stand_still(self) -> None:
        """Answer as of now from here on."""
        self._stalled = {tag: self._head(tag) for tag in _TAGS}

    def stall_finality(self) -> None:
        """Keep `safe` and `finalized`; the head moves on."""
        self._stalled = {tag: self._head(tag) for tag in _TAGS[1:]}

    def disagree(self) -> None:
        """Show every payment with another amount."""
        self._disagrees = True

    def recover(self) -> None:
        """Answer as the chain is."""
        self._stalled, self._disagrees = {}, False

    def ask(self, body: bytes) -> bytes:
        """Return the other node's answer, with the fault."""
        calls = json.loads(body)
        if not isinstance(calls, list):
            return json.dumps(self._answer(calls)).encode()
        return json.dumps([self._answer(call) for call in calls]).encode()

    def _head(self, tag: str) -> str:
        number: str = self._forward("eth_getBlockByNumber", [tag, False])["result"]["number"]
        return number

    def _forward(self, method: str, params: list[Any], number: object = 1) -> dict[str, Any]:
        call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        answer: dict[str, Any] = json.loads(super().ask(json.dumps(call).encode()))
        return answer

    def _answer(self, call: dict[str, Any]) -> dict[str, Any]:
        method, stalled = call["method"], self._stalled
        params = [stalled.get(value, value) if isinstance(value, str) else value for value in call.get("params", [])]
        answer = self._forward(method, params, call["id"])
        result = answer.get("result")
        if method == "eth_blockNumber":
            answer["result"] = stalled.get("latest", result)
        if method in _ABOVE_HEAD and result and "latest" in stalled:
            block = int(result.get("blockNumber") or result.get("number") or "0x0", 16)
            answer["result"] = result if block <= int(stalled["latest"], 16) else None
        if method == "eth_getLogs" and self._disagrees:
            for log in result or []:
                log["data"] = _altered(log["data"])
        return answer


def _altered(data: str) -> str:
    """Return an event's data with another second word, the amount of a payment."""
    start, stop = 2 + _WORD, 2 + 2 * _WORD
    return f"{data[:start]}{int(data[start:stop], 16) + 1:064x}{data[stop:]}"
