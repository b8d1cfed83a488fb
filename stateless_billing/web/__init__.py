"""HTTP interface: routes, handlers, middleware and server."""
