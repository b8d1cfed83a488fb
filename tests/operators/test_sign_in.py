"""Signing in without a store: bound to the browser that asked, once a minute, in its time, and only who is listed."""

import re

import httpx
import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from stateless_billing.domain.errors import ProblemError
from stateless_billing.operators.mailer import Mail, Mailer
from stateless_billing.operators.roster import Operator, parse_roster
from stateless_billing.operators.sign_in import (
    LINK_SECONDS,
    RECENT_SIGN_IN_SECONDS,
    SESSION_SECONDS,
    WALLET_SECONDS,
    SignIns,
)
from stateless_billing.operators.signed_tokens import Tokens
from tests.fakes.factories import CHAIN_ID, START, FakeClock

SECRET, NEWER = "a-secret-of-at-least-32-characters", "a-newer-secret-of-32-characters!!"
ANN, BEN, NOBODY = "ann@example.org", "o'neil@example.org", "nobody@example.org"
KEY = "0x" + "4c" * 32
WALLET = Account.from_key(KEY).address.lower()
ROSTER = parse_roster(f"Ann@Example.org=moderator,{BEN}=auditor,{WALLET}=admin")
HERE = "https://billing.example.org"
MINUTE = START // 60 * 60


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(wall_time=float(MINUTE))


def process(clock: FakeClock, *secrets: str, roster: str | None = None, chain_id: int = CHAIN_ID) -> SignIns:
    """One more process that remembers nothing."""
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(500)))
    mailer = Mailer(http, "https://mail.example", "re_x", "a@b")
    names = ROSTER if roster is None else parse_roster(roster)
    return SignIns(
        tokens=Tokens(secrets or (SECRET,), clock), roster=names, mailer=mailer, chain_id=chain_id, clock=clock
    )


class Browser:
    """Keeps the cookie of who asked."""

    def __init__(self) -> None:
        self.cookie: str | None = None

    def ask(self, signins: SignIns, email: str, onward: str = "/admin") -> Mail | None:
        """Ask for a mail."""
        self.cookie, mail = signins.request_link(email, self.cookie, onward, HERE)
        return mail


def asked(signins: SignIns, email: str = ANN) -> tuple[Browser, Mail]:
    """A browser that asked, and the mail."""
    browser = Browser()
    mail = browser.ask(signins, email)
    assert mail
    return browser, mail


def token_of(mail: Mail) -> str:
    """The token in a mail's link."""
    found = re.search(rf"{HERE}/login/link\?token=([\w.-]+)\s", mail.text)
    assert found
    assert f'href="{HERE}/login/link?token={found[1]}"' in mail.html
    return found[1]


def code_of(mail: Mail) -> str:
    """The code in a mail."""
    found = re.search(r"code: ([A-Z2-7]{4}-[A-Z2-7]{4})\n", mail.text)
    assert found
    assert found[1] in mail.html
    return found[1]


def refused(sentence: str, code: str = "sign_in_failed") -> "pytest.RaisesExc[ProblemError]":
    """A refusal with these words, under this code."""
    return pytest.raises(ProblemError, match=sentence, check=lambda error: error.code == code)


# Sessions


def test_a_session_lasts_seven_days_and_is_fresh_for_twelve_hours(clock: FakeClock) -> None:
    signins = process(clock)
    cookie = signins.create_session(Operator(ANN, "moderator"))
    session = signins.session(cookie)
    assert session
    assert (session.operator, session.since) == (Operator(ANN, "moderator"), MINUTE)
    clock.wait(RECENT_SIGN_IN_SECONDS)
    assert signins.is_recent(session)
    clock.wait(1)
    assert not signins.is_recent(session)
    clock.wait(SESSION_SECONDS - RECENT_SIGN_IN_SECONDS - 1)
    assert signins.session(cookie)
    clock.wait(1)
    assert signins.session(cookie) is None


