"""Sign-in is bound to the requesting browser, limited in time, and open to the roster only."""

import asyncio
import contextlib
import re

import httpx
import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from stateless_billing.domain.errors import ProblemError
from stateless_billing.operators.mailer import Mail, Mailer
from stateless_billing.operators.roster import Operator, parse_roster
from stateless_billing.operators.sign_in import (
    IDLE_SECONDS,
    LINK_SECONDS,
    RECENT_SIGN_IN_SECONDS,
    SESSION_SECONDS,
    SignIns,
)
from stateless_billing.operators.signed_tokens import Tokens
from stateless_billing.operators.wallet_sign_in import WALLET_SECONDS
from tests.fakes.factories import CHAIN_ID, START, FakeClock

SECRET, NEWER = "a-secret-of-at-least-32-characters", "a-newer-secret-of-32-characters!!"
ANN, BEN, NOBODY = "ann@example.org", "o'neil@example.org", "nobody@example.org"
KEY = "0x" + "4c" * 32
WALLET = Account.from_key(KEY).address.lower()
ROSTER = parse_roster(f"Ann@Example.org=moderator,{BEN}=auditor,{WALLET}=admin")
ORIGIN = "https://billing.example.org"
MINUTE = START // 60 * 60


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(wall_time=float(MINUTE))


def process(clock: FakeClock, *secrets: str, roster: str | None = None, chain_id: int = CHAIN_ID) -> SignIns:
    """Create another process, with empty caches."""
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(500)))
    mailer = Mailer(http, "https://mail.example", "re_x", "a@b")
    names = ROSTER if roster is None else parse_roster(roster)
    return SignIns(
        tokens=Tokens(secrets or (SECRET,), clock), roster=names, mailer=mailer, chain_id=chain_id, clock=clock
    )


def wallet_sign_in(signins: SignIns, signed: str, cookie: str | None, origin: str) -> tuple[Operator, str]:
    """Sign in by wallet to the end."""
    return asyncio.run(signins.wallets.sign_in(signed, cookie, origin))


class Browser:
    """A browser with the cookie of its last request."""

    def __init__(self) -> None:
        self.cookie: str | None = None

    def request(self, signins: SignIns, email: str, onward: str = "/admin") -> Mail | None:
        """Request a mail."""
        self.cookie, mail = signins.request_link(email, self.cookie, onward, ORIGIN)
        return mail


def requested(signins: SignIns, email: str = ANN) -> tuple[Browser, Mail]:
    """Request a mail; return the browser and the mail."""
    browser = Browser()
    mail = browser.request(signins, email)
    assert mail
    return browser, mail


def token_of(mail: Mail) -> str:
    """Return the token in a mail's link."""
    match = re.search(rf"{ORIGIN}/login/link\?token=([\w.-]+)\s", mail.text)
    assert match
    assert f'href="{ORIGIN}/login/link?token={match[1]}"' in mail.html
    return match[1]


def code_of(mail: Mail) -> str:
    """Return the code in a mail."""
    match = re.search(r"code: ([A-Z2-7]{4}-[A-Z2-7]{4})\n", mail.text)
    assert match
    assert match[1] in mail.html
    return match[1]


def problem(sentence: str, code: str = "sign_in_failed") -> "pytest.RaisesExc[ProblemError]":
    """Expect a problem with these words and this code."""
    return pytest.raises(ProblemError, match=sentence, check=lambda error: error.code == code)


# Sessions


def test_a_session_is_recent_for_twelve_hours(clock: FakeClock) -> None:
    signins = process(clock)
    cookie = signins.create_session(Operator(ANN, "moderator"))
    session = signins.session(cookie)
    assert session
    assert (session.operator, session.since) == (Operator(ANN, "moderator"), MINUTE)
    clock.wait(RECENT_SIGN_IN_SECONDS)
    assert signins.is_recent(session)
    clock.wait(1)
    assert not signins.is_recent(session)


