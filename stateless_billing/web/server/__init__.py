"""The ASGI server and its limits."""
