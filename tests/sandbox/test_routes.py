"""The route table."""

import pytest

from stateless_billing.sandbox.routes import ENDPOINTS, find_endpoint, unrecognized


@pytest.mark.parametrize(
    ("method", "path", "name", "ids"),
    [
        ("GET", "/v1/customers", "GET /v1/customers", ()),
        ("GET", "/v1/customers/search", "GET /v1/customers/search", ()),
        ("GET", "/v1/customers/cus_1", "GET /v1/customers/{customer}", ("cus_1",)),
        ("POST", "/v1/customers/cus%2F1", "POST /v1/customers/{customer}", ("cus/1",)),
        (
            "GET",
            "/v1/customers/cus_1/balance_transactions/cbtxn_1",
            "GET /v1/customers/{customer}/balance_transactions/{transaction}",
            ("cus_1", "cbtxn_1"),
        ),
    ],
)
def test_known_urls(method: str, path: str, name: str, ids: tuple[str, ...]) -> None:
    endpoint, actual_ids = find_endpoint(method, path)
    assert endpoint is not None
    assert (endpoint.name, actual_ids) == (name, ids)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/customers/"),
        ("GET", "/v1"),
        ("PUT", "/v1/customers"),
        ("DELETE", "/v1/customers/cus_1/balance_transactions/cbtxn_1"),
        ("GET", "/v2/customers"),
    ],
)
def test_unknown_urls(method: str, path: str) -> None:
    assert find_endpoint(method, path) == (None, ())
    assert f"({method}: {path})" in unrecognized(method, path).message


def test_reads_need_read_and_writes_need_write() -> None:
    for endpoint in ENDPOINTS:
        assert endpoint.permission.endswith("_read" if endpoint.method == "GET" else "_write")