def test_the_roster_is_asked_every_time(clock: FakeClock) -> None:
    cookie = process(clock).create_session(Operator(ANN, "moderator"))
    assert process(clock, roster=f"{BEN}=admin").session(cookie) is None
    assert process(clock, roster="").session(cookie) is None
    lesser = process(clock, roster=f"{ANN}=auditor").session(cookie)
    assert lesser
    assert lesser.operator.role == "auditor"  # the role is the roster's, not the cookie's


@pytest.mark.parametrize("cookie", [None, "", "x", "é", "a.b", "x" * 100_000])
def test_what_is_no_cookie_of_ours_is_nobodys(clock: FakeClock, cookie: str | None) -> None:
    assert process(clock).session(cookie) is None


def test_no_other_signed_value_passes_for_a_session(clock: FakeClock) -> None:
    signins = process(clock)
    browser, mail = asked(signins)
    _, wallet = signins.create_challenge(WALLET, HERE, "/admin")
    for value in (browser.cookie, token_of(mail), wallet):
        assert signins.session(value) is None
    session = signins.create_session(Operator(ANN, "moderator"))
    assert signins.requested_email(session) is None
    with refused("incomplete or was altered"):
        signins.email_of_link(session)
    with refused("has expired"):
        signins.sign_in_by_wallet("0x", session, HERE)


# Mail


def test_the_link_signs_in_whoever_asked_in_whatever_case(clock: FakeClock) -> None:
    signins = process(clock)
    browser = Browser()
    mail = browser.ask(signins, f"  {ANN.upper()}\n", "/admin/stuck")
    assert mail
    assert (mail.to, signins.requested_email(browser.cookie)) == (ANN, ANN)
    assert signins.onward_path(browser.cookie) == "/admin/stuck"
    assert signins.is_same_browser(token_of(mail), browser.cookie)
    assert signins.sign_in_by_link(token_of(mail), browser.cookie) == Operator(ANN, "moderator")
    assert signins.sign_in_by_code(code_of(mail), browser.cookie) == Operator(ANN, "moderator")


def test_an_apostrophe_is_an_ordinary_letter(clock: FakeClock) -> None:
    signins = process(clock)
    browser, mail = asked(signins, "O'Neil@Example.ORG")
    assert mail.to == BEN
    assert signins.sign_in_by_link(token_of(mail), browser.cookie) == Operator(BEN, "auditor")


@pytest.mark.parametrize(
    "text",
    [
        *("", "ann", "@", "ann@", "@example.org", "a@b@c", "ann@example.org,ben@example.org", "<ann@example.org>"),
        *(
            WALLET,
            "x" * 65 + "@example.org",
            "ann@" + "x" * 256,
            "ann\r\nBcc: ben@example.org",
            "a b@example.org",
            "\0",
        ),
    ],
)
def test_what_is_no_address_is_told_so(clock: FakeClock, text: str) -> None:
    with refused("not an email address", "invalid_input"):
        process(clock).request_link(text, None, "/admin", HERE)


