"""The route table."""

import pytest

from stateless_billing.sandbox.routes import ENDPOINTS, routed, unrecognized


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
def test_what_is_found(method: str, path: str, name: str, ids: tuple[str, ...]) -> None:
    endpoint, found = routed(method, path)
    assert endpoint is not None
    assert (endpoint.name, found) == (name, ids)


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
def test_what_does_not_exist(method: str, path: str) -> None:
    assert routed(method, path) == (None, ())
    assert f"({method}: {path})" in unrecognized(method, path).message


def test_reads_need_read_and_writes_need_write() -> None:
    for endpoint in ENDPOINTS:
        assert endpoint.permission.endswith("_read" if endpoint.method == "GET" else "_write")
