"""After signing in, a page opens and nothing begins."""

import pytest

from stateless_billing.web.operators.sessions import local_path


@pytest.mark.parametrize(
    ("asked", "opened"),
    [
        ("/admin", "/admin"),
        ("/admin?q=ann%40example.org", "/admin?q=ann%40example.org"),
        ("/admin/customers/cus_A1?after=cbtxn_1", "/admin/customers/cus_A1?after=cbtxn_1"),
        ("/admin/grants?days=30&sort=newest", "/admin/grants?days=30&sort=newest"),
        ("/admin/stuck", "/admin/stuck"),
        ("/audit?at=1:0xab", "/audit?at=1:0xab"),
        ("/audit?run=1", "/audit"),
        ("/audit?run=1&since=5", "/audit?since=5"),
        ("/audit?since=5&r%75n=1", "/audit?since=5"),
        ("/audit?run", "/audit"),
        ("/audit?&run=1&&", "/audit"),
        ("/audit#x?run=1", "/admin"),
        ("/audit?since=5#run=1", "/admin"),
        ("/audit/report.csv?at=1", "/admin"),
        ("/admin/grants.csv", "/admin"),
        ("/admin/../logout", "/admin"),
        ("/administrators", "/admin"),
        ("//evil.example/admin", "/admin"),
        ("/admin\\@evil", "/admin"),
        ("", "/admin"),
    ],
)
def test_onward_paths(asked: str, opened: str) -> None:
    assert local_path(asked) == opened
