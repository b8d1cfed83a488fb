"""JSON logging with context fields. Redacts secrets from every line."""

import json
import logging
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

_REDACTED = "…"
_URL_LOGGING_LIBRARIES = ("httpx", "httpcore", "stripe")  # they log full URLs, which hold keys
_context: ContextVar[Mapping[str, str]] = ContextVar("log_context", default={})  # noqa: B039 - replaced, never mutated


@contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """Add `fields` to the lines that this task and tasks started by it log within the block."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def add_to_context(**fields: str) -> None:
    """Add `fields` to this task's lines until the enclosing `log_context` ends."""
    _context.set({**_context.get(), **fields})


def work() -> str:
    """Return the `work` field of this task: `claim`, `sweep` or `order`; `other` if unset."""
    return _context.get().get("work", "other")


def configure(secrets: Collection[str], *, readable: bool | None = None) -> None:
    """Log to stderr and redact `secrets`. The format is JSON, or plain if `readable`.

    By default it is plain on a terminal.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_add_fields)
    if readable is None:
        readable = sys.stderr.isatty()
    handler.setFormatter(_PlainFormatter(secrets) if readable else _JsonLineFormatter(secrets))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in _URL_LOGGING_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


def _add_fields(record: logging.LogRecord) -> bool:
    for name, value in _context.get().items():
        if name not in record.__dict__:
            setattr(record, name, value)
    return True


class _JsonLineFormatter(JsonFormatter):
    """`{"timestamp", "level", "logger", "message", …}`. Redacts within strings: a line is JSON whatever a secret is."""

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
        line: object = json.loads(super().format(record))
        return json.dumps(_redact_strings(self._secrets, line), ensure_ascii=False)


class _PlainFormatter(logging.Formatter):
    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")
        self._secrets = _encoded_forms(secrets)

    def format(self, record: logging.LogRecord) -> str:
        return _redact(self._secrets, super().format(record))


def _encoded_forms(secrets: Collection[str]) -> list[str]:
    """Return the secrets, plain and JSON-escaped; longest first, as one may contain another."""
    forms = {*secrets, *(json.dumps(secret, ensure_ascii=False)[1:-1] for secret in secrets)}
    return sorted(filter(None, forms), key=len, reverse=True)


def _redact(secrets: Collection[str], line: str) -> str:
    for secret in secrets:
        line = line.replace(secret, _REDACTED)
    return line


def _redact_strings(secrets: Collection[str], value: object) -> object:
    """Redact the strings of a JSON value; its numbers and the names of its fields stay."""
    if isinstance(value, str):
        return _redact(secrets, value)
    if isinstance(value, dict):
        return {name: _redact_strings(secrets, field) for name, field in value.items()}
    if isinstance(value, list):
        return [_redact_strings(secrets, item) for item in value]
    return value
