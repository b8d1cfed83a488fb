"""The origin of a request: what the middleware found out about the client, for handlers with a budget per origin."""

from starlette.requests import Request

ORIGIN = "client_origin"  # the key of the ASGI scope


def request_origin(request: Request) -> str:
    """Return the client's IPv4 address or IPv6 network."""
    origin: str = request.scope.get(ORIGIN, "")
    return origin
