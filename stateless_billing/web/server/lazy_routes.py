"""Routes whose modules are loaded when the service answers already: pages need what takes longer than all the rest."""

import threading
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Match, Router
from starlette.types import Receive, Scope, Send


class LazyRoutes(BaseRoute):
    """All routes below some prefixes, made by `make` at the first request to one of them or by `load_late`."""

    def __init__(self, prefixes: tuple[str, ...], factory: Callable[[], Sequence[BaseRoute]]) -> None:
        self._prefixes, self._factory = prefixes, factory
        self._lock = threading.Lock()
        self._router: Router | None = None

    @property
    def router(self) -> Router:
        """The routes, made once, in whatever thread asks first."""
        with self._lock:
            if self._router is None:
                self._router = Router(self._factory())
            return self._router

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the path is below one of the prefixes."""
        path = f"{scope['path']}/"
        mine = scope["type"] == "http" and any(path.startswith(f"{prefix}/") for prefix in self._prefixes)
        return (Match.FULL if mine else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand over to the route itself."""
        await self.router(scope, receive, send)


def load_lazy_routes(app: Starlette) -> None:
    """Make all late routes of an application. For a thread of its own."""
    for route in app.routes:
        if isinstance(route, LazyRoutes):
            _ = route.router
