"""Stripe's SDK: sends through our own connections, and does not load `requests` for a client that is never made.

Loading that takes a fifth of the time from the service's start to its first answer.
"""

import sys
from collections.abc import Mapping
from typing import Any, cast

_unloaded = "requests" not in sys.modules
if _unloaded:
    sys.modules["requests"] = cast("Any", None)
try:
    import stripe as stripe
finally:
    if _unloaded:
        del sys.modules["requests"]

from stateless_billing.stripe.connection import Connection  # noqa: E402 - after the SDK was loaded


class HTTPClient(stripe.HTTPClient):
    """Has the SDK send through our connection. Whatever else goes wrong is raised as it is."""

    name = "httpx"

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        return await self._connection.request(method, url, headers, post_data)
