"""The mailbox: accepted mails, idempotency keys and limits."""

import json
import random

import pytest

from stateless_billing.sandbox.answers import Answer, Delivery
from stateless_billing.sandbox.mailbox import Mailbox
from tests.sandbox.in_process_client import SetClock

HEADERS = {"Authorization": "Bearer re_test"}
MAIL = json.dumps({"from": "us@x.org", "to": "a@b.c", "subject": "Hello", "text": "Hi"}).encode()


@pytest.fixture
def mailbox(clock: SetClock) -> Mailbox:
    """Return a mailbox without a rate limit."""
    return Mailbox(clock, random.Random(1), per_second=None)


def send(mailbox: Mailbox, body: bytes = MAIL, key: str | None = None) -> tuple[int, dict[str, str]]:
    """Send one mail."""
    headers = HEADERS if key is None else {**HEADERS, "Idempotency-Key": key}
    answer = mailbox.handle("POST", "/emails", headers, body)
    return answer.status, json.loads(answer.body)


def test_a_mail_is_accepted_and_stored(mailbox: Mailbox) -> None:
    status, body = send(mailbox)
    assert status == 200
    (mail,) = mailbox.mails
    assert (mail.id, mail.sender, mail.to, mail.subject, mail.text) == (
        body["id"],
        "us@x.org",
        ("a@b.c",),
        "Hello",
        "Hi",
    )
    assert len(mail.id) == 36


def test_a_key_sends_once_for_24_hours(mailbox: Mailbox, clock: SetClock) -> None:
    first = send(mailbox, key="login/1")
    clock.now += 86_399
    assert send(mailbox, key="login/1") == first
    clock.now += 1
    assert send(mailbox, key="login/1") != first
    assert len(mailbox.mails) == 2


def test_a_key_with_another_payload_is_a_409(mailbox: Mailbox) -> None:
    send(mailbox, key="login/1")
    other = MAIL.replace(b"Hi", b"Hi again")
    status, body = send(mailbox, other, key="login/1")
    assert (status, body["name"]) == (409, "invalid_idempotent_request")


@pytest.mark.parametrize(("key", "status"), [("", 400), ("k" * 257, 400), ("k" * 256, 200)])
def test_a_key_has_1_to_256_characters(mailbox: Mailbox, key: str, status: int) -> None:
    assert send(mailbox, key=key)[0] == status


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        (b"{", 400, "validation_error"),
        (b"[]", 400, "validation_error"),
        (b'{"to": "a@b.c", "subject": "s", "text": "t"}', 422, "missing_required_field"),
        (b'{"from": "x@y.z", "to": "a@b.c", "subject": "s"}', 422, "missing_required_field"),
    ],
)
def test_invalid_mails_are_rejected(mailbox: Mailbox, body: bytes, status: int, name: str) -> None:
    assert (send(mailbox, body)[0], send(mailbox, body)[1]["name"]) == (status, name)
    assert not mailbox.mails


def test_keys_of_senders(mailbox: Mailbox) -> None:
    def status(headers: dict[str, str]) -> int:
        return mailbox.handle("POST", "/emails", headers, MAIL).status

    assert status({}) == 401
    assert status(HEADERS) == 200
    mailbox.api_keys.add("re_other")
    assert status(HEADERS) == 403


def test_two_requests_a_second(clock: SetClock) -> None:
    mailbox = Mailbox(clock, random.Random(1))
    answers: list[Answer] = [mailbox.handle("POST", "/emails", HEADERS, MAIL) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert (answers[2].headers["retry-after"], json.loads(answers[2].body)["name"]) == ("1", "rate_limit_exceeded")
    clock.now += 1
    assert send(mailbox)[0] == 200


def test_a_lost_answer_may_have_sent_the_mail(mailbox: Mailbox) -> None:
    for name, sent in (("lost_before", 0), ("lost_after", 1)):
        mailbox.fail(name)
        assert mailbox.handle("POST", "/emails", HEADERS, MAIL).delivery is Delivery.LOST
        assert len(mailbox.mails) == sent


def test_faults_are_named(mailbox: Mailbox) -> None:
    mailbox.fail("concurrent", times=2)
    assert [send(mailbox)[0] for _ in range(3)] == [409, 409, 200]
    with pytest.raises(ValueError, match="unknown"):
        mailbox.fail("nonesuch")
    mailbox.fail("server_error")
    mailbox.clear_faults()
    assert send(mailbox)[0] == 200


def test_only_post_emails_exists(mailbox: Mailbox) -> None:
    assert mailbox.handle("GET", "/emails", HEADERS).status == 404
    assert mailbox.handle("POST", "/domains", HEADERS).status == 404


def test_a_sending_key_may_only_send(mailbox: Mailbox) -> None:
    def domains(headers: dict[str, str]) -> tuple[int, str]:
        answer = mailbox.handle("GET", "/domains", headers)
        return answer.status, json.loads(answer.body).get("name", "")

    assert domains(HEADERS) == (401, "restricted_api_key")
    assert domains({}) == (401, "missing_api_key")
    mailbox.full_access = True
    assert domains(HEADERS) == (200, "")