def test_who_is_not_listed_gets_a_cookie_of_the_same_kind_and_no_mail(clock: FakeClock) -> None:
    signins = process(clock)
    stranger, known = Browser(), Browser()
    assert stranger.ask(signins, "xnn@example.org") is None
    assert known.ask(signins, ANN)
    kinds = [signins.tokens.open("asked", one.cookie or "", 60) for one in (stranger, known)]
    assert kinds[0].keys() == kinds[1].keys()
    assert [kind["minutes"] for kind in kinds] == [[MINUTE // 60]] * 2
    guessed = process(clock, roster="xnn@example.org=admin").request_link("xnn@example.org", None, "", HERE)[1]
    assert guessed
    with refused("not sign in here"):  # even with the right code
        signins.sign_in_by_code(code_of(guessed), stranger.cookie)
    with refused("not sign in here"):
        signins.sign_in_by_link(token_of(guessed), stranger.cookie)


def test_cookies_tell_nobody_who_is_listed(clock: FakeClock) -> None:
    """A cookie is signed, not secret: whoever asks again and again must see the same in it, mail or not."""
    signins, told = process(clock), list[list[object]]()
    browsers = {name: Browser() for name in (ANN, BEN, NOBODY)}
    for wait in (0, 50, 5, 3, 1, 1, 30, 61, 59, 1):
        clock.wait(wait)
        seen: list[object] = []
        for name, browser in browsers.items():
            mail = browser.ask(signins, name)
            if mail and name == BEN:
                signins.record_not_sent(mail)  # nor who is listed and got no mail
            seen.append(signins.tokens.open("asked", browser.cookie or "", 60)["minutes"])
        told.append(seen)
    assert all(one == seen[0] for seen in told for one in seen), told


def test_a_mail_says_the_same_whichever_process_and_browser_asked(clock: FakeClock) -> None:
    first = asked(process(clock))[1]
    clock.wait(59)
    second = asked(process(clock))[1]
    assert first == second
    clock.wait(1)
    third = asked(process(clock))[1]
    assert third.key != first.key
    assert code_of(third) != code_of(first)
    assert asked(process(clock), BEN)[1].key != third.key
    assert ANN not in third.key


def test_a_process_sends_one_mail_in_sixty_seconds_and_it_works_for_all_who_asked(clock: FakeClock) -> None:
    clock.wait(50)
    signins = process(clock)
    first, mail = asked(signins)
    clock.wait(30)  # the next minute of the clock
    second = Browser()
    assert second.ask(signins, ANN) is None
    for browser in (first, second):
        assert signins.sign_in_by_link(token_of(mail), browser.cookie).name == ANN
        assert signins.sign_in_by_code(code_of(mail), browser.cookie).name == ANN
    clock.wait(31)
    assert second.ask(signins, ANN)


def test_a_mail_that_did_not_go_out_goes_out_at_the_next_wish(clock: FakeClock) -> None:
    signins = process(clock)
    browser, mail = asked(signins)
    assert browser.ask(signins, ANN) is None
    signins.record_not_sent(mail)
    assert browser.ask(signins, ANN) == mail


def test_a_browser_that_asks_again_may_still_use_the_earlier_mail(clock: FakeClock) -> None:
    signins = process(clock)
    browser = Browser()
    mails = []
    for _ in range(7):
        mail = browser.ask(signins, ANN)
        assert mail
        mails.append(mail)
        clock.wait(61)
    assert [signins.is_same_browser(token_of(mail), browser.cookie) for mail in mails] == [False] * 2 + [True] * 5
    assert signins.sign_in_by_code(code_of(mails[2]), browser.cookie).name == ANN
    assert browser.ask(signins, BEN)  # another address: the earlier mails are not this browser's any more
    assert not signins.is_same_browser(token_of(mails[-1]), browser.cookie)


def test_another_browser_gets_the_code_to_type_and_cannot_sign_in(clock: FakeClock) -> None:
    signins = process(clock)
    _, mail = asked(signins)
    phone, neighbour = Browser(), Browser()
    assert neighbour.ask(signins, BEN)
    clock.wait(61)
    later = Browser()
    assert later.ask(process(clock), ANN)  # the same address in another minute
    for browser in (phone, neighbour, later):
        assert not signins.is_same_browser(token_of(mail), browser.cookie)
        assert signins.code_of_link(token_of(mail)) == code_of(mail)
        with refused("only in the browser that asked"):
            signins.sign_in_by_link(token_of(mail), browser.cookie)
        with pytest.raises(ProblemError):
            signins.sign_in_by_code(code_of(mail), browser.cookie)


def test_links_and_codes_live_for_fifteen_minutes_whatever_the_cookie_says(clock: FakeClock) -> None:
    signins = process(clock)
    browser, mail = asked(signins)
    clock.wait(LINK_SECONDS - 30)
    assert browser.ask(signins, ANN)  # the cookie is young again, the mail is not
    clock.wait(30)
    assert signins.sign_in_by_link(token_of(mail), browser.cookie).name
    assert signins.sign_in_by_code(code_of(mail), browser.cookie).name
    clock.wait(1)
    with refused("more than 15 minutes old"):
        signins.sign_in_by_link(token_of(mail), browser.cookie)
    with refused("not the email's code"):
        signins.sign_in_by_code(code_of(mail), browser.cookie)


def test_a_browser_that_asked_long_ago_asks_again(clock: FakeClock) -> None:
    signins = process(clock)
    browser, mail = asked(signins)
    clock.wait(LINK_SECONDS + 61)
    with refused("asked for no link in the last 15 minutes"):
        signins.sign_in_by_code(code_of(mail), browser.cookie)


@pytest.mark.parametrize("typed", ["{0}", " {0} ", "{1}", "{2}", "{3}", "\t{3}\n"])
def test_a_code_is_read_as_people_type_it(clock: FakeClock, typed: str) -> None:
    signins = process(clock)
    browser, mail = asked(signins)
    code = code_of(mail)
    plain = code.replace("-", "")
    text = typed.format(code, code.lower(), " ".join(plain), plain)
    assert signins.sign_in_by_code(text, browser.cookie).name == ANN


@pytest.mark.parametrize(
    "typed", ["", "-", "AAAA", "é" * 8, "\ud83d\ude00", "A" * 10_000, "\N{RIGHT-TO-LEFT OVERRIDE}"]
)
def test_a_wrong_code_signs_nobody_in(clock: FakeClock, typed: str) -> None:
    signins = process(clock)
    browser, _ = asked(signins)
    with refused("not the email's code"):
        signins.sign_in_by_code(typed.encode("utf-16", "surrogatepass").decode("utf-16"), browser.cookie)


def test_codes_of_one_address_are_guessed_ten_times_at_once_from_however_many_browsers(clock: FakeClock) -> None:
    signins = process(clock)
    mail = asked(signins)[1]
    for _ in range(10):
        browser = Browser()
        browser.ask(signins, ANN)
        with refused("not the email's code"):
            signins.sign_in_by_code("AAAAAAAA", browser.cookie)
    browser = Browser()
    browser.ask(signins, ANN)
    with refused("Wait a minute", "rate_limited"):
        signins.sign_in_by_code(code_of(mail), browser.cookie)
    assert signins.sign_in_by_link(token_of(mail), browser.cookie).name  # the link is not guessed, and goes on
    other, others_mail = asked(signins, BEN)
    assert signins.sign_in_by_code(code_of(others_mail), other.cookie).name
    clock.wait(60)
    assert signins.sign_in_by_code(code_of(mail), browser.cookie).name


def test_secrets_are_rotated_in_the_midst_of_a_sign_in(clock: FakeClock) -> None:
    before, between, after = process(clock), process(clock, NEWER, SECRET), process(clock, NEWER)
    browser, mail = asked(before)
    assert between.sign_in_by_link(token_of(mail), browser.cookie).name
    assert between.sign_in_by_code(code_of(mail), browser.cookie).name
    newer, newer_mail = asked(between)
    assert after.sign_in_by_code(code_of(newer_mail), newer.cookie).name
    with refused("asked for no link"):
        after.sign_in_by_code(code_of(mail), browser.cookie)
    with refused("incomplete or was altered"):
        after.sign_in_by_link(token_of(mail), browser.cookie)


def test_without_an_address_to_trust_the_mail_has_the_code_alone(clock: FakeClock) -> None:
    _, mail = process(clock).request_link(ANN, None, "/admin", None)
    assert mail
    assert code_of(mail)
    assert "http" not in mail.text + mail.html


def test_without_mail_there_is_none_to_send(clock: FakeClock) -> None:
    signins = SignIns(tokens=Tokens((SECRET,), clock), roster=ROSTER, mailer=None, chain_id=CHAIN_ID, clock=clock)
    assert signins.request_link(ANN, None, "/admin", HERE)[1] is None
    assert signins.has_operators
    assert not SignIns(tokens=Tokens((), clock), roster={}, mailer=None, chain_id=CHAIN_ID, clock=clock).has_operators


# Wallets


def signature(message: str, key: str = KEY) -> str:
    """As a wallet gives it."""
    return f"0x{Account.sign_message(encode_defunct(text=message), key).signature.hex()}"


def test_a_wallet_signs_in_with_the_message_that_its_browser_was_given(clock: FakeClock) -> None:
    message, cookie = process(clock).create_challenge(WALLET, HERE, "/admin/grants")
    assert f"{HERE.removeprefix('https://')} wants you to sign in" in message
    assert f"Chain ID: {CHAIN_ID}\n" in message
    clock.wait(WALLET_SECONDS)
    who, onward = process(clock).sign_in_by_wallet(signature(message), cookie, HERE)
    assert (who, onward) == (Operator(WALLET, "admin"), "/admin/grants")
    clock.wait(1)
    with refused("has expired"):
        process(clock).sign_in_by_wallet(signature(message), cookie, HERE)


def test_every_message_is_another_and_fits_one_browser(clock: FakeClock) -> None:
    signins = process(clock)
    (mine, my_cookie), (theirs, their_cookie) = (signins.create_challenge(WALLET, HERE, "/admin") for _ in range(2))
    assert mine != theirs
    assert signins.sign_in_by_wallet(signature(mine), my_cookie, HERE)
    for signed, cookie in ((mine, their_cookie), (theirs, my_cookie)):
        with refused("not from this wallet"):
            signins.sign_in_by_wallet(signature(signed), cookie, HERE)
    with refused("has expired"):
        signins.sign_in_by_wallet(signature(mine), None, HERE)


def test_a_message_of_another_site_chain_or_key_signs_nobody_in(clock: FakeClock) -> None:
    signins = process(clock)
    message, cookie = signins.create_challenge(WALLET, HERE, "/admin")
    with refused("another address of this site"):
        signins.sign_in_by_wallet(signature(message), cookie, "https://billing.example.net")
    with refused("not from this wallet"):  # what a page in the middle would have its visitor sign
        signins.sign_in_by_wallet(signature(message.replace("billing.example.org", "evil.example")), cookie, HERE)
    with refused("not from this wallet"):
        process(clock, chain_id=1).sign_in_by_wallet(signature(message), cookie, HERE)
    with refused("not from this wallet"):
        signins.sign_in_by_wallet(signature(message, "0x" + "5d" * 32), cookie, HERE)
    for text in ("", "0x", "0x" + "zz" * 65, "0x" + "00" * 65, "\ud800", "0x" + "f" * 99_999):
        with refused("not from this wallet"):
            signins.sign_in_by_wallet(text, cookie, HERE)


def test_a_wallet_that_is_not_listed_signs_and_stays_outside(clock: FakeClock) -> None:
    stranger = "0x" + "5d" * 32
    message, cookie = process(clock).create_challenge(Account.from_key(stranger).address.lower(), HERE, "/admin")
    with refused("may not sign in here"):
        process(clock).sign_in_by_wallet(signature(message, stranger), cookie, HERE)
    with refused("may not sign in here"):  # taken off in between
        message, cookie = process(clock).create_challenge(WALLET, HERE, "/admin")
        process(clock, roster=f"{ANN}=admin").sign_in_by_wallet(signature(message), cookie, HERE)


@pytest.mark.parametrize(
    "address", ["", "0x", WALLET[:-1], WALLET + "0", WALLET.replace("0x", ""), ANN, "0x" + "g" * 40]
)
def test_what_is_no_wallet_is_told_so(clock: FakeClock, address: str) -> None:
    with refused("not a wallet address", "invalid_input"):
        process(clock).create_challenge(address, HERE, "/admin")


def test_secrets_are_rotated_while_a_wallet_signs(clock: FakeClock) -> None:
    message, cookie = process(clock).create_challenge(WALLET, HERE, "/admin")
    assert process(clock, NEWER, SECRET).sign_in_by_wallet(signature(message), cookie, HERE)
    with refused("has expired"):
        process(clock, NEWER).sign_in_by_wallet(signature(message), cookie, HERE)
