"""`doctor --watch URL`: reads a process's metrics, and says which assumption is broken. Needs no settings."""

import asyncio
import json
import re
import sys
from collections.abc import Callable, Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

from stateless_billing.assumptions.catalog import ASSUMPTIONS
from stateless_billing.doctor.checks import USAGE, Check, State, as_document, exit_code_of
from stateless_billing.runtime.bounded_http import MEBIBYTE, create_http_client, parse_response, response_limits

MIN_SECONDS, MAX_SECONDS = 1, 86_400
ANSWER_SECONDS = 10.0
_TIMEOUT = httpx.Timeout(ANSWER_SECONDS, connect=3.0)
_MAX_BYTES = 2 * MEBIBYTE  # a process has 50 kB
_HEADERS = {"accept": "text/plain;version=0.0.4"}
_WORD = re.compile(r"[!-~]{1,2000}")
_MAX_LINES, _MAX_LINE = 1000, 500
_SAMPLE = "billing_assumption_broken_total"
_ADDRESS = "Give METRICS_PORT of one process, such as http://127.0.0.1:9090."
Report = Callable[[str], object]


class UnusableAddress(Exception):
    """The address is no http URL; the message says what is wrong with it."""


def metrics_url(text: str) -> httpx.URL:
    """Return the URL to read: of http unless it says https, and `/metrics` unless it has a path.

    Raises: UnusableAddress.
    """
    fault = UnusableAddress(f"--watch: the address is no http URL. {_ADDRESS}")
    try:
        url = httpx.URL(text if "://" in text else f"http://{text}")
    except (ValueError, httpx.InvalidURL) as error:
        raise fault from error
    if url.scheme not in ("http", "https") or not url.host or url.port == 0 or not _WORD.fullmatch(text):
        raise fault
    return url if url.path not in ("", "/") else url.copy_with(path="/metrics")


async def read_checks(url: httpx.URL, transport: httpx.AsyncBaseTransport | None = None) -> list[Check]:
    """Read the counters once: a check for each assumption, or the one that says why they could not be read."""
    try:
        async with create_http_client(transport, limits=httpx.Limits(max_connections=1)) as http:
            limits = response_limits(_MAX_BYTES, ANSWER_SECONDS)
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await http.get(url, headers=_HEADERS, timeout=_TIMEOUT, extensions=limits)
                if answer.status_code != httpx.codes.OK:
                    return [_unread(f"it answered HTTP {answer.status_code}")]
                return _checks_of(await parse_response(parse_counts, answer.content))
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        return [_unread(f"it did not answer properly within {ANSWER_SECONDS:.0f} s ({type(error).__name__})")]
    except ValueError:
        return [_unread("its answer is not the metrics of a process of this service")]


def parse_counts(content: bytes) -> Mapping[str, int]:
    """Parse how often each assumption was broken. Raises: ValueError if the answer is no metrics text."""
    lines = [line for line in content.decode().split("\n") if line.startswith(_SAMPLE)]
    if len(lines) > _MAX_LINES or max(map(len, lines), default=0) > _MAX_LINE:
        raise ValueError("no process counts so much")
    counts: dict[str, int] = {}
    for family in text_string_to_metric_families("\n".join([*lines, ""])):
        for sample in family.samples:
            name = sample.labels.get("assumption", "")
            if sample.name != _SAMPLE or name in counts or not 0 <= sample.value < 1e15:
                raise ValueError("not a counter")
            counts[name] = int(sample.value)
    if not counts:
        raise ValueError("no such counter")
    return counts


def _checks_of(counts: Mapping[str, int]) -> list[Check]:
    checks = []
    for name, assumption in ASSUMPTIONS.items():
        if name not in counts:
            detail = "the process does not count it: it runs another version"
            checks.append(Check(name, State.UNREAD, detail, "Use the doctor of the version that runs."))
        elif counts[name]:
            times = f"{counts[name]} times" if counts[name] > 1 else "once"
            checks.append(Check(name, State.MEND, f"{times}, {assumption.broken}", assumption.mend))
        else:
            checks.append(Check(name, State.OK, assumption.assumed))
    if others := [count for name, count in counts.items() if name not in ASSUMPTIONS]:
        detail = f"the process counts {len(others)} that this version does not know, broken {sum(others)} times"
        state = State.MEND if sum(others) else State.NOTE
        checks.append(Check("others", state, detail, "Use the doctor of the version that runs."))
    return checks


def _unread(detail: str) -> Check:
    return Check("metrics", State.UNREAD, detail, _ADDRESS)


def watch(address: str, every: int | None, report: Report, report_problem: Report, *, as_json: bool) -> int:
    """Print the counters, and with `every` what changes, read after so many seconds, until interrupted.

    Returns the exit code of the last reading.
    """
    try:
        url = metrics_url(address)
        if every is not None and not MIN_SECONDS <= every <= MAX_SECONDS:
            raise UnusableAddress(f"--every: between {MIN_SECONDS} and {MAX_SECONDS} seconds")
    except UnusableAddress as error:
        report_problem(f"stateless_billing: {error}\n")
        return USAGE
    checks: list[Check] = []
    try:
        while True:
            newest = asyncio.run(read_checks(url))
            before, checks = checks, newest
            if as_json and newest != before:
                report(json.dumps(as_document(newest, exit_code_of(newest)), indent=None if every else 2) + "\n")
            elif not as_json:
                report("".join(f"{check.line()}\n" for check in newest if check not in before))
            sys.stdout.flush()
            if every is None:
                return exit_code_of(checks)
            asyncio.run(asyncio.sleep(every))
    except KeyboardInterrupt:
        return exit_code_of(checks or [_unread("interrupted before an answer came")])
