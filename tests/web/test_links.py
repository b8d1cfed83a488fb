"""Return links and wallet links."""

import pytest

from stateless_billing.web.pages.links import qr_svg, return_link, support_link, wallet_links

ALLOWED = ("https://dashboard.example.org", "http://localhost:3000")


@pytest.mark.parametrize(
    ("url", "reference", "href"),
    [
        ("https://dashboard.example.org/credits?tab=1#top", None, "https://dashboard.example.org/credits?tab=1#top"),
        ("https://dashboard.example.org", "inv 7&x", "https://dashboard.example.org?ref=inv+7%26x"),
        ("HTTPS://Dashboard.Example.ORG/a?b=c", "r", "https://Dashboard.Example.ORG/a?b=c&ref=r"),
        ("http://localhost:3000/", "", "http://localhost:3000/"),
    ],
)
def test_allowed_origins_get_a_return_link(url: str, reference: str | None, href: str) -> None:
    link = return_link(url, reference, ALLOWED)
    assert link
    assert link["href"] == href


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "/credits",
        "//dashboard.example.org",
        "javascript:alert(1)//https://dashboard.example.org",
        "http://dashboard.example.org",
        "https://dashboard.example.org.evil.test",
        "https://dashboard.example.org@evil.test",
        "https://user@dashboard.example.org",
        "https://dashboard.example.org:444",
        "https://evil.test/https://dashboard.example.org",
        "https://dashboard.example.org\\@evil.test",
        "https://dashboard.example.org/\n",
        "https://dashboard.exämple.org",
        "https://[",
        "https://dashboard.example.org/" + "a" * 1000,
    ],
)
def test_other_origins_get_no_return_link(url: str | None) -> None:
    assert return_link(url, None, ALLOWED) is None


def test_wallets_open_the_whole_address() -> None:
    links = {link["name"]: link["href"] for link in wallet_links("https://pay.example.org/pay?wallet=0x1&usd=5")}
    assert links["MetaMask"] == "https://metamask.app.link/dapp/pay.example.org/pay?wallet=0x1&usd=5"
    assert links["Coinbase Wallet"].endswith("cb_url=https%3A%2F%2Fpay.example.org%2Fpay%3Fwallet%3D0x1%26usd%3D5")


def test_a_qr_code_does_not_contain_its_text() -> None:
    drawn = qr_svg("https://pay.example.org/<script>")
    assert drawn.startswith("<svg ")
    assert "script" not in drawn
    assert "style" not in drawn, "the content policy allows none"


@pytest.mark.parametrize(
    ("support", "link"),
    [
        ("mailto:help+pay@example.org", "mailto:help+pay@example.org?subject=Payment%20a%26b%3D%20%C3%A9%22"),
        ("https://help.example.org/new", "https://help.example.org/new?reference=a%26b%3D+%C3%A9%22"),
        ("https://help.example.org/?team=2#form", "https://help.example.org/?team=2&reference=a%26b%3D+%C3%A9%22#form"),
    ],
)
def test_a_link_to_support_carries_the_reference(support: str, link: str) -> None:
    assert support_link(support, 'a&b= é"') == link
    assert support_link(None, "a") is None
