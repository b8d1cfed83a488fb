"""Routes loaded after the service is up, because importing the pages is slow."""

import threading
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Match, Router
from starlette.types import Receive, Scope, Send

from stateless_billing.web.server.trailing_slash import redirect_trailing_slashes


class LazyRoutes(BaseRoute):
    """Routes below some prefixes, created at the first request or by `load_lazy_routes`."""

    def __init__(self, prefixes: tuple[str, ...], factory: Callable[[], Sequence[BaseRoute]]) -> None:
        self._prefixes = prefixes
        self._factory = factory
        self._lock = threading.Lock()
        self._router: Router | None = None

    @property
    def router(self) -> Router:
        """The routes, created once by the first thread that needs them."""
        with self._lock:
            if self._router is None:
                self._router = Router(self._factory())
                redirect_trailing_slashes(self._router)
            return self._router

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match every path below one of the prefixes."""
        path = f"{scope['path']}/"
        is_match = scope["type"] == "http" and any(path.startswith(f"{prefix}/") for prefix in self._prefixes)
        return (Match.FULL if is_match else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the loaded routes."""
        await self.router(scope, receive, send)


def load_lazy_routes(app: Starlette) -> None:
    """Load all lazy routes of an application. Blocks, so run it in a thread."""
    for route in app.routes:
        if isinstance(route, LazyRoutes):
            _ = route.router
