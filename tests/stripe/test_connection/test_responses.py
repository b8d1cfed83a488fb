"""Responses that are not Stripe's, or never end: the request may have been processed."""

import asyncio
from email.utils import formatdate

import httpx
import pytest

from stateless_billing.stripe.connection import CALL_TIMEOUT_SECONDS, Connection, ConnectionFailed
from tests.fakes.factories import START, FakeClock
from tests.fakes.virtual_time import run_virtually

pytestmark = pytest.mark.anyio
URL = "http://stripe.example/v1/x"

BODIES = {
    "in another encoding": b'{"id": "\xff\xfe"}',
    "HTML": b"<html><body>Bad Gateway</body></html>",
    "null": b"null",
    "a list": b"[]",
    "text": b'"ok"',
    "nothing": b"",
    "cut": b'{"id": "cbtxn_1"',
    "deep nesting": b"[" * 5_000,
}
WITHOUT_ERROR = {
    "no error": b"{}",
    "an error that is text": b'{"error": "x"}',
    "an error that is null": b'{"error": null}',
}


def connection_answering(status: int, body: bytes) -> Connection:
    """Create a connection to a server that always returns this response."""
    response = httpx.Response(status, headers={"date": formatdate(START, usegmt=True)}, content=body)
    return Connection(httpx.MockTransport(lambda _: response), FakeClock())


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
@pytest.mark.parametrize("status", [200, 302, 400, 404, 429, 500])
async def test_a_body_that_is_not_stripes_means_an_unknown_outcome(status: int, body: bytes) -> None:
    with pytest.raises(ConnectionFailed, match=f"HTTP {status} from something") as caught:
        await connection_answering(status, body).request("POST", URL, {}, "money")
    assert caught.value.sent


@pytest.mark.parametrize("body", WITHOUT_ERROR.values(), ids=list(WITHOUT_ERROR))
@pytest.mark.parametrize("status", [400, 402, 409, 500])
async def test_an_error_without_stripes_error_object_is_not_stripes(status: int, body: bytes) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        await connection_answering(status, body).request("POST", URL, {}, "money")
    assert caught.value.sent


async def test_stripes_responses_are_returned() -> None:
    for status, body in ((200, b"{}"), (402, b'{"error": {"code": "card_declined"}}')):
        assert (await connection_answering(status, body).request("GET", URL, {}, None))[:2] == (body, status)


def test_a_response_that_never_ends_times_out() -> None:
    async def dribble(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(10**6)
        raise AssertionError

    async def scenario() -> float:
        with pytest.raises(ConnectionFailed, match="TimeoutError") as caught:
            await Connection(httpx.MockTransport(dribble), FakeClock()).request("POST", URL, {}, "money")
        assert caught.value.sent
        return asyncio.get_running_loop().time()

    assert run_virtually(scenario()) == CALL_TIMEOUT_SECONDS
