"""Answers that are not Stripe's, and answers that never end: neither is a refusal, and both may have been done."""

import asyncio
from email.utils import formatdate

import httpx
import pytest

from stateless_billing.stripe.connection import CALL_TIMEOUT_SECONDS, Connection, ConnectionFailed
from tests.fakes.factories import START, FakeClock, ordinary_stack
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
NO_ERRORS = {"no error": b"{}", "an error that is text": b'{"error": "x"}', "an error that is null": b'{"error": null}'}


def saying(status: int, body: bytes) -> Connection:
    """A connection to something that always answers this."""
    says = httpx.Response(status, headers={"date": formatdate(START, usegmt=True)}, content=body)
    return Connection(httpx.MockTransport(lambda _: says), FakeClock())


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
@pytest.mark.parametrize("status", [200, 302, 400, 404, 429, 500])
async def test_what_is_not_stripes_form_is_no_answer_and_may_have_been_done(status: int, body: bytes) -> None:
    with ordinary_stack(), pytest.raises(ConnectionFailed, match=f"HTTP {status} from something") as caught:
        await saying(status, body).request("POST", URL, {}, "money")
    assert caught.value.sent


@pytest.mark.parametrize("body", NO_ERRORS.values(), ids=list(NO_ERRORS))
@pytest.mark.parametrize("status", [400, 402, 409, 500])
async def test_an_error_has_stripes_form_or_is_not_stripes(status: int, body: bytes) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        await saying(status, body).request("POST", URL, {}, "money")
    assert caught.value.sent


async def test_stripes_own_answers_are_handed_on() -> None:
    for status, body in ((200, b"{}"), (402, b'{"error": {"code": "card_declined"}}')):
        assert (await saying(status, body).request("GET", URL, {}, None))[:2] == (body, status)


def test_an_answer_that_never_ends_is_given_up_and_may_have_been_done() -> None:
    async def dribble(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(10**6)
        raise AssertionError

    async def scenario() -> float:
        with pytest.raises(ConnectionFailed, match="TimeoutError") as caught:
            await Connection(httpx.MockTransport(dribble), FakeClock()).request("POST", URL, {}, "money")
        assert caught.value.sent
        return asyncio.get_running_loop().time()

    assert run_virtually(scenario()) == CALL_TIMEOUT_SECONDS
