"""What Stripe's responses say apart from their objects."""

import pytest

from stateless_billing.audit.readers.bulk_http import BulkResponse
from stateless_billing.audit.readers.stripe_responses import is_object, parse_date, parse_error


@pytest.mark.parametrize(
    ("header", "time"),
    [
        ("Mon, 21 Sep 2026 20:00:00 GMT", 1_790_020_800),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ("Sat, 01 Jan 10000 00:00:00 GMT", 0),
        ("Mon, 21 Sep 0 20:00:00 GMT", 969_566_400),  # years of two digits are of this time
        ("Thu, 01 Jan 1960 00:00:00 GMT", 0),
        ("Mon, 21 Sep 99999999999999999999 20:00:00 GMT", 0),
        ("soon", 0),
        ("", 0),
    ],
)
def test_a_response_was_sent_at_a_time_or_does_not_say_when(header: str, time: int) -> None:
    assert parse_date(BulkResponse(200, {"date": header} if header else {}, b"")) == time


def test_an_error_is_read_if_there_is_one() -> None:
    assert parse_error(b'{"error": {"message": "No such", "code": "resource_missing"}}').code == "resource_missing"
    for content in (b"", b"[]", b"<html>", b'{"error": 7}', b"[" * 100_000):
        assert (parse_error(content).code, parse_error(content).message) == (None, None)


@pytest.mark.parametrize(("content", "expected"), [(b"{}", True), (b"[]", False), (b'{"a":', False), (b"<", False)])
def test_an_object_is_told_from_anything_else(content: bytes, expected: bool) -> None:
    assert is_object(content) == expected
