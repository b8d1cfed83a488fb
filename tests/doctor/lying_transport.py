"""An HTTP transport that alters the answers of nodes."""

import json
from collections.abc import Callable
from typing import Any

import httpx

Lie = Callable[[str, list[Any], Any], Any]
"""Maps a method, its parameters and the result to the altered result. A LookupError becomes an error response."""


class LyingTransport(httpx.AsyncBaseTransport):
    """Forwards all requests; passes JSON-RPC answers of `host` through `lie`."""

    def __init__(self, lie: Lie, host: str) -> None:
        self._real = httpx.AsyncHTTPTransport(trust_env=False)
        self._lie = lie
        self._host = host

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Forward a request and alter its answer."""
        answer = await self._real.handle_async_request(request)
        if request.url.host != self._host or b'"jsonrpc"' not in request.content:
            return answer
        call = json.loads(request.content)
        response = json.loads(await answer.aread())
        if isinstance(call, list):
            method, params = "batch", []
        else:
            method, params = call["method"], call["params"]
        head = {"jsonrpc": "2.0", "id": response["id"]} if isinstance(response, dict) else {}
        try:
            result = self._lie(method, params, response if method == "batch" else response.get("result"))
        except LookupError as error:
            return httpx.Response(200, json={**head, "error": {"code": -32000, "message": str(error)}})
        if method == "batch":
            return httpx.Response(200, json=result)
        if "error" in response and result is None:
            return httpx.Response(200, json=response)
        return httpx.Response(200, json={**head, "result": result})

    async def aclose(self) -> None:
        """Close the connections."""
        await self._real.aclose()
