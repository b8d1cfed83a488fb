"""What Stripe's responses say apart from their objects: when they were sent, and why there is none."""

from email.utils import mktime_tz, parsedate_tz

import msgspec

from chain.payment import MAX_TIME
from stateless_billing.audit.readers.bulk_http import BulkResponse


class _Object(msgspec.Struct, frozen=True):
    """Any JSON object."""


class StripeError(msgspec.Struct, frozen=True, kw_only=True):
    """An error of Stripe's."""

    message: str | None = None
    code: str | None = None


class _ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    error: StripeError


def parse_object(content: bytes) -> None:
    """Check that a response is a JSON object. Raises: ValueError."""
    try:
        msgspec.json.decode(content, type=_Object)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def is_object(content: bytes) -> bool:
    """Whether a response is a JSON object. If not, it was cut short or is a proxy's, and reading again may help."""
    try:
        parse_object(content)
    except ValueError:
        return False
    return True


def parse_error(content: bytes) -> StripeError:
    """Parse the error in a response; an empty one if there is none."""
    try:
        return msgspec.json.decode(content, type=_ErrorAnswer).error
    except (ValueError, RecursionError):
        return StripeError()


def parse_date(response: BulkResponse) -> int:
    """Parse when a response was sent, in Unix seconds; 0 if it does not say so."""
    try:
        parsed = parsedate_tz(response.headers.get("date", ""))
        time = int(mktime_tz(parsed)) if parsed else 0
    except (ValueError, OverflowError):
        return 0
    return time if 0 < time <= MAX_TIME else 0
