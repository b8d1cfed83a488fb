"""Checks input at the edge. A refusal says what was expected, and never repeats a value that was sent."""

import re
from collections.abc import Mapping
from typing import ClassVar, TypeVar

import msgspec
from starlette.requests import Request

from chain.signatures import to_checksum_address
from stateless_billing.domain.errors import ProblemError
from stateless_billing.grants.forms import require_visible, to_one_line

MAX_BODY_BYTES = 16 * 1024
MIN_REASON_CHARACTERS = 10
MAX_REASON_CHARACTERS = 200
_MIN_REASON_VARIETY = 4  # different letters or digits: a held key is no reason
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_ORDINAL = re.compile(r"0|[1-9][0-9]{0,3}")
_DOLLARS = re.compile(r"([0-9]{1,9})(?:\.([0-9]{2}))?")
AN_ADDRESS = "an address: 0x and 40 hex digits"
A_TX_HASH = "a transaction hash: 0x and 64 hex digits"


def is_address(value: str) -> bool:
    """Whether a text has an address's form, whatever its checksum."""
    return bool(_ADDRESS.fullmatch(value))


def parse_wallet(value: str, name: str = "wallet") -> str:
    """Parse an address; lower-case. In mixed case it must carry its EIP-55 checksum, else it was mistyped."""
    if not is_address(value):
        raise ProblemError("invalid_input", f"`{name}` must be {AN_ADDRESS}. No money moved.")
    digits = value[2:]
    if digits not in (digits.lower(), digits.upper()) and to_checksum_address(value.lower()) != value:
        raise ProblemError("invalid_input", f"`{name}` does not match its checksum. No money moved. Copy it again.")
    return value.lower()


def parse_tx_hash(value: str) -> str:
    """Parse a transaction hash; lower-case."""
    if not _HASH.fullmatch(value):
        raise ProblemError("invalid_input", f"`tx_hash` must be {A_TX_HASH}. No money moved.")
    return value.lower()


def parse_uint256(value: str, name: str) -> int:
    """Parse a decimal string of at most 78 digits."""
    number = int(value)
    if number >= 1 << 256:
        raise ProblemError("invalid_input", f"`{name}` must be below 2^256. Nothing was decided.")
    return number


def parse_reason(raw: str) -> str:
    """Parse the reason of an operator's act."""
    require_visible(raw, "reason", "Nothing was done.")
    text = to_one_line(raw)
    variety = len({char for char in text.casefold() if char.isalnum()})
    if len(text) < MIN_REASON_CHARACTERS or variety < _MIN_REASON_VARIETY:
        raise ProblemError(
            "invalid_input", f"Say why in words, in at least {MIN_REASON_CHARACTERS} characters. Nothing was done."
        )
    if len(text) > MAX_REASON_CHARACTERS:
        raise ProblemError(
            "invalid_input",
            f"The reason has {len(text):,} characters. At most {MAX_REASON_CHARACTERS} fit. Nothing was done.",
        )
    return text


def parse_ordinal(value: str) -> int:
    """Parse a payment's position among those of its EVM transaction."""
    if not _ORDINAL.fullmatch(value):
        raise ProblemError("invalid_input", "The ordinal must be a whole number from 0 to 9999. No money moved.")
    return int(value)


def parse_dollars(value: str | None) -> int | None:
    """Convert dollars as in a link, 50 or 12.50, to cents; None for anything else."""
    match = _DOLLARS.fullmatch(value or "")
    return int(match[1]) * 100 + int(match[2] or "0") if match else None


class RequestBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON body of a request. The class variables word what is said of a field that does not fit."""

    expected: ClassVar[Mapping[str, str]] = {}
    """What a field must be, by name; without an entry, a text."""
    consequence: ClassVar[str] = "Nothing was done."
    remedies: ClassVar[Mapping[str, str]] = {}
    """What to send where a field is missing, by name."""


Body = TypeVar("Body", bound=RequestBody)

_FAULTY_FIELD = re.compile(r"missing required field `(\w+)`$|at `\$\.(\w+)[^`]*`$")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


async def read_body(request: Request, form: type[Body], max_bytes: int = MAX_BODY_BYTES) -> Body:
    """Read the request's body, a JSON object of at most `max_bytes`. Raises: ProblemError, naming the faulty field."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise ProblemError(
            "unsupported_media_type", "Send the body as JSON with `Content-Type: application/json`. Nothing was done."
        )
    content = await _read_content(request, max_bytes)
    try:
        return msgspec.json.decode(content, type=form)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), form) from error
    except (ValueError, RecursionError) as error:
        raise ProblemError("bad_request", "The body is not valid JSON. Nothing was done.") from error


def _refusal(fault: str, form: type[RequestBody]) -> ProblemError:
    """Word a fault for the sender. A value is never repeated."""
    if unknown := _UNKNOWN_FIELD.match(fault):
        name = ascii(unknown[1])[:40]
        return ProblemError("invalid_input", f"The body has a name that is not known here: {name}. {form.consequence}")
    if faulty := _FAULTY_FIELD.search(fault):
        name = faulty[1] or faulty[2]
        words = [f"`{name}` must be {form.expected.get(name, 'a text')}.", form.consequence]
        if faulty[1]:
            words[1:1] = ["It is missing."]
            words.append(form.remedies.get(name, ""))
        return ProblemError("invalid_input", " ".join(word for word in words if word))
    return ProblemError("bad_request", f"The body must be a JSON object. {form.consequence}")


async def _read_content(request: Request, max_bytes: int) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise ProblemError("body_too_large", f"The body is larger than {max_bytes} bytes. Nothing was done.")
    return body
