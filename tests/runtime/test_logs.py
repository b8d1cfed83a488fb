"""Log lines are JSON with context fields, and secrets are redacted."""

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest

from stateless_billing import settings
from stateless_billing.runtime import logs

SECRETS = {
    "STRIPE_API_KEY": "rk_live_abc",
    "RPC_URLS": "https://user:pass-word@node.example/v2/0123456789abcdef?token=t0ken-of-query&chainId=8453&v=1, http://other.example/short",
    "SIGNER_KEY": "0x" + "5e" * 32,
    "SESSION_SECRETS": 'with"quote-and-24-characters,an-older-one-of-24-characters',
    "CREDIT_HOOK_SECRET": "hook-secret",
    "RESEND_API_KEY": "re_key",
    "HOST": "0.0.0.0",  # noqa: S104 - no secret
}


@pytest.fixture(autouse=True)
def restore_root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(())
    with logs.log_context(request_id="r1", work="claim"):
        logging.getLogger("one").info("payment %s\nand a second line", "p", extra={"state": "credited"})
    logging.getLogger("two").warning("after")
    first, second = lines(capsys)
    assert first.pop("timestamp")[-6:] == "+00:00"
    assert first == {
        "level": "INFO",
        "logger": "one",
        "message": "payment p\nand a second line",
        "request_id": "r1",
        "work": "claim",
        "state": "credited",
    }
    assert "request_id" not in second


def test_a_field_of_the_line_overrides_the_context(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(())
    with logs.log_context(customer="cus_context"):
        logging.getLogger("one").info("x", extra={"customer": "cus_line"})
    assert lines(capsys)[0]["customer"] == "cus_line"


@pytest.mark.parametrize("readable", [False, True])
@pytest.mark.parametrize(
    "secret",
    [
        "rk_live_abc",
        "pass-word",
        "0123456789abcdef",
        "t0ken-of-query",
        "5e" * 32,
        "hook-secret",
        "re_key",
        'with"quote-and-24-characters',
        "an-older-one-of-24-characters",
    ],
)
def test_secrets_are_redacted(secret: str, readable: bool, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(settings.secrets(SECRETS), readable=readable)
    log = logging.getLogger("leaky")
    log.info("message %s", secret, extra={"field": f"x{secret}y"})
    try:
        raise RuntimeError(f"https://example/{secret}")
    except RuntimeError:
        log.exception("failed")
    printed = capsys.readouterr().err
    assert "failed" in printed
    assert secret not in printed
    assert json.dumps(secret)[1:-1] not in printed


def test_other_values_are_not_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(settings.secrets(SECRETS))
    logging.getLogger("one").info("0.0.0.0 short http 8453 v1 user")
    assert lines(capsys)[0]["message"] == "0.0.0.0 short http 8453 v1 user"


@pytest.mark.parametrize("secret", ["1", "11", "a", ":", '"', "8453", "me", "message", '": "', "levelname"])
def test_no_secret_breaks_a_line(secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither its JSON nor its numbers nor the names of its fields, whatever an operator chose as a secret."""
    logs.configure(settings.secrets({"COINGECKO_API_KEY": secret, "RPC_URLS": f"https://a.example/?key={secret}"}))
    logging.getLogger("one").info("payment 8453:0xab1 credited", extra={"suppressed": 118453, "payment": "8453:0x11"})
    logs.configure({secret, "118453", "8453:0x11"})
    logging.getLogger("one").info(
        "payment", extra={"suppressed": 118453, "payment": "8453:0x11", "more": {"a": ["11"]}}
    )
    first, second = lines(capsys)
    assert (first["message"], first["payment"]) == ("payment 8453:0xab1 credited", "8453:0x11")
    assert [str(line["suppressed"]) for line in (first, second)] == ["118453", "118453"], "no number is touched"
    assert second["payment"] == "…"
    assert {"timestamp", "level", "logger", "message"} < first.keys()


def test_short_keys_of_urls_are_redacted_and_words_stay(capsys: pytest.CaptureFixture[str]) -> None:
    urls = {
        "CREDIT_HOOK_URL": "https://h.example/hook?token=short1234",
        "RPC_URLS": "https://a.example/base/v1?key=8453",
    }
    logs.configure(settings.secrets(urls))
    logging.getLogger("one").info('POST /hook?token=short1234 with "short1234" on base, v1, 8453')
    assert lines(capsys)[0]["message"] == 'POST /hook?… with "…" on base, v1, 8453'


def test_secrets_in_nested_fields_are_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure({"rk_live_abc"})
    logging.getLogger("one").info(
        "x", extra={"field": {"a": ["rk_live_abc", {"b": "with rk_live_abc"}, 7, None, True]}}
    )
    field: object = lines(capsys)[0]["field"]
    assert field == {"a": ["…", {"b": "with …"}, 7, None, True]}


async def _work_after_adding() -> str:
    logs.add_to_context(work="sweep")
    return logs.work()


def test_added_fields_stay_within_the_task() -> None:
    async def both() -> tuple[str, str]:
        return await asyncio.create_task(_work_after_adding()), logs.work()

    assert asyncio.run(both()) == ("sweep", "other")


def test_libraries_that_log_urls_are_silenced(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(())
    logging.getLogger("httpx").info("HTTP Request: GET https://node.example/v2/key")
    assert not capsys.readouterr().err
