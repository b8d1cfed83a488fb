"""Log lines: one JSON object each, with what they belong to, and without any secret whatever a message may hold."""

import json
import logging
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

_HIDDEN = "…"
_CHATTY = ("httpx", "httpcore", "stripe")  # their lines hold whole URLs
_about: ContextVar[Mapping[str, str]] = ContextVar("about", default={})  # noqa: B039 - replaced, never changed


@contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """All lines within, of this task and of those it starts, carry `fields`: `request_id`, `work`."""
    token = _about.set({**_about.get(), **fields})
    try:
        yield
    finally:
        _about.reset(token)


def add_to_context(**fields: str) -> None:
    """Add fields to this task's lines from here on, until the enclosing `about` ends."""
    _about.set({**_about.get(), **fields})


def work() -> str:
    """What this task is doing: `claim`, `sweep` or `order`; `other` where nobody said."""
    return _about.get().get("work", "other")


def configure(secrets: Collection[str], *, readable: bool | None = None) -> None:
    """Log to stderr: JSON, or `readable` lines where a person watches. `secrets` never appear in either."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_add_fields)
    handler.setFormatter(_Readable(secrets) if _watched(readable) else _Json(secrets))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _watched(readable: bool | None) -> bool:
    return sys.stderr.isatty() if readable is None else readable


def _add_fields(record: logging.LogRecord) -> bool:
    for name, value in _about.get().items():
        if name not in record.__dict__:
            setattr(record, name, value)
    return True


class _Json(JsonFormatter):
    """`{"timestamp", "level", "logger", "message", …}`."""

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__(
            "{levelname}{name}{message}",
            style="{",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp=True,
            json_ensure_ascii=False,
        )
        self._secrets = _encoded_forms(secrets)

    def format(self, record: logging.LogRecord) -> str:
        return _redact(self._secrets, super().format(record))


class _Readable(logging.Formatter):
    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")
        self._secrets = _encoded_forms(secrets)

    def format(self, record: logging.LogRecord) -> str:
        return _redact(self._secrets, super().format(record))


def _encoded_forms(secrets: Collection[str]) -> list[str]:
    """The secrets as they are and as they look within JSON, the longest first: one may hold another."""
    forms = {*secrets, *(json.dumps(one, ensure_ascii=False)[1:-1] for one in secrets)}
    return sorted(filter(None, forms), key=len, reverse=True)


def _redact(secrets: Collection[str], line: str) -> str:
    for one in secrets:
        line = line.replace(one, _HIDDEN)
    return line
