"""A way to the nodes on which a test alters what they answer."""

import json
from collections.abc import Callable
from typing import Any

import httpx

Lie = Callable[[str, list[Any], Any], Any]
"""Takes a method, its parameters and the result; gives what is told. What it raises is told as an error."""


class Lying(httpx.AsyncBaseTransport):
    """Passes everything on; answers of JSON-RPC nodes at `host` go through `lie`."""

    def __init__(self, lie: Lie, host: str) -> None:
        self._real = httpx.AsyncHTTPTransport(trust_env=False)
        self._lie, self._host = lie, host

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask, then lie."""
        answer = await self._real.handle_async_request(request)
        if request.url.host != self._host or b'"jsonrpc"' not in request.content:
            return answer
        asked, told = json.loads(request.content), json.loads(await answer.aread())
        if isinstance(asked, list):
            method, params = "batch", []
        else:
            method, params = asked["method"], asked["params"]
        head = {"jsonrpc": "2.0", "id": told["id"]} if isinstance(told, dict) else {}
        try:
            result = self._lie(method, params, told if method == "batch" else told.get("result"))
        except LookupError as error:
            return httpx.Response(200, json={**head, "error": {"code": -32000, "message": str(error)}})
        if method == "batch":
            return httpx.Response(200, json=result)
        if "error" in told and result is None:
            return httpx.Response(200, json=told)
        return httpx.Response(200, json={**head, "result": result})

    async def aclose(self) -> None:
        """Close the connections."""
        await self._real.aclose()
