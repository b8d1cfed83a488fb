"""Mail by Resend: what is sent, tried again under one key, given up where it is refused, and never in the log."""

import json
import logging
from collections.abc import Callable, Sequence
from random import Random

import httpx
import pytest

from stateless_billing.operators.mailer import Mail, Mailer
from stateless_billing.sandbox.answers import Delivery
from stateless_billing.sandbox.mailbox import Mailbox
from tests.fakes.factories import FakeClock

pytestmark = pytest.mark.anyio

MAIL = Mail("o'neil@example.org", "Sign in", "Your code: ABCD-EFGH", "<p>ABCD-EFGH</p>", "sign-in/ab/7")
NO_PAUSES = (0.0, 0.0, 0.0)


def mailer(handle: Callable[[httpx.Request], httpx.Response], key: str = "re_secret") -> Mailer:
    """A mailer whose other end is a function."""
    http = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    return Mailer(http, "https://mail.example", key, "Billing <billing@example.org>", NO_PAUSES)


class Answers:
    """Gives these answers in turn; an exception is raised instead."""

    def __init__(self, answers: Sequence[httpx.Response | Exception]) -> None:
        self.left, self.asked = list(answers), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """The next one."""
        self.asked.append(request)
        answer = self.left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def failure(status: int, name: object) -> httpx.Response:
    """An answer as Resend words it."""
    return httpx.Response(status, json={"statusCode": status, "name": name, "message": "…"})


async def test_what_is_sent() -> None:
    answers = Answers([httpx.Response(200, json={"id": "1"})])
    assert await mailer(answers).send(MAIL)
    [request] = answers.asked
    assert (request.method, str(request.url)) == ("POST", "https://mail.example/emails")
    assert request.headers["authorization"] == "Bearer re_secret"
    assert request.headers["idempotency-key"] == "sign-in/ab/7"
    assert json.loads(request.content) == {
        "from": "Billing <billing@example.org>",
        "to": ["o'neil@example.org"],
        "subject": "Sign in",
        "text": "Your code: ABCD-EFGH",
        "html": "<p>ABCD-EFGH</p>",
    }


@pytest.mark.parametrize(
    "stumble",
    [
        failure(429, "rate_limit_exceeded"),
        failure(500, "internal_server_error"),
        httpx.Response(502, text="<html>bad gateway</html>"),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("cut"),
    ],
    ids=repr,
)
async def test_what_may_pass_is_tried_again_under_the_same_key(stumble: httpx.Response | Exception) -> None:
    answers = Answers([stumble, stumble, httpx.Response(200, json={"id": "1"})])
    assert await mailer(answers).send(MAIL)
    assert len({(one.headers["idempotency-key"], one.content) for one in answers.asked}) == 1
    assert len(answers.asked) == 3


async def test_it_is_given_up_in_the_end() -> None:
    answers = Answers([failure(500, "internal_server_error")] * 9)
    assert not await mailer(answers).send(MAIL)
    assert len(answers.asked) == 1 + len(NO_PAUSES)


@pytest.mark.parametrize(
    "refusal",
    [
        failure(401, "missing_api_key"),
        failure(403, "invalid_api_key"),
        failure(422, "invalid_from_address"),
        failure(409, "something_new"),
        httpx.Response(302, headers={"location": "https://elsewhere.example/emails"}),
        httpx.Response(400, json=["a", "list"]),
        httpx.Response(400, json={"name": None}),
        httpx.Response(400, content=b"\xff\xfe"),
    ],
    ids=repr,
)
async def test_what_is_refused_is_asked_once(refusal: httpx.Response) -> None:
    answers = Answers([refusal] * 5)
    assert not await mailer(answers).send(MAIL)
    assert len(answers.asked) == 1


@pytest.mark.parametrize("name", ["invalid_idempotent_request", "concurrent_idempotent_requests"])
async def test_a_mail_that_another_process_sent_is_sent(name: str) -> None:
    answers = Answers([failure(409, name)])
    assert await mailer(answers).send(MAIL)
    assert len(answers.asked) == 1


@pytest.mark.parametrize("fault", [None, "rate_limited", "server_error", "lost_after", "lost_before"])
async def test_two_processes_send_one_mail(fault: str | None) -> None:
    box = Mailbox(FakeClock().wall, Random(1), per_second=None)
    if fault:
        box.fail(fault)

    def handle(request: httpx.Request) -> httpx.Response:
        answer = box.handle(request.method, request.url.path, dict(request.headers), request.content)
        if answer.delivery is not Delivery.WHOLE:
            raise httpx.ReadError("lost")
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)

    assert await mailer(handle).send(MAIL)
    assert await mailer(handle).send(MAIL)
    assert [one.to for one in box.mails] == [("o'neil@example.org",)]


async def test_the_log_says_why_and_neither_whom_nor_what(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="stateless_billing")
    answers = Answers([httpx.ReadTimeout("o'neil@example.org"), failure(403, "invalid_api_key")])
    assert not await mailer(answers).send(MAIL)
    assert "ReadTimeout" in caplog.text
    assert "HTTP 403 invalid_api_key" in caplog.text
    for secret in ("o'neil", "ABCD", "re_secret", "sign-in/"):
        assert secret not in caplog.text
