"""Deeply nested JSON ends in a refusal at every edge, also with a raised recursion limit; the process lives.

Untyped decoding would overflow the C stack then. Packages that are imported late raise the limit for all.
"""

import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from stateless_billing.crediting.webhook import CreditWebhook
from stateless_billing.doctor.deployment_records import BadRecord, read_record
from stateless_billing.domain.errors import ProblemError
from stateless_billing.operators.mailer import Mail, Mailer
from stateless_billing.pricing.rates import NoRate, parse_samples
from stateless_billing.sandbox import processes
from stateless_billing.stripe import objects
from stateless_billing.web.api.requests import ClaimRequest, GrantForm, QuoteRequest
from stateless_billing.web.http.inputs import read_body
from tests.fakes.factories import CUSTOMER, FakeClock, payment

RAISED_LIMIT = 100_000
DEPTH = 2 * RAISED_LIMIT
NESTED = (
    b"[" * DEPTH,
    b"[" * DEPTH + b"]" * DEPTH,
    b'{"a":' * DEPTH,
    b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
)


def refuse_body(nested: bytes) -> None:
    """Bodies of requests: as the whole body, in a field, under an unknown name."""

    async def read(content: bytes) -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": content, "more_body": False}

        for form in (QuoteRequest, ClaimRequest, GrantForm):
            request = Request({"type": "http", "headers": [(b"content-type", b"application/json")]}, receive)
            with pytest.raises(ProblemError) as caught:
                await read_body(request, form, max_bytes=len(content))
            assert caught.value.code in ("bad_request", "invalid_input")

    for start in (b"", b'{"wallet": ', b'{"tx_hash": ', b'{"form": ', b'{"more": '):
        asyncio.run(read(start + nested))


def refuse_stripe_answer(nested: bytes) -> None:
    """Stripe's answers, as the audit reads them."""
    for start in (b"", b'{"data": ', b'{"data": [', b'{"metadata": ', b'{"more": '):
        with pytest.raises(ValueError, match=r"."):
            objects.parse_page(start + nested, CUSTOMER)
        with pytest.raises(ValueError, match=r"."):
            objects.parse_customer(start + nested)


def refuse_price_answer(nested: bytes) -> None:
    """The price feed's answers."""
    for start in (b"", b'{"prices": ', b'{"prices": [[1, ', b'{"market_caps": '):
        with pytest.raises(NoRate):
            parse_samples(start + nested)


def refuse_mail_answer(nested: bytes) -> None:
    """Resend's refusals."""
    for start in (b"", b'{"name": ', b'{"more": '):
        answer = httpx.Response(409, content=start + nested)
        http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _, answer=answer: answer))
        mailer = Mailer(http, "https://mail.example", "re_x", "us@example.org", ())
        assert not asyncio.run(mailer.send(Mail("a@example.org", "s", "t", "h", "key")))


def ignore_webhook_answer(nested: bytes) -> None:
    """The webhook receiver's answers, of which only the status counts."""

    async def notify(status: int) -> None:
        http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(status, content=nested)))
        webhook = CreditWebhook(http, "https://hook.example", "secret", FakeClock(), ())
        webhook.enqueue(payment(), CUSTOMER, 5_000)
        await webhook.aclose()

    for status in (200, 500):
        asyncio.run(notify(status))


def refuse_deployment_record(nested: bytes) -> None:
    """Records of deployments."""
    with tempfile.TemporaryDirectory() as folder:
        for start in (b"", b'{"gateways": ', b'{"more": '):
            (Path(folder) / "5.json").write_bytes(start + nested)
            with pytest.raises(BadRecord):
                read_record(5, Path(folder))


EDGES: tuple[Callable[[bytes], None], ...] = (
    refuse_body,
    refuse_stripe_answer,
    refuse_price_answer,
    refuse_mail_answer,
    ignore_webhook_answer,
    refuse_deployment_record,
)


def refuse_all() -> None:
    """Visit every edge, naming each before it may crash the process."""
    sys.setrecursionlimit(RAISED_LIMIT)
    for edge in EDGES:
        print(edge.__name__, flush=True)
        for nested in NESTED:
            edge(nested)


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: edge.__name__)
def test_deep_nesting_is_refused(edge: Callable[[bytes], None]) -> None:
    for nested in NESTED:
        edge(nested)


def test_no_import_has_raised_the_recursion_limit() -> None:
    # Untyped decoding relies on it, in the service as in these tests.
    assert sys.getrecursionlimit() == 1_000


def test_deep_nesting_is_refused_with_a_raised_recursion_limit() -> None:
    code = "from tests.test_nesting import refuse_all; refuse_all()"
    root = Path(__file__).parents[1]
    visited = processes.run([sys.executable, "-c", code], cwd=root, check=True).stdout.split()
    assert visited == [edge.__name__ for edge in EDGES]
