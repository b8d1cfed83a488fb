"""Redirects paths with trailing slashes, by path alone.

Starlette's own redirect is an absolute URL made of the Host header, which is the visitor's word.
"""

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.routing import Match, Router
from starlette.types import Receive, Scope, Send


def redirect_trailing_slashes(router: Router) -> None:
    """Replace a router's own redirect of paths with trailing slashes."""
    router.redirect_slashes = False

    async def redirect(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].rstrip("/")
        target = {**scope, "path": path}
        if path == scope["path"] or all(route.matches(target)[0] is Match.NONE for route in router.routes):
            raise HTTPException(404)
        query = scope["query_string"].decode("latin-1")
        await RedirectResponse(f"{path}?{query}" if query else path, 307)(scope, receive, send)

    router.default = redirect
