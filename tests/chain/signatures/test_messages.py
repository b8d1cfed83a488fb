"""EIP-4361 texts and who signed them: the text to the letter, and nobody for whatever is no signature of it."""

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.signatures import SignIn, signer_of

KEY = "0x" + "4c" * 32
ACCOUNT = Account.from_key(KEY)
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141  # of secp256k1
ASKED = SignIn(
    "billing.example.org:8443",
    "https://billing.example.org:8443",
    ACCOUNT.address.lower(),
    8453,
    "0123456789abcdef",
    1_790_000_000,
    1_790_000_300,
)
TEXT = f"""billing.example.org:8443 wants you to sign in with your Ethereum account:
{ACCOUNT.address}

Sign in to the moderators' pages. This sends no transaction and costs nothing.

URI: https://billing.example.org:8443
Version: 1
Chain ID: 8453
Nonce: 0123456789abcdef
Issued At: 2026-09-21T14:13:20Z
Expiration Time: 2026-09-21T14:18:20Z"""


def signed(text: str, key: str = KEY) -> bytes:
    """A wallet's answer to `personal_sign`."""
    return bytes(Account.sign_message(encode_defunct(text=text), key).signature)


def as_hex(signature: bytes) -> str:
    """As a wallet returns it."""
    return f"0x{signature.hex()}"


def test_the_text_is_that_of_the_standard_to_the_letter() -> None:
    assert str(ASKED) == TEXT


def test_the_signer_of_a_text_is_known() -> None:
    assert signer_of(TEXT, as_hex(signed(TEXT))) == ACCOUNT.address.lower()
    assert signer_of(TEXT, as_hex(signed(TEXT)).upper().replace("0X", "0x")) == ACCOUNT.address.lower()


def test_wallets_that_count_the_parity_from_zero_are_understood() -> None:
    signature = signed(TEXT)
    assert signer_of(TEXT, as_hex(signature[:64] + bytes([signature[64] - 27]))) == ACCOUNT.address.lower()


@pytest.mark.parametrize(
    "other",
    [
        TEXT + "\n",
        TEXT.replace("8453", "1"),
        TEXT.replace(":8443", ":8444"),
        TEXT.replace(":18:20", ":18:21"),
        TEXT[:-1],
        "",
    ],
)
def test_another_text_has_another_signer(other: str) -> None:
    assert other != TEXT
    assert signer_of(other, as_hex(signed(TEXT))) != ACCOUNT.address.lower()


def test_a_hash_of_the_text_that_was_signed_as_a_message_of_its_own_is_not_the_text() -> None:
    assert signer_of(TEXT, as_hex(signed(encode_defunct(text=TEXT).body.hex()))) != ACCOUNT.address.lower()


R, S, V = signed(TEXT)[:32], signed(TEXT)[32:64], signed(TEXT)[64:]


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "0x",
        signed(TEXT).hex(),
        f"0X{signed(TEXT).hex()}",
        as_hex(signed(TEXT)) + "00",
        as_hex(signed(TEXT))[:-1],
        as_hex(signed(TEXT))[:-4],
        as_hex(signed(TEXT)) + "\n",
        " " + as_hex(signed(TEXT)),
        "0x" + "zz" * 65,
        "0x" + "٣" * 130,
        as_hex(bytes(65)),
        as_hex(b"\xff" * 65),
        as_hex(bytes(32) + S + V),
        as_hex(R + bytes(32) + V),
        as_hex(ORDER.to_bytes(32, "big") + S + V),
        as_hex(R + ORDER.to_bytes(32, "big") + V),
        as_hex(R + S + b"\x02"),
        as_hex(R + S + b"\x1d"),
        as_hex(R + S + b"\x22"),
        "\ud800",
        "0x" + "1" * 100_000,
    ],
)
def test_what_is_no_signature_is_nobodys(bad: str) -> None:
    assert signer_of(TEXT, bad) is None


@settings(max_examples=150)
@given(st.binary(min_size=65, max_size=65))
def test_random_bytes_are_never_an_error_and_never_the_wallets(signature: bytes) -> None:
    assert signer_of(TEXT, as_hex(signature)) != ACCOUNT.address.lower()


@settings(max_examples=30)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.binary(min_size=32, max_size=32))
def test_any_text_by_any_key(text: str, key: bytes) -> None:
    if not 0 < int.from_bytes(key, "big") < ORDER:
        return
    assert signer_of(text, as_hex(signed(text, as_hex(key)))) == Account.from_key(key).address.lower()
