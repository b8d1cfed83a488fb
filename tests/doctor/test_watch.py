"""`doctor --watch`: what it prints of a process, and that any answer ends: lying, endless, slow, huge or none."""

import argparse
import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from prometheus_client import REGISTRY, generate_latest

from stateless_billing.assumptions.breaches import Breaches
from stateless_billing.assumptions.catalog import ASSUMPTIONS
from stateless_billing.commands import cli
from stateless_billing.commands.options import create_parser
from stateless_billing.doctor import command, watch
from stateless_billing.doctor.checks import Check, State, exit_code_of
from tests.fakes.virtual_time import run_virtually

URL = httpx.URL("http://127.0.0.1:9090/metrics")
SAMPLE = "billing_assumption_broken_total"
ALL_KEPT = "".join(f'{SAMPLE}{{assumption="{name}"}} 0.0\n' for name in ASSUMPTIONS)


def read(answer: Callable[[httpx.Request], httpx.Response] | httpx.AsyncBaseTransport) -> list[Check]:
    """Read one answer."""
    transport = answer if isinstance(answer, httpx.AsyncBaseTransport) else httpx.MockTransport(answer)
    return asyncio.run(watch.read_checks(URL, transport))


def text(content: str | bytes, status: int = 200) -> Callable[[httpx.Request], httpx.Response]:
    """Answer with this."""
    return lambda request: httpx.Response(status, content=content)


def test_what_a_process_serves_is_read() -> None:
    Breaches().report("entry_changed", "fact", "cbtxn_1")
    checks = {check.name: check for check in read(text(generate_latest(REGISTRY)))}
    assert list(checks) == list(ASSUMPTIONS)
    changed = checks["entry_changed"]
    assert changed.state is State.MEND
    assert ASSUMPTIONS["entry_changed"].broken in changed.line()
    assert ASSUMPTIONS["entry_changed"].mend in changed.line()


def test_nothing_is_broken() -> None:
    assert {check.state for check in read(text(ALL_KEPT))} == {State.OK}


def test_another_version_is_said() -> None:
    older = ALL_KEPT.partition("\n")[0] + "\n"
    checks = read(text(older))
    assert checks[0].state is State.OK
    assert {check.state for check in checks[1:]} == {State.UNREAD}
    newer = ALL_KEPT + f'{SAMPLE}{{assumption="of a later version \x1b[2J"}} 3.0\n'
    other = read(text(newer))[-1]
    assert (other.name, other.state) == ("others", State.MEND)
    assert "\x1b" not in other.line()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<html>hello</html>",
        b"\xff\xfe",
        "billing_credits_total 1\n",
        f'{SAMPLE}{{assumption="entry_changed"}} NaN\n',
        f'{SAMPLE}{{assumption="entry_changed"}} -1\n',
        f'{SAMPLE}{{assumption="entry_changed"}} +Inf\n',
        f'{SAMPLE}{{assumption="entry_changed"}} many\n',
        f'{SAMPLE}{{assumption="entry_changed\n',
        f'{SAMPLE}{{assumption="entry_changed"}} 0\n' * 2,
        f'{SAMPLE}{{assumption="{"x" * 10_000}"}} 0\n',
        "".join(f'{SAMPLE}{{assumption="{number}"}} 0\n' for number in range(2000)),
        "x" * 5_000_000,
    ],
)
def test_an_answer_that_is_not_a_processs_metrics_is_unread(content: str | bytes) -> None:
    [check] = read(text(content))
    assert (check.name, check.state) == ("metrics", State.UNREAD)
    assert len(check.line()) < 300


@pytest.mark.parametrize("status", [301, 404, 500])
def test_another_status_is_unread(status: int) -> None:
    [check] = read(text(ALL_KEPT, status))
    assert f"HTTP {status}" in check.detail


def test_nobody_there_is_unread() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    [check] = read(refuse)
    assert check.state is State.UNREAD


class Endless(httpx.AsyncBaseTransport, httpx.AsyncByteStream):
    """Sends a byte a second, for ever."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Begin."""
        return httpx.Response(200, stream=self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(1)
            yield b"#"


def test_an_endless_answer_ends() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        [check] = await watch.read_checks(URL, Endless())
        assert check.state is State.UNREAD
        assert loop.time() - began <= watch.ANSWER_SECONDS + 1

    run_virtually(scenario())


@pytest.mark.parametrize(
    ("given", "read_from"),
    [
        ("http://127.0.0.1:9090", "http://127.0.0.1:9090/metrics"),
        ("127.0.0.1:9090", "http://127.0.0.1:9090/metrics"),
        ("billing.internal:9090/", "http://billing.internal:9090/metrics"),
        ("https://[::1]:9090/m", "https://[::1]:9090/m"),
    ],
)
def test_an_address_is_completed(given: str, read_from: str) -> None:
    assert str(watch.metrics_url(given)) == read_from


@pytest.mark.parametrize(
    "given", ["", "http://", "ftp://x", "http://x:y", "http://x:0", "a b", "http://x\n", "://", "é"]
)
def test_an_unusable_address_is_a_usage_error(given: str) -> None:
    printed, problems = list[str](), list[str]()
    code = watch.watch(given, None, printed.append, problems.append, as_json=False)
    assert (code, printed) == (cli.USAGE, [])
    assert "--watch" in problems[0]


def parsed(*words: str) -> argparse.Namespace:
    """The options of a command line."""
    return create_parser().parse_args(["doctor", *words])


def test_the_command_needs_no_settings(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRIPE_API_KEY", raising=False)
    lines: list[str] = []
    assert command.run(parsed("--watch", "127.0.0.1:1", "--json"), lines.append) == cli.UNREAD
    assert json.loads(lines[0])["checks"][0]["state"] == "unread"
    assert command.run(parsed("--watch", "127.0.0.1:1", "--every", "0"), lines.append) == cli.USAGE
    assert command.run(parsed("--every", "5"), lines.append) == cli.USAGE
    assert len(lines) == 1
    assert "--every" in capsys.readouterr().err


def test_an_interruption_before_the_first_answer_claims_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupt(_: object) -> list[Check]:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch, "read_checks", interrupt)
    assert watch.watch("127.0.0.1", None, print, print, as_json=False) == exit_code_of([Check("", State.UNREAD, "")])


def test_it_goes_on_and_prints_what_changes() -> None:
    answers = [ALL_KEPT, ALL_KEPT, ALL_KEPT.replace('"entry_changed"} 0.0', '"entry_changed"} 2.0')]

    class Handler(BaseHTTPRequestHandler):
        """Gives one answer after the other."""

        def do_GET(self) -> None:  # the library's own name
            """Answer."""
            self.send_response(200)
            self.end_headers()
            self.wfile.write((answers.pop(0) if len(answers) > 1 else answers[0]).encode())

        def log_message(self, *arguments: object) -> None:
            """Print nothing."""

    printed: list[str] = []

    def report(lines: str) -> None:
        printed.append(lines)
        if "MEND" in lines:
            raise KeyboardInterrupt

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        code = watch.watch(f"127.0.0.1:{server.server_port}", 1, report, print, as_json=False)
        server.shutdown()
        thread.join()
    assert [lines.count("\n") for lines in printed] == [len(ASSUMPTIONS), 0, 1]
    assert "entry_changed: 2 times" in printed[-1]
    assert code == 1
