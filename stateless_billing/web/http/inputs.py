"""Input, checked at the edge. What does not fit is a Refusal that says what was expected, never what was sent."""

import json
import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from chain.signing import to_checksum_address
from stateless_billing.domain.errors import ProblemError

MAX_BODY_BYTES = 16 * 1024
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_ORDINAL = re.compile(r"0|[1-9][0-9]{0,3}")
_DOLLARS = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,2}))?")
_MAX_CENTS = 10**9


def parse_wallet(value: object, name: str = "wallet") -> str:
    """An address, lower-case. One in mixed case must carry its EIP-55 checksum: else it was mistyped."""
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise ProblemError("invalid_input", f"`{name}` must be an address: 0x and 40 hex digits. No money moved.")
    digits = value[2:]
    if digits not in (digits.lower(), digits.upper()) and to_checksum_address(value.lower()) != value:
        raise ProblemError("invalid_input", f"`{name}` does not match its checksum. No money moved. Copy it again.")
    return value.lower()


def parse_tx_hash(value: object) -> str:
    """A transaction hash, lower-case."""
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise ProblemError(
            "invalid_input", "`tx_hash` must be a transaction hash: 0x and 64 hex digits. No money moved."
        )
    return value.lower()


def parse_ordinal(value: object) -> int:
    """A payment's place among those of its EVM transaction."""
    if not isinstance(value, str) or not _ORDINAL.fullmatch(value):
        raise ProblemError("invalid_input", "The ordinal must be a whole number from 0 to 9999. No money moved.")
    return int(value)


def parse_dollars(value: str | None) -> int | None:
    """Dollars as a link may carry them, 50 or 12.50, in cents; None for anything else."""
    found = _DOLLARS.fullmatch(value or "")
    return int(found[1]) * 100 + int((found[2] or "").ljust(2, "0")) if found else None


def parse_cents(value: object) -> int:
    """A positive whole number of cents."""
    if type(value) is not int or not 0 < value <= _MAX_CENTS:
        raise ProblemError("invalid_input", f"`cents` must be a whole number from 1 to {_MAX_CENTS}. No money moved.")
    return value


def read_text(body: Mapping[str, Any], name: str) -> str:
    """A field that is a text; empty where it is missing."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise ProblemError("invalid_input", f"`{name}` must be a string. Nothing was done.")
    return value or ""


async def read_json_object(request: Request, allowed: set[str], max_bytes: int = MAX_BODY_BYTES) -> dict[str, Any]:
    """The request's body: one JSON object of at most `largest` bytes with no other names than `allowed`."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise ProblemError(
            "unsupported_media_type", "Send the body as JSON with `Content-Type: application/json`. Nothing was done."
        )
    try:
        body = json.loads(await _read_body(request, max_bytes), parse_constant=_refuse_constant)
        json.dumps(body, ensure_ascii=False).encode()  # half a character is no text, and nobody could be told of it
    except (ValueError, RecursionError) as error:
        raise ProblemError("bad_request", "The body is not valid JSON. Nothing was done.") from error
    if not isinstance(body, dict):
        raise ProblemError("bad_request", "The body must be a JSON object. Nothing was done.")
    if unknown := sorted(set(body) - allowed):
        raise ProblemError(
            "invalid_input", f"The body has an unknown name: {ascii(unknown[0])[:40]}. Nothing was done."
        )
    return body


async def _read_body(request: Request, max_bytes: int) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise ProblemError("body_too_large", f"The body is larger than {max_bytes} bytes. Nothing was done.")
    return body


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
