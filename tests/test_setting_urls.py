"""Settings that are addresses: what is accepted can be asked, and two nodes are two."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.setting_urls import is_url
from stateless_billing.settings import load
from tests.test_settings import faults

BASES = ("STRIPE_API_BASE", "PUBLIC_URL", "RESEND_API_BASE", "PRICE_API_BASE")
BAD_HOSTS = (
    "[x",
    "x:99999",
    "x:0",
    "x:port",
    "[zz]",
    "a..b",
    "a b",
    "256.1.1.1",
    "1.2.3",
    "m\u00fcn",
    "x\u200b",
    "a" * 64,
)


@pytest.mark.parametrize("host", BAD_HOSTS)
@pytest.mark.parametrize("name", [*BASES, "RPC_URLS", "CREDIT_HOOK_URL"])
def test_a_url_that_cannot_be_asked_is_refused(name: str, host: str) -> None:
    [fault] = faults(frozenset(), **{name: f"https://{host}"}, CREDIT_HOOK_SECRET="s" * 12)
    assert fault.startswith(f"{name} must be ")
    assert host not in fault


@pytest.mark.parametrize("name", BASES)
def test_a_base_names_no_user(name: str) -> None:
    [fault] = faults(frozenset(), **{name: "https://mary:sesame@a.example"})
    assert fault == f"{name} must be http(s)://host, without a user and without a path"


@pytest.mark.parametrize(
    "url", ["https://a.example/\x01", "https://a.example/ b", "https://a.example/\u00e9", "https://a.example/a\nb"]
)
def test_a_url_is_of_visible_characters(url: str) -> None:
    assert faults(frozenset(), RPC_URLS=url) == ["RPC_URLS must be http(s) URLs with commas between them"]


@pytest.mark.parametrize(
    "url",
    [
        "https://a-b.example:8443",
        "http://node_1:8545",
        "https://[::1]:1/x",
        "https://10.0.0.7",
        "https://a.example.",
        "https://xn--mnchen-3ya.example",
    ],
)
def test_other_hosts_are_accepted(url: str) -> None:
    assert load((), {"RPC_URLS": url, "PLAIN_HTTP": "on"}).rpc_urls == (url,)


@pytest.mark.parametrize(
    "second", ["https://a.example/k", "https://A.example/k/", "https://a.example:443/k", " https://a.example/k?"]
)
def test_a_node_is_named_once(second: str) -> None:
    """Else one node would count as the two that must agree."""
    [fault] = faults(frozenset(), RPC_URLS=f"https://a.example/k,https://b.example,{second}")
    assert fault == "RPC_URLS must name each node once: what two nodes confirm, two must have said"


def test_two_nodes_may_share_a_host() -> None:
    urls = ("https://a.example/k", "https://a.example/K", "https://a.example/k?2", "https://a.example:444/k")
    assert load((), {"RPC_URLS": ",".join(urls)}).rpc_urls == urls


@given(st.text("htps:/[].@a1-_%?#\\ \u00fc\x01", min_size=1, max_size=20))
def test_the_client_takes_every_url_that_is_accepted(rest: str) -> None:
    for url in (f"https://{rest}", f"http://a{rest}", rest):
        if is_url(url):
            assert httpx.URL(url).host
