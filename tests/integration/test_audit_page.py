"""`/audit` of a running service: access, cost, streaming, and equality with the command's report."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest

from stateless_billing.runtime.bounded_http import create_ssl_context
from stateless_billing.sandbox.stack import Service, Stack
from tests.integration.operators import ADMIN, AUDITOR, MODERATOR, Operator
from tests.integration.shop import Shop, next_second

SETTINGS = {"CONFIRMATIONS": "10000:1s,100000:safe,finalized", "SWEEP": "off"}
AT = re.compile(r"audit --at (\d+:\d+)")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Run a system with a few settled payments."""
    with Stack.start(settings=SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def service(stack: Stack) -> Service:
    """Start a service that does not sweep, and make three payments."""
    service, shop = stack.serve(), Shop(stack)
    for _ in range(3):
        shop.claimed(service, shop.pay(service, shop.customer()))
    shop.finalize()
    next_second()
    return service


def reads(stack: Stack) -> int:
    """Return the number of Stripe reads since the last reset."""
    count: int = stack.control("GET", "state")["reads"]
    return count


def streamed(service: Service, path: str) -> list[str]:
    """Return the chunks of an answer as they arrived."""
    headers = {"cookie": "; ".join(f"{name}={value}" for name, value in Operator(AUDITOR).cookies.items())}
    headers |= {"accept-encoding": "identity"}
    with httpx.stream(
        "GET", f"{service.url}{path}", headers=headers, trust_env=False, timeout=60, verify=create_ssl_context()
    ) as answer:
        assert answer.status_code == 200
        return [piece.decode() for piece in answer.iter_raw()]


def start_report(service: Service, query: str = "") -> tuple[str, str]:
    """Start a report; return the page and its `--at`."""
    page = "".join(streamed(service, f"/audit?run=1{query}"))
    match = AT.search(page)
    assert match, page
    return page, match[1]


@pytest.mark.parametrize("name", [AUDITOR, MODERATOR, ADMIN])
def test_every_operator_may_read_it_and_looking_costs_nothing(stack: Stack, service: Service, name: str) -> None:
    stack.control("DELETE", "state")
    page = Operator(name).get(service, "/audit")
    assert page.status_code == 200
    assert "The gateways count 3 payments." in page.text
    assert reads(stack) == 0


def test_access_needs_a_session(service: Service) -> None:
    for path in ("/audit", "/audit?run=1", "/audit/report.csv?at=1:1"):
        answer = httpx.get(f"{service.url}{path}", trust_env=False)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?next=%2Faudit")


def test_it_streams_states_its_cost_and_equals_the_commands_report(stack: Stack, service: Service) -> None:
    stack.control("DELETE", "state")
    pieces = streamed(service, "/audit?run=1")
    assert stack.control("GET", "state")["writes"] == 0
    assert 'id="verdict"' not in "".join(pieces[:-1])  # frame and progress arrived before the report
    page = "".join(pieces)
    assert page.index("3 Stripe reads or more") < page.index('id="verdict"')
    verdict = "CLEAN OF WHAT WAS READ: ledgers of customers that never paid were not read; "
    assert re.search(rf'<h2 id="verdict" class="verdict good">{verdict}', page)
    assert page.index('id="verdict"') < page.index("<svg") < page.index('id="rows"')
    match = AT.search(page)
    assert match
    stack.control("DELETE", "state")
    for form in ("json", "csv", "jsonl"):
        file = Operator(AUDITOR).get(service, f"/audit/report.{form}?at={match[1]}")
        assert file.status_code == 200
        assert f"audit-{match[1].replace(':', '-')}.{form}" in file.headers["content-disposition"]
        assert reads(stack) == 0
        mine = stack.run("audit", "--at", match[1], "--format", form)
        theirs = file.text
        if form == "json":
            assert json.loads(theirs)["rows"] == json.loads(mine.stdout)["rows"]
        assert theirs == mine.stdout
        stack.control("DELETE", "state")


def test_filters_and_rows_are_addresses_and_cost_nothing(stack: Stack, service: Service) -> None:
    _, at = start_report(service)
    stack.control("DELETE", "state")
    auditor = Operator(AUDITOR)
    assert "0 of 3 rows" in auditor.get(service, f"/audit?at={at}&status=exceptions").text
    page = auditor.get(service, f"/audit?at={at}&status=matched").text
    assert "3 of 3 rows" in page
    row = re.search(r'id="(R00-[0-9a-f]{12})"', page)
    assert row
    customer = re.search(r"/admin/customers/(cus_\w+)", page)
    assert customer
    assert "1 of 3 rows" in auditor.get(service, f"/audit?at={at}&q={customer[1]}").text
    assert "Verdict: matched." in auditor.get(service, f"/audit?at={at}&row={row[1]}").text
    assert auditor.get(service, f"/audit?at={at}&row=R00-none").status_code == 404
    beyond = auditor.get(service, f"/audit?at={at}&page=7").text
    assert row[1] in beyond, "a page behind the last is the last"
    assert "No row matches" not in beyond
    assert reads(stack) == 0


def test_a_report_of_another_process_is_recreated_only_on_request(stack: Stack, service: Service) -> None:
    _, at = start_report(service)
    other = stack.serve()
    stack.control("DELETE", "state")
    page = Operator(AUDITOR).get(other, f"/audit?at={at}&status=matched")
    assert "no longer holds the report" in page.text
    assert Operator(AUDITOR).get(other, f"/audit/report.csv?at={at}").status_code == 404
    assert reads(stack) == 0
    again, then = start_report(other, f"&at={at}&status=matched")
    assert then == at
    assert "3 of 3 rows" in again
    other.stop()


def test_a_link_on_another_site_starts_nothing(stack: Stack, service: Service) -> None:
    stack.control("DELETE", "state")
    cookie = "; ".join(f"{name}={value}" for name, value in Operator(AUDITOR).cookies.items())
    page = httpx.get(
        f"{service.url}/audit?run=1",
        headers={"cookie": cookie, "sec-fetch-site": "cross-site"},
        trust_env=False,
        verify=create_ssl_context(),
    )
    assert page.status_code == 200
    assert "Run the audit" in page.text
    assert reads(stack) == 0


@pytest.mark.parametrize("query", ["since=yesterday", "at=7", "at=99999999:1", "customer=cus_Nobody", "customer=../x"])
def test_invalid_queries_are_explained(service: Service, query: str) -> None:
    page = "".join(streamed(service, f"/audit?run=1&{query}"))
    assert "Nothing was changed and no money moved." in page or "Not read:" in page
    assert 'class="verdict good"' not in page


def test_an_incomplete_source_is_never_clean(stack: Stack, service: Service) -> None:
    broken = {"effect": "error_unsaved", "method": "GET", "times": 40, "path": "/v1/customers"}
    stack.control("POST", "faults", broken | {"path": "/v1/customers"})
    page = "".join(streamed(service, "/audit?run=1&since=2"))
    stack.control("DELETE", "faults")
    assert 'class="verdict good"' not in page
    assert "The audit could not begin" in page or "Not read:" in page
