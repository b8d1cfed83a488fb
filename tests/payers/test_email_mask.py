"""Masked addresses: recognizable for their owners, and of no use to anybody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateless_billing.payers.email_mask import mask_email


@pytest.mark.parametrize(
    ("email", "masked"),
    [
        ("chris@litprotocol.com", "c…s@l….com"),
        ("c@litprotocol.com", "c…@l….com"),
        ("ab@x.io", "a…b@x….io"),
        ("Chris@Litprotocol.Com", "C…s@L….Com"),
        ("billing@mail.eu.example.co.uk", "b…g@m….uk"),
        ("root@localhost", "r…t@l…"),
        ("chris@litprotocol.com.", "c…s@l….com"),
        ('"a@b"@example.org', '"…"@e….org'),
        ("zoë@straße.de", "z…ë@s….de"),
        ("zoe\u0308@example.org", "z…ë@e….org"),
        ("x\u0323\u0307y@example.org", "ẋ̣…y@e….org"),
        ("李雷@例え.テスト", "李…雷@例….テスト"),
        ("postmaster@[192.0.2.1]", "p…r@[…"),
        ("\u202eevil\u202c@example.org", "e…l@e….org"),
    ],
)
def test_masked(email: str, masked: str) -> None:
    assert mask_email(email) == masked


@pytest.mark.parametrize(
    "email", [None, "", "chris", "@example.org", "chris@", "chris@.", "chris@a..org", "\u200b@a.b"]
)
def test_what_is_no_address_is_not_shown(email: str | None) -> None:
    assert mask_email(email) is None


@given(st.text(), st.text())
def test_any_text_gives_little_away(name: str, host: str) -> None:
    masked = mask_email(f"{name}@{host}")
    assert masked is None or masked.count("…") >= 2


@given(st.text("abcdefgh", min_size=2), st.text("ijklmnop", min_size=1))
def test_lengths_stay_unknown(name: str, host: str) -> None:
    assert mask_email(f"{name}@{host}.org") == f"{name[0]}…{name[-1]}@{host[0]}….org"
