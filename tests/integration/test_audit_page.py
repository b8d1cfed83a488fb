"""`/audit` of a running service: who may see it, what it costs, that it streams, and that it is the same report."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest

from stateless_billing.sandbox.stack import Service, Stack
from stateless_billing.stripe.connection import create_ssl_context
from tests.integration.operators import ADMIN, AUDITOR, MODERATOR, Operator
from tests.integration.shop import Shop, next_second

SETTINGS = {"CONFIRMATIONS": "10000:1s,100000:safe,finalized", "SWEEP": "off"}
AT = re.compile(r"audit --at (\d+:\d+)")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A system with a few settled payments."""
    with Stack.start(settings=SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def service(stack: Stack) -> Service:
    """A service that does not sweep, and three payments."""
    service, shop = stack.serve(), Shop(stack)
    for _ in range(3):
        shop.claimed(service, shop.pay(service, shop.customer()))
    shop.finalize()
    next_second()
    return service


def reads(stack: Stack) -> int:
    """How often Stripe was read since it was last counted from 0."""
    found: int = stack.control("GET", "state")["reads"]
    return found


def streamed(service: Service, path: str) -> list[str]:
    """The pieces of an answer, as they came."""
    headers = {"cookie": "; ".join(f"{name}={value}" for name, value in Operator(AUDITOR).cookies.items())}
    headers |= {"accept-encoding": "identity"}
    with httpx.stream(
        "GET", f"{service.url}{path}", headers=headers, trust_env=False, timeout=60, verify=create_ssl_context()
    ) as answer:
        assert answer.status_code == 200
        return [piece.decode() for piece in answer.iter_raw()]


def begun(service: Service, query: str = "") -> tuple[str, str]:
    """A report, and what its `--at` is."""
    page = "".join(streamed(service, f"/audit?run=1{query}"))
    found = AT.search(page)
    assert found, page
    return page, found[1]


@pytest.mark.parametrize("name", [AUDITOR, MODERATOR, ADMIN])
def test_every_operator_may_read_it_and_looking_costs_nothing(stack: Stack, service: Service, name: str) -> None:
    stack.control("DELETE", "state")
    page = Operator(name).get(service, "/audit")
    assert page.status_code == 200
    assert "The gateways count 3 payments." in page.text
    assert reads(stack) == 0


def test_nobody_else_may(service: Service) -> None:
    for path in ("/audit", "/audit?run=1", "/audit/report.csv?at=1:1"):
        answer = httpx.get(f"{service.url}{path}", trust_env=False)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?next=%2Faudit")


def test_it_streams_says_what_it_costs_and_is_the_report_of_the_command(stack: Stack, service: Service) -> None:
    stack.control("DELETE", "state")
    pieces = streamed(service, "/audit?run=1")
    assert stack.control("GET", "state")["writes"] == 0
    assert 'id="verdict"' not in "".join(pieces[:-1])  # the frame and the progress came before the report was there
    page = "".join(pieces)
    assert page.index("3 Stripe reads or more") < page.index('id="verdict"')
    assert "CLEAN: 3 rows, no exception, everything was read" in page
    assert page.index('id="verdict"') < page.index("<svg") < page.index('id="rows"')
    found = AT.search(page)
    assert found
    stack.control("DELETE", "state")
    for form in ("json", "csv", "jsonl"):
        file = Operator(AUDITOR).get(service, f"/audit/report.{form}?at={found[1]}")
        assert file.status_code == 200
        assert f"audit-{found[1].replace(':', '-')}.{form}" in file.headers["content-disposition"]
        assert reads(stack) == 0
        mine = stack.run("audit", "--at", found[1], "--format", form)
        theirs = file.text
        if form == "json":
            assert json.loads(theirs)["rows"] == json.loads(mine.stdout)["rows"]
        assert theirs == mine.stdout
        stack.control("DELETE", "state")


def test_filters_and_rows_are_addresses_and_cost_nothing(stack: Stack, service: Service) -> None:
    _, at = begun(service)
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
    assert auditor.get(service, f"/audit?at={at}&page=7").status_code == 200
    assert reads(stack) == 0


def test_what_this_process_does_not_hold_is_made_again_only_on_a_press(stack: Stack, service: Service) -> None:
    _, at = begun(service)
    other = stack.serve()
    stack.control("DELETE", "state")
    page = Operator(AUDITOR).get(other, f"/audit?at={at}&status=matched")
    assert "no longer holds the report" in page.text
    assert Operator(AUDITOR).get(other, f"/audit/report.csv?at={at}").status_code == 404
    assert reads(stack) == 0
    again, then = begun(other, f"&at={at}&status=matched")
    assert then == at
    assert "3 of 3 rows" in again
    other.stop()


def test_another_site_s_link_begins_nothing(stack: Stack, service: Service) -> None:
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
def test_what_cannot_be_asked_is_said(service: Service, query: str) -> None:
    page = "".join(streamed(service, f"/audit?run=1&{query}"))
    assert "Nothing was changed and no money moved." in page or "Not read:" in page
    assert 'class="verdict good"' not in page


def test_a_source_that_breaks_off_is_never_clean(stack: Stack, service: Service) -> None:
    broken = {"effect": "error_unsaved", "method": "GET", "times": 40, "path": "/v1/customers"}
    stack.control("POST", "faults", broken | {"path": "/v1/customers"})
    page = "".join(streamed(service, "/audit?run=1&since=2"))
    stack.control("DELETE", "faults")
    assert 'class="verdict good"' not in page
    assert "The audit could not begin" in page or "Not read:" in page