def test_a_session_in_use_lasts_seven_days(clock: FakeClock) -> None:
    signins = process(clock)
    cookie = signins.create_session(Operator(ANN, "moderator"))
    first = signins.session(cookie)
    assert first
    assert signins.renewed_cookie(first) is None  # it is new enough
    for _ in range(SESSION_SECONDS // IDLE_SECONDS):
        clock.wait(IDLE_SECONDS)
        session = signins.session(cookie)
        assert session
        assert (session.id, session.since) == (first.id, MINUTE)
        cookie = signins.renewed_cookie(session) or ""
    clock.wait(1)
    assert signins.session(cookie) is None


def test_an_idle_session_ends_after_twelve_hours(clock: FakeClock) -> None:
    signins = process(clock)
    cookie = signins.create_session(Operator(ANN, "moderator"))
    clock.wait(IDLE_SECONDS)
    assert signins.session(cookie)
    clock.wait(1)
    assert signins.session(cookie) is None


def test_a_cookie_of_an_older_version(clock: FakeClock) -> None:
    signins = process(clock)
    session = signins.session(signins.tokens.seal("session", {"who": ANN}))
    assert session
    assert (session.since, session.renewed_at) == (MINUTE, MINUTE)


def test_the_current_roster_decides(clock: FakeClock) -> None:
    cookie = process(clock).create_session(Operator(ANN, "moderator"))
    assert process(clock, roster=f"{BEN}=admin").session(cookie) is None
    assert process(clock, roster="").session(cookie) is None
    session = process(clock, roster=f"{ANN}=auditor").session(cookie)
    assert session
    assert session.operator.role == "auditor"  # the role is the roster's, not the cookie's


@pytest.mark.parametrize("cookie", [None, "", "x", "é", "a.b", "x" * 100_000])
def test_an_invalid_cookie_has_no_session(clock: FakeClock, cookie: str | None) -> None:
    assert process(clock).session(cookie) is None


def test_other_tokens_are_not_sessions(clock: FakeClock) -> None:
    signins = process(clock)
    browser, mail = requested(signins)
    _, wallet = signins.wallets.create_challenge(WALLET, ORIGIN, "/admin")
    for value in (browser.cookie, token_of(mail), wallet):
        assert signins.session(value) is None
    session = signins.create_session(Operator(ANN, "moderator"))
    assert signins.requested_email(session) is None
    with problem("incomplete or was altered"):
        signins.email_of_link(session)
    with problem("has expired"):
        wallet_sign_in(signins, "0x", session, ORIGIN)


# Mail


def test_link_and_code_sign_in_ignoring_case(clock: FakeClock) -> None:
    signins = process(clock)
    browser = Browser()
    mail = browser.request(signins, f"  {ANN.upper()}\n", "/admin/stuck")
    assert mail
    assert (mail.to, signins.requested_email(browser.cookie)) == (ANN, ANN)
    assert signins.onward_path(browser.cookie) == "/admin/stuck"
    assert signins.is_same_browser(token_of(mail), browser.cookie)
    assert signins.sign_in_by_link(token_of(mail), browser.cookie) == Operator(ANN, "moderator")
    assert process(clock).sign_in_by_code(code_of(mail), browser.cookie) == Operator(ANN, "moderator")


def test_an_apostrophe_in_an_address(clock: FakeClock) -> None:
    signins = process(clock)
    browser, mail = requested(signins, "O'Neil@Example.ORG")
    assert mail.to == BEN
    assert signins.sign_in_by_link(token_of(mail), browser.cookie) == Operator(BEN, "auditor")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "@",
        "ann@",
        "@example.org",
        "a@b@c",
        "ann@example.org,ben@example.org",
        "<ann@example.org>",
        WALLET,
        "x" * 65 + "@example.org",
        "ann@" + "x" * 256,
        "ann\r\nBcc: ben@example.org",
        "a b@example.org",
        "\0",
    ],
)
def test_a_malformed_address_is_rejected(clock: FakeClock, text: str) -> None:
    with problem("not an email address", "invalid_input"):
        process(clock).request_link(text, None, "/admin", ORIGIN)


