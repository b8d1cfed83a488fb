"""Settings report all faults by name, and never show a value or a secret."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.setting_rules import is_live_key
from stateless_billing.settings import SERVE, STRIPE, SWEEP, BadSettings, Settings, load, secrets

ADDRESS = "0x" + "Ab" * 20
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141  # of secp256k1
COMPLETE = {
    "STRIPE_API_KEY": "sk_test_sesame1",
    "RPC_URLS": "https://one.example/sesame2, https://two.example/sesame3",
    "GATEWAY_ADDRESSES": f"{ADDRESS},0x{'cd' * 20}",
    "SERVICE_CUSTOMER_ID": "cus_Service1",
    "SIGNER_KEY": "5e5a3e" + "0" * 58,
}


def faults(needed: frozenset[str], **environ: str) -> list[str]:
    """Return the faults of an environment."""
    with pytest.raises(BadSettings) as caught:
        load(needed, environ)
    assert str(caught.value) == "; ".join(caught.value.faults)
    return caught.value.faults


def test_a_complete_environment() -> None:
    settings = load(SERVE, COMPLETE)
    assert settings.rpc_urls == ("https://one.example/sesame2", "https://two.example/sesame3")
    assert settings.gateway_addresses == ("0x" + "ab" * 20, "0x" + "cd" * 20)
    assert (settings.chain_id, settings.stripe_rate, settings.stripe_total_rate, settings.processes) == (
        8453,
        6,
        20,
        1,
    )
    assert (settings.min_payment_cents, settings.max_payment_cents) == (500, 500_000)
    assert (settings.max_unfinalized_cents, settings.quote_seconds, settings.discount_bps) == (200_000, 300, 0)
    assert (settings.stripe_api_base, settings.coingecko_api_key, settings.sweep) == (None, None, True)
    assert [tier.cents for tier in settings.confirmations] == [10_000, 100_000, None]
    assert settings.other_credits.search("Top-up via pi_3") == "topup"
    assert not settings.other_credits.search("A top-up via pi_3")


@pytest.mark.parametrize(
    ("description", "name"),
    [
        ("Top-up via pi_3Q", "topup"),
        ("Auto top-up via pi_3Q", "topup"),
        ("Enterprise buffer regrant for May", "enterprise"),
        ("Enterprise credit buffer", "enterprise"),
        ("Admin grant: sorry", "old_grants"),
        ("LITKEY payment tx=0xab", "old_litkey"),
        ("LITKEY payment 0x" + "ab" * 32, None),  # ours
        ("A gift. Admin grant: no", None),
        ("topup", None),
        ("", None),
    ],
)
def test_the_default_names_the_credits_of_the_live_systems(description: str, name: str | None) -> None:
    credits_ = load(SERVE, COMPLETE).other_credits
    assert credits_.search(description) == name
    assert credits_.names == ("topup", "enterprise", "old_grants", "old_litkey")


def test_other_credits_are_named_patterns() -> None:
    named = load((), {"OTHER_CREDITS": " a=^x=1 ; b_2=^y|^x ;"}).other_credits
    assert named.names == ("a", "b_2")
    assert [named.search(text) for text in ("x=1", "x", "y", "z")] == ["a", "b_2", "b_2", None]
    for unnamed in ("^Top-up via pi_", "^LITKEY payment tx=", "^By hand"):
        assert load((), {"OTHER_CREDITS": unnamed}).other_credits.names == ("other",)


def test_known_sources_are_addresses_with_labels() -> None:
    assert load((), {}).known_sources == ()
    sources = load((), {"KNOWN_SOURCES": f"{ADDRESS}=Old payments (v1), 0x{'cd' * 20} = b"}).known_sources
    assert sources == (("0x" + "ab" * 20, "Old payments (v1)"), ("0x" + "cd" * 20, "b"))


def test_the_default_rates_are_a_share_of_what_this_kind_of_key_is_allowed() -> None:
    for key, rates in {
        "sk_test_1": (6, 20),
        "rk_test_1": (6, 20),
        "sk_live_1": (15, 60),
        "rk_live_1": (15, 60),
    }.items():
        assert is_live_key(key) == (rates == (15, 60))
        settings = load(SERVE, COMPLETE | {"STRIPE_API_KEY": key})
        assert (settings.stripe_rate, settings.stripe_total_rate) == rates
        settings = load(SERVE, COMPLETE | {"STRIPE_API_KEY": key, "STRIPE_RATE": "25"})
        assert (settings.stripe_rate, settings.stripe_total_rate) == (25, rates[1])
        settings = load(SERVE, COMPLETE | {"STRIPE_API_KEY": key, "STRIPE_RATE": "1000", "STRIPE_TOTAL_RATE": "10000"})
        assert (settings.stripe_rate, settings.stripe_total_rate) == (1000, 10_000)


def test_each_command_requires_only_what_it_uses() -> None:
    assert set(faults(SERVE)) == {f"{name} is missing" for name in COMPLETE}
    assert set(faults(SWEEP)) == {f"{name} is missing" for name in set(COMPLETE) - {"SIGNER_KEY"}}
    assert faults(STRIPE) == ["STRIPE_API_KEY is missing"]
    assert load(STRIPE, {"STRIPE_API_KEY": "sk"}).rpc_urls == ()
    assert load((), {}).signer_key is None


def test_empty_and_blank_count_as_absent() -> None:
    assert faults(STRIPE, STRIPE_API_KEY="  ") == ["STRIPE_API_KEY is missing"]
    assert load((), {"PORT": "", "CHAIN_ID": " "}).port == 8000


def test_all_faults_are_reported_together() -> None:
    reported = faults(
        SERVE, PORT="http", CHAIN_ID="0", SWEEP="yes", CONFIRMATIONS="soon", SIGNER_KEY="0x1", RPC_URLS="ws://x"
    )
    assert sorted(fault.split()[0] for fault in reported) == [
        "CHAIN_ID",
        "CONFIRMATIONS",
        "GATEWAY_ADDRESSES",
        "PORT",
        "RPC_URLS",
        "SERVICE_CUSTOMER_ID",
        "SIGNER_KEY",
        "STRIPE_API_KEY",
        "SWEEP",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRIPE_API_BASE", "https://api.stripe.com/v1"),
        ("STRIPE_API_BASE", "api.stripe.com"),
        ("STRIPE_API_BASE", "https://x?y"),
        ("STRIPE_RATE", "0"),
        ("STRIPE_RATE", "1001"),
        ("STRIPE_TOTAL_RATE", "10001"),
        ("STRIPE_RATE", "2.5"),
        ("STRIPE_RATE", "-1"),
        ("STRIPE_RATE", "٣"),
        ("PROCESSES", "0"),
        ("VISITOR_READS_PER_DAY", "0"),
        ("RPC_URLS", ","),
        ("RPC_URLS", "https://ok.example,file:///etc/passwd"),
        ("CHAIN_ID", "8453x"),
        ("GATEWAY_ADDRESSES", ADDRESS[:-1]),
        ("GATEWAY_ADDRESSES", f"{ADDRESS},{ADDRESS.lower()}"),  # duplicate
        ("GATEWAY_ADDRESSES", "vitalik.eth"),
        ("GATEWAY_ADDRESSES", f"0x{'ab' * 20},0x{'AB' * 4}{'cd' * 16}"),  # same key in Stripe's records
        ("RPC_URLS", "http://[bad"),
        ("RPC_URLS", "https://ok.example,http://[bad"),
        ("RPC_URLS", "http://host:99999999"),
        ("RPC_URLS", "http://host:port"),
        ("RPC_URLS", "http://host:0"),
        ("RPC_URLS", "http://host:-1"),
        ("RPC_URLS", "http://:8545"),
        ("SIGNER_KEY", "0" * 64),
        ("SIGNER_KEY", "0x" + "0" * 64),
        ("SIGNER_KEY", f"{ORDER:064x}"),
        ("SIGNER_KEY", f"0x{ORDER + 1:064X}"),
        ("SIGNER_KEY", "f" * 64),
        ("OTHER_CREDITS", "a{99999999999999999999}"),
        ("OTHER_CREDITS", "(" * 5_000),
        ("CONFIRMATIONS", "15s,finalized"),
        ("SIGNER_KEY", "0x" + "g" * 64),
        ("QUOTE_SECONDS", "601"),
        ("QUOTE_SECONDS", "29"),
        ("PORT", "65536"),
        ("PRICE_API_BASE", "https://api.coingecko.com/api/v3"),
        ("DISCOUNT_BPS", "10000"),
        ("MIN_PAYMENT_CENTS", "0"),
        ("SWEEP", "true"),
        ("SWEEP_SECONDS", "0"),
        *(("KNOWN_SOURCES", text) for text in (ADDRESS, f"{ADDRESS}=", f"{ADDRESS}=a,{ADDRESS.lower()}=b", "0x12=old")),
        ("OTHER_CREDITS", "("),
        ("OTHER_CREDITS", "topup=^a;old=("),
        ("OTHER_CREDITS", "topup=^a;topup=^b"),
        ("OTHER_CREDITS", "^Top-up;^Gift"),
        ("SERVICE_CUSTOMER_ID", "cus_"),
        ("SERVICE_CUSTOMER_ID", "cus_a/../b"),
        ("SERVICE_CUSTOMER_ID", "cus_" + "a" * 29),
    ],
)
def test_an_invalid_value_is_reported_by_name_only(name: str, value: str) -> None:
    [fault] = faults(frozenset(), **{name: value})
    assert fault.startswith(f"{name} ")
    if len(value) > 5:
        assert value not in fault


def test_the_minimum_payment_must_not_exceed_the_maximum() -> None:
    [fault] = faults(frozenset(), MIN_PAYMENT_CENTS="6", MAX_PAYMENT_CENTS="5")
    assert fault == "MIN_PAYMENT_CENTS is above MAX_PAYMENT_CENTS"
    reported = faults(STRIPE, MIN_PAYMENT_CENTS="6", MAX_PAYMENT_CENTS="5", PORT="http")
    assert sorted(fault.split()[0] for fault in reported) == ["MIN_PAYMENT_CENTS", "PORT", "STRIPE_API_KEY"]
    for environ in ({"MIN_PAYMENT_CENTS": "x", "MAX_PAYMENT_CENTS": "5"}, {"MAX_PAYMENT_CENTS": "x"}):
        assert "MIN_PAYMENT_CENTS is above MAX_PAYMENT_CENTS" not in faults(frozenset(), **environ)
    assert load((), {"MIN_PAYMENT_CENTS": "5", "MAX_PAYMENT_CENTS": "5"}).max_payment_cents == 5


def test_each_process_has_a_share_of_the_visitors_reads() -> None:
    [fault] = faults(frozenset(), VISITOR_READS_PER_DAY="2", PROCESSES="3")
    assert fault == "VISITOR_READS_PER_DAY is below PROCESSES, which share it"
    assert load((), {"VISITOR_READS_PER_DAY": "3", "PROCESSES": "3"}).visitor_reads_per_day == 3


@pytest.mark.parametrize("key", [1, ORDER - 1])
def test_every_valid_private_key_is_accepted(key: int) -> None:
    assert load((), {"SIGNER_KEY": f"{key:064x}"}).signer_key == f"{key:064x}"


@pytest.mark.parametrize("name", ["STRIPE_API_KEY", "RESEND_API_KEY", "COINGECKO_API_KEY"])
@pytest.mark.parametrize("key", ["k\u00e9y", "sk_test_a b", "sk\ttest", "sk_test_\u200b1", "sk\x7f"])
def test_a_key_is_what_a_header_can_carry(name: str, key: str) -> None:
    [fault] = faults(frozenset(), **{name: key}, MAIL_FROM="a@example.org" if name == "RESEND_API_KEY" else "")
    assert fault == f"{name} must be a key of visible ASCII characters, which a header can carry"


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "HOST": ["a..b", "a b", "[::]", "10.0.0", "0.0.0.0:80", "h\u00f6st"],
        "COINGECKO_ID": ["a b", "a/../b", "lit?x", "\u00e9", "..", "x" * 101],
        "MAIL_FROM": ["Billing", "Billing <>", "a@b c@d", "Billing\n<a@b.c>", "<a@b.c> Billing"],
        "CLIENT_IP_HEADER": ["Forwarded", "X-Real IP"],
    }.items(),
)
def test_what_cannot_work_is_refused(name: str, values: list[str]) -> None:
    for value in values:
        [fault] = faults(frozenset(), **{name: value}, RESEND_API_KEY="re_1" if name == "MAIL_FROM" else "")
        assert fault.startswith(f"{name} must be ")


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "HOST": ["0.0.0.0", "::", "::1", "localhost", "fly-local-6pn", "billing.internal"],  # noqa: S104
        "COINGECKO_ID": ["lit-protocol", "usd-coin", "0x", "a.b_c"],
        "MAIL_FROM": ["billing@example.org", "Billing <billing@example.org>", "Stra\u00dfe & Co. <a+b@example.org>"],
        "CLIENT_IP_HEADER": ["Fly-Client-IP", "X-Forwarded-For"],
    }.items(),
)
def test_what_works_is_accepted(name: str, values: list[str]) -> None:
    for value in values:
        load((), {name: value, "RESEND_API_KEY": "re_1" if name == "MAIL_FROM" else ""})


@pytest.mark.parametrize("url", ["http://[sesame", "http://host:sesame", "http://host:99999999"])
def test_a_malformed_node_url_is_not_shown(url: str) -> None:
    assert faults(frozenset(), RPC_URLS=url) == ["RPC_URLS must be http(s) URLs with commas between them"]


def test_node_urls_may_have_ports_paths_and_keys() -> None:
    urls = ("http://127.0.0.1:8545", "https://[::1]:8545/v2/key", "https://user:pass@node.example/?key=x")
    assert load((), {"RPC_URLS": ",".join(urls)}).rpc_urls == urls


def test_repr_hides_secrets() -> None:
    text = repr(load(SERVE, COMPLETE | {"COINGECKO_API_KEY": "sesame4"}))
    assert "sesame" not in text
    assert "5e5a3e" not in text
    assert "cus_Service1" in text


def test_settings_with_keys_are_marked_secret() -> None:
    marked = {setting.name for setting in fields(Settings) if setting.metadata["secret"]}
    expected = {setting.name for setting in fields(Settings) if setting.name.endswith(("_key", "_secret", "_secrets"))}
    assert marked == expected | {"rpc_urls", "credit_hook_url"}
    assert all(setting.repr is not setting.metadata["secret"] for setting in fields(Settings))


NAMES = st.sampled_from([setting.name.upper() for setting in fields(Settings) if setting.name != "other_credits"])


@given(st.dictionaries(NAMES, st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40), max_size=4))
def test_any_environment_gives_settings_or_named_faults(environ: dict[str, str]) -> None:
    reported = []
    try:
        load(SERVE, COMPLETE | environ)
    except BadSettings as error:
        reported = error.faults or [""]
    assert all(fault.split()[0] in {*environ, *COMPLETE, "MIN_PAYMENT_CENTS"} for fault in reported)


def test_pages_of_operators_need_our_own_name() -> None:
    operators = COMPLETE | {"OPERATORS": "a@example.org=admin", "SESSION_SECRETS": "s" * 24}
    local = load(SERVE, operators | {"PORT": "8123"}, serves_pages=True)
    assert local.site_url == "http://localhost:8123"
    public = {"PUBLIC_URL": "https://pay.example.org/"}
    for place in ({"HOST": "0.0.0.0"}, {"CLIENT_IP_HEADER": "x-ip"}, {"HOST": "billing.internal"}):  # noqa: S104
        with pytest.raises(BadSettings, match="PUBLIC_URL is missing: OPERATORS needs it"):
            load(SERVE, operators | place, serves_pages=True)
        assert load(SERVE, operators | place).site_url is None  # a command without pages
        assert load(SERVE, COMPLETE | place, serves_pages=True).site_url is None  # nobody signs in
        assert load(SERVE, operators | place | public, serves_pages=True).site_url == "https://pay.example.org"


def test_pages_and_metrics_have_ports_of_their_own() -> None:
    for environ in ({"PORT": "9090"}, {"METRICS_PORT": "8000"}, {"PORT": "7", "METRICS_PORT": "7"}):
        with pytest.raises(BadSettings) as caught:
            load(SERVE, COMPLETE | environ, serves_pages=True)
        assert caught.value.faults == ["METRICS_PORT must differ from PORT (0: no metrics are served)"]
        assert load(SWEEP, COMPLETE | environ).port, "a command without pages listens for metrics alone"
    assert load(SERVE, COMPLETE | {"PORT": "0", "METRICS_PORT": "0"}, serves_pages=True).metrics_port == 0


OUTSIDE_URLS = {
    "STRIPE_API_BASE": "http://stripe.example",
    "RPC_URLS": "https://one.example,http://two.example",
    "CREDIT_HOOK_URL": "http://10.0.0.7/hook",
    "RESEND_API_BASE": "http://mail.example",
    "PRICE_API_BASE": "http://127.0.0.1.example",
}


@pytest.mark.parametrize(("name", "url"), OUTSIDE_URLS.items())
def test_other_hosts_are_reached_by_https_unless_a_setting_allows_http(name: str, url: str) -> None:
    environ = COMPLETE | {"CREDIT_HOOK_SECRET": "secret-of-hook", name: url}
    expected = f"{name} must be https:// for a host that is not this machine (or set PLAIN_HTTP=on)"
    assert faults(SERVE, **environ) == [expected]
    assert load(SERVE, environ | {"PLAIN_HTTP": "on"}).plain_http


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", "http://127.8.0.1"])
def test_this_machine_is_reached_by_http(url: str) -> None:
    load(SERVE, COMPLETE | {"STRIPE_API_BASE": url, "RPC_URLS": url, "PRICE_API_BASE": url})


@pytest.mark.parametrize(
    "url", ["https://help.example.org", "https://help.example.org/new?team=2#form", "mailto:help+pay@example.org"]
)
def test_support_is_a_page_or_an_address(url: str) -> None:
    assert load((), {"SUPPORT_URL": url}).support_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://help.example.org",
        "javascript:alert(1)",
        "help@example.org",
        "mailto:",
        "mailto:help",
        "mailto:help@example.org?subject=x",
        "mailto:a@example.org,b@example.org",
        "mailto:help@example.org\r\nBcc: x",
        'https://help.example.org/"><script>',
        "https://",
        "https://help.example.org/" + "x" * 1000,
    ],
)
def test_other_support_is_refused(url: str) -> None:
    assert faults(frozenset(), SUPPORT_URL=url) == ["SUPPORT_URL must be https://… or mailto:name@host"]


def test_seller_is_one_short_line() -> None:
    assert load((), {"SELLER_NAME": " Straße & Söhne <GmbH> "}).seller_name == "Straße & Söhne <GmbH>"
    for name in ("x" * 101, "Lit\nProtocol", "Lit\u202eProtocol"):
        [fault] = faults(frozenset(), SELLER_NAME=name)
        assert fault == "SELLER_NAME must be a name of at most 100 characters on one line"


def test_origins_are_in_the_form_of_browsers() -> None:
    assert load((), {}).cors_origins == ()
    assert load((), {"CORS_ORIGINS": "*"}).cors_origins == ("*",)
    given = (
        "https://Shop.example.org/, https://a.example:443,http://b.example:80,http://localhost:3000,http://[::1]:8443"
    )
    expected = ("https://shop.example.org", "https://a.example", "http://b.example", "http://localhost:3000")
    assert load((), {"CORS_ORIGINS": given}).cors_origins == (*expected, "http://[::1]:8443")
    for origin in ("https://Shop.example.org/", "https://shop.example.org:443"):
        assert load((), {"RETURN_URLS": origin}).return_urls == ("https://shop.example.org",)


@pytest.mark.parametrize("name", ["CORS_ORIGINS", "RETURN_URLS"])
@pytest.mark.parametrize(
    "value",
    [
        "shop.example.org",
        "https://shop.example.org/path",
        "https://shop.example.org?x",
        "https://*.example.org",
        "https://shop.example.org,*",
        "https://me@shop.example.org",
        "https://shop.example.org:99999",
        "https://bücher.example",
        "https://shop.example.org https://b.example",
        "ftp://shop.example.org",
        "null",
        "**",
        ",",
    ],
)
def test_what_no_browser_sends_as_an_origin_is_refused(name: str, value: str) -> None:
    assert faults(frozenset(), **{name: value}) == [
        f"{name} must be origins, such as https://shop.example.org, with commas between them"
    ]


def test_a_header_may_carry_the_webhooks_secret() -> None:
    hook = {"CREDIT_HOOK_URL": "https://api.example.org/x?key=sesame-of-query", "CREDIT_HOOK_SECRET": "Bearer s3same"}
    loaded = load((), hook | {"CREDIT_HOOK_HEADER": "X-Internal-Secret"})
    assert loaded.credit_hook_header == "x-internal-secret"
    assert "sesame" not in repr(loaded)
    assert {"sesame-of-query", "Bearer s3same"} <= secrets(hook)


def test_short_keys_of_a_url_are_secrets_and_its_words_are_not() -> None:
    hook = "https://h.example/hook/s3cr3t-abc?token=short1234&v=1"
    nodes = "https://a.example/base/v1?chainId=8453&key=abc,https://b.example/mainnet"
    assert secrets({"CREDIT_HOOK_URL": hook, "RPC_URLS": nodes}) == {
        hook,
        "/hook/s3cr3t-abc",
        "hook/s3cr3t-abc",
        "token=short1234&v=1",
        "short1234",
        nodes,
        *nodes.split(","),
        "chainId=8453&key=abc",
    }


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"CREDIT_HOOK_HEADER": "X Internal"}, "CREDIT_HOOK_HEADER must be the name of a header"),
        ({"CREDIT_HOOK_HEADER": "Content-Length"}, "CREDIT_HOOK_HEADER must be a header of the receiver's own"),
        ({"CREDIT_HOOK_HEADER": "Billing-Signature"}, "CREDIT_HOOK_HEADER must be a header of the receiver's own"),
        ({"CREDIT_HOOK_SECRET": "schlüssel-schlüssel"}, "CREDIT_HOOK_SECRET must be printable ASCII"),
        ({"CREDIT_HOOK_SECRET": "abc\r\nx-admin: 1"}, "CREDIT_HOOK_SECRET must be printable ASCII"),
        ({"CREDIT_HOOK_SECRET": ""}, "CREDIT_HOOK_SECRET is missing"),
        ({"CREDIT_HOOK_SECRET": "x" * 11}, "CREDIT_HOOK_SECRET must have at least 12 characters"),
        ({"CREDIT_HOOK_URL": ""}, "CREDIT_HOOK_HEADER needs CREDIT_HOOK_URL"),
    ],
)
def test_a_header_that_cannot_carry_it_is_refused(changed: dict[str, str], words: str) -> None:
    hook = {"CREDIT_HOOK_URL": "https://a.example/", "CREDIT_HOOK_SECRET": "x" * 12, "CREDIT_HOOK_HEADER": "X-Secret"}
    [fault] = faults(frozenset(), **(hook | changed))
    assert fault.startswith(words)
    assert "schlüssel" not in fault