def test_an_unlisted_address_gets_a_cookie_and_no_mail(clock: FakeClock) -> None:
    signins = process(clock)
    stranger, listed = Browser(), Browser()
    assert stranger.request(signins, "xnn@example.org") is None
    assert listed.request(signins, ANN)
    cookies = [signins.tokens.open("asked", browser.cookie or "", 60) for browser in (stranger, listed)]
    assert cookies[0].keys() == cookies[1].keys()
    assert [cookie["minutes"] for cookie in cookies] == [[MINUTE // 60]] * 2
    guessed = process(clock, roster="xnn@example.org=admin").request_link("xnn@example.org", None, "", ORIGIN)[1]
    assert guessed
    with problem("not sign in here"):  # even with the right code
        signins.sign_in_by_code(code_of(guessed), stranger.cookie)
    with problem("not sign in here"):
        signins.sign_in_by_link(token_of(guessed), stranger.cookie)


def test_cookies_do_not_reveal_who_is_listed(clock: FakeClock) -> None:
    """Cookies are not secret: repeated requests must show the same values, mail or not."""
    signins, observed = process(clock), list[list[object]]()
    browsers = {name: Browser() for name in (ANN, BEN, NOBODY)}
    for wait in (0, 50, 5, 3, 1, 1, 30, 61, 59, 1):
        clock.wait(wait)
        minutes: list[object] = []
        for name, browser in browsers.items():
            mail = browser.request(signins, name)
            if mail and name == BEN:
                signins.record_not_sent(mail)  # nor a listed address whose mail failed
            minutes.append(signins.tokens.open("asked", browser.cookie or "", 60)["minutes"])
        observed.append(minutes)
    assert all(value == minutes[0] for minutes in observed for value in minutes), observed


def test_mails_of_one_minute_are_equal(clock: FakeClock) -> None:
    first = requested(process(clock))[1]
    clock.wait(59)
    second = requested(process(clock))[1]
    assert first == second
    clock.wait(1)
    third = requested(process(clock))[1]
    assert third.key != first.key
    assert code_of(third) != code_of(first)
    assert requested(process(clock), BEN)[1].key != third.key
    assert ANN not in third.key


def test_one_mail_a_minute_works_for_all_requesting_browsers(clock: FakeClock) -> None:
    clock.wait(50)
    signins = process(clock)
    first, mail = requested(signins)
    clock.wait(30)  # the next minute
    second = Browser()
    assert second.request(signins, ANN) is None
    for browser in (first, second):
        assert signins.sign_in_by_link(token_of(mail), browser.cookie).name == ANN
        assert process(clock).sign_in_by_code(code_of(mail), browser.cookie).name == ANN
    clock.wait(31)
    assert second.request(signins, ANN)


def test_an_address_gets_a_bounded_number_of_mails_a_day(clock: FakeClock) -> None:
    """A stranger uses up his network's share; the operator's own network still gets mails."""
    signins = process(clock)
    for name in (ANN, NOBODY):  # the answer does not tell who is listed
        for _ in range(20):
            signins.request_link(name, None, "/admin", ORIGIN, "10.0.0.1")
            clock.wait(61)
    for name in (ANN, NOBODY):
        with problem("Too many sign-in emails", "rate_limited"):
            signins.request_link(name, None, "/admin", ORIGIN, "10.0.0.1")
    assert signins.request_link(ANN, None, "/admin", ORIGIN, "10.0.0.2")[1]
    sent = 21
    for network in range(3, 8):
        for _ in range(20):
            clock.wait(61)
            with contextlib.suppress(ProblemError):
                sent += signins.request_link(ANN, None, "/admin", ORIGIN, f"10.0.0.{network}")[1] is not None
    assert 60 <= sent <= 70
    clock.wait(24 * 3600)
    assert signins.request_link(ANN, None, "/admin", ORIGIN, "10.0.0.1")[1]


def test_a_failed_mail_is_sent_at_the_next_request(clock: FakeClock) -> None:
    signins = process(clock)
    browser, mail = requested(signins)
    assert browser.request(signins, ANN) is None
    signins.record_not_sent(mail)
    assert browser.request(signins, ANN) == mail


def test_a_repeated_request_keeps_earlier_mails_valid(clock: FakeClock) -> None:
    signins = process(clock)
    browser = Browser()
    mails = []
    for _ in range(7):
        mail = browser.request(signins, ANN)
        assert mail
        mails.append(mail)
        clock.wait(61)
    assert [signins.is_same_browser(token_of(mail), browser.cookie) for mail in mails] == [False] * 2 + [True] * 5
    assert signins.sign_in_by_code(code_of(mails[2]), browser.cookie).name == ANN
    assert browser.request(signins, BEN)  # another address invalidates the earlier mails
    assert not signins.is_same_browser(token_of(mails[-1]), browser.cookie)


def test_another_browser_sees_the_code_and_cannot_sign_in(clock: FakeClock) -> None:
    signins = process(clock)
    _, mail = requested(signins)
    phone, neighbour = Browser(), Browser()
    assert neighbour.request(signins, BEN)
    clock.wait(61)
    later = Browser()
    assert later.request(process(clock), ANN)  # the same address in another minute
    for browser in (phone, neighbour, later):
        assert not signins.is_same_browser(token_of(mail), browser.cookie)
        assert signins.code_of_link(token_of(mail)) == code_of(mail)
        with problem("only in the browser that asked"):
            signins.sign_in_by_link(token_of(mail), browser.cookie)
        with pytest.raises(ProblemError):
            signins.sign_in_by_code(code_of(mail), browser.cookie)


def test_links_and_codes_expire_even_with_a_new_cookie(clock: FakeClock) -> None:
    signins = process(clock)
    browser, mail = requested(signins)
    clock.wait(LINK_SECONDS - 30)
    assert browser.request(signins, ANN)  # renews the cookie, not the mail
    clock.wait(30)
    assert signins.sign_in_by_link(token_of(mail), browser.cookie).name
    assert process(clock).sign_in_by_code(code_of(mail), browser.cookie).name
    clock.wait(1)
    with problem("more than 10 minutes old"):
        signins.sign_in_by_link(token_of(mail), browser.cookie)
    with problem("not the email's code"):
        signins.sign_in_by_code(code_of(mail), browser.cookie)


def test_each_request_works_once_per_process(clock: FakeClock) -> None:
    signins = process(clock)
    browser, mail = requested(signins)
    assert signins.sign_in_by_link(token_of(mail), browser.cookie).name == ANN
    with problem("signed somebody in before"):
        signins.sign_in_by_link(token_of(mail), browser.cookie)
    with problem("signed somebody in before"):
        signins.sign_in_by_code(code_of(mail), browser.cookie)
    again = Browser()
    clock.wait(61)
    later = again.request(signins, ANN)
    assert later
    assert signins.sign_in_by_code(code_of(later), again.cookie).name == ANN


def test_a_request_expires(clock: FakeClock) -> None:
    signins = process(clock)
    browser, mail = requested(signins)
    clock.wait(LINK_SECONDS + 61)
    with problem("asked for no link in the last 10 minutes"):
        signins.sign_in_by_code(code_of(mail), browser.cookie)


@pytest.mark.parametrize("typed", ["{0}", " {0} ", "{1}", "{2}", "{3}", "\t{3}\n"])
def test_codes_are_accepted_as_typed(clock: FakeClock, typed: str) -> None:
    signins = process(clock)
    browser, mail = requested(signins)
    code = code_of(mail)
    plain = code.replace("-", "")
    text = typed.format(code, code.lower(), " ".join(plain), plain)
    assert signins.sign_in_by_code(text, browser.cookie).name == ANN


@pytest.mark.parametrize(
    "typed", ["", "-", "AAAA", "é" * 8, "\ud83d\ude00", "A" * 10_000, "\N{RIGHT-TO-LEFT OVERRIDE}"]
)
def test_a_wrong_code_is_rejected(clock: FakeClock, typed: str) -> None:
    signins = process(clock)
    browser, _ = requested(signins)
    with problem("not the email's code"):
        signins.sign_in_by_code(typed.encode("utf-16", "surrogatepass").decode("utf-16"), browser.cookie)


def test_wrong_codes_are_limited_per_browser(clock: FakeClock) -> None:
    signins = process(clock)
    browser, mail = requested(signins)
    for _ in range(10):
        browser.request(signins, ANN)  # asking again gives no more attempts
        with problem("not the email's code"):
            signins.sign_in_by_code("AAAAAAAA", browser.cookie)
    with problem("Wait a minute", "rate_limited"):
        signins.sign_in_by_code(code_of(mail), browser.cookie)
    assert signins.sign_in_by_link(token_of(mail), browser.cookie).name  # links are not limited
    other, others_mail = requested(signins, BEN)
    assert signins.sign_in_by_code(code_of(others_mail), other.cookie).name
    clock.wait(60)
    with problem("signed somebody in before"):  # by the link: not limited any more
        signins.sign_in_by_code(code_of(mail), browser.cookie)


def test_a_strangers_wrong_codes_lock_nobody_out(clock: FakeClock) -> None:
    signins = process(clock)
    browser, mail = requested(signins)
    stranger = Browser()
    stranger.request(signins, ANN)
    for _ in range(11):
        with pytest.raises(ProblemError):
            signins.sign_in_by_code("AAAAAAAA", stranger.cookie)
    with problem("Wait a minute", "rate_limited"):
        signins.sign_in_by_code("AAAAAAAA", stranger.cookie)
    assert signins.sign_in_by_code(code_of(mail), browser.cookie).name == ANN


def test_secret_rotation_during_a_sign_in_by_mail(clock: FakeClock) -> None:
    before, between, after = process(clock), process(clock, NEWER, SECRET), process(clock, NEWER)
    browser, mail = requested(before)
    assert between.sign_in_by_link(token_of(mail), browser.cookie).name
    assert process(clock, NEWER, SECRET).sign_in_by_code(code_of(mail), browser.cookie).name
    newer, newer_mail = requested(between)
    assert after.sign_in_by_code(code_of(newer_mail), newer.cookie).name
    with problem("asked for no link"):
        after.sign_in_by_code(code_of(mail), browser.cookie)
    with problem("incomplete or was altered"):
        after.sign_in_by_link(token_of(mail), browser.cookie)


def test_without_an_origin_the_mail_has_only_the_code(clock: FakeClock) -> None:
    _, mail = process(clock).request_link(ANN, None, "/admin", None)
    assert mail
    assert code_of(mail)
    assert "http" not in mail.text + mail.html


def test_without_a_mailer_no_mail_is_created(clock: FakeClock) -> None:
    signins = SignIns(tokens=Tokens((SECRET,), clock), roster=ROSTER, mailer=None, chain_id=CHAIN_ID, clock=clock)
    assert signins.request_link(ANN, None, "/admin", ORIGIN)[1] is None
    assert signins.has_operators
    assert not SignIns(
        tokens=Tokens((), clock), roster=parse_roster(""), mailer=None, chain_id=CHAIN_ID, clock=clock
    ).has_operators


# Wallets


def signature(message: str, key: str = KEY) -> str:
    """Sign a message as a wallet does."""
    return f"0x{Account.sign_message(encode_defunct(text=message), key).signature.hex()}"


def test_sign_in_by_wallet(clock: FakeClock) -> None:
    message, cookie = process(clock).wallets.create_challenge(WALLET, ORIGIN, "/admin/grants")
    assert f"{ORIGIN.removeprefix('https://')} wants you to sign in" in message
    assert f"Chain ID: {CHAIN_ID}\n" in message
    clock.wait(WALLET_SECONDS)
    operator, onward = wallet_sign_in(process(clock), signature(message), cookie, ORIGIN)
    assert (operator, onward) == (Operator(WALLET, "admin"), "/admin/grants")
    clock.wait(1)
    with problem("has expired"):
        wallet_sign_in(process(clock), signature(message), cookie, ORIGIN)


def test_a_compact_signature_signs_in(clock: FakeClock) -> None:
    """EIP-2098: 64 bytes, of both parities."""
    parities = set()
    for _ in range(20):
        message, cookie = process(clock).wallets.create_challenge(WALLET, ORIGIN, "/admin")
        signed = Account.sign_message(encode_defunct(text=message), KEY)
        compact = signed.r.to_bytes(32) + (signed.s + ((signed.v - 27) << 255)).to_bytes(32)
        assert wallet_sign_in(process(clock), f"0x{compact.hex()}", cookie, ORIGIN)[0].name == WALLET
        with problem("not from this wallet"):
            wallet_sign_in(process(clock), f"0x{(compact[:-1] + bytes([compact[-1] ^ 1])).hex()}", cookie, ORIGIN)
        parities.add(signed.v)
    assert parities == {27, 28}


def test_each_message_works_once_per_process(clock: FakeClock) -> None:
    signins = process(clock)
    message, cookie = signins.wallets.create_challenge(WALLET, ORIGIN, "/admin")
    with problem("not from this wallet"):
        wallet_sign_in(signins, signature(message, "0x" + "5d" * 32), cookie, ORIGIN)
    assert wallet_sign_in(signins, signature(message), cookie, ORIGIN)
    for wait in (0, WALLET_SECONDS - 1):
        clock.wait(wait)
        with problem("signed somebody in before"):
            wallet_sign_in(signins, signature(message), cookie, ORIGIN)


def test_each_message_is_valid_for_one_browser(clock: FakeClock) -> None:
    signins = process(clock)
    first_message, first_cookie = signins.wallets.create_challenge(WALLET, ORIGIN, "/admin")
    second_message, second_cookie = signins.wallets.create_challenge(WALLET, ORIGIN, "/admin")
    assert first_message != second_message
    assert wallet_sign_in(signins, signature(first_message), first_cookie, ORIGIN)
    for signed, cookie in ((first_message, second_cookie), (second_message, first_cookie)):
        with problem("not from this wallet"):
            wallet_sign_in(signins, signature(signed), cookie, ORIGIN)
    with problem("has expired"):
        wallet_sign_in(signins, signature(first_message), None, ORIGIN)


def test_a_message_of_another_site_chain_or_key_is_rejected(clock: FakeClock) -> None:
    signins = process(clock)
    message, cookie = signins.wallets.create_challenge(WALLET, ORIGIN, "/admin")
    with problem("another address of this site"):
        wallet_sign_in(signins, signature(message), cookie, "https://billing.example.net")
    with problem("not from this wallet"):  # a phishing page's message
        wallet_sign_in(signins, signature(message.replace("billing.example.org", "evil.example")), cookie, ORIGIN)
    with problem("not from this wallet"):
        wallet_sign_in(process(clock, chain_id=1), signature(message), cookie, ORIGIN)
    with problem("not from this wallet"):
        wallet_sign_in(signins, signature(message, "0x" + "5d" * 32), cookie, ORIGIN)
    for text in ("", "0x", "0x" + "zz" * 65, "0x" + "00" * 65, "\ud800", "0x" + "f" * 99_999):
        with problem("not from this wallet"):
            wallet_sign_in(signins, text, cookie, ORIGIN)


def test_an_unlisted_wallet_is_rejected(clock: FakeClock) -> None:
    stranger = "0x" + "5d" * 32
    message, cookie = process(clock).wallets.create_challenge(
        Account.from_key(stranger).address.lower(), ORIGIN, "/admin"
    )
    with problem("may not sign in here"):
        wallet_sign_in(process(clock), signature(message, stranger), cookie, ORIGIN)
    with problem("may not sign in here"):  # removed in the meantime
        message, cookie = process(clock).wallets.create_challenge(WALLET, ORIGIN, "/admin")
        wallet_sign_in(process(clock, roster=f"{ANN}=admin"), signature(message), cookie, ORIGIN)


@pytest.mark.parametrize(
    "address", ["", "0x", WALLET[:-1], WALLET + "0", WALLET.replace("0x", ""), ANN, "0x" + "g" * 40]
)
def test_a_malformed_wallet_is_rejected(clock: FakeClock, address: str) -> None:
    with problem("not a wallet address", "invalid_input"):
        process(clock).wallets.create_challenge(address, ORIGIN, "/admin")


def test_secret_rotation_during_a_sign_in_by_wallet(clock: FakeClock) -> None:
    message, cookie = process(clock).wallets.create_challenge(WALLET, ORIGIN, "/admin")
    assert wallet_sign_in(process(clock, NEWER, SECRET), signature(message), cookie, ORIGIN)
    with problem("has expired"):
        wallet_sign_in(process(clock, NEWER), signature(message), cookie, ORIGIN)
