"""API keys: authentication and the permissions of restricted keys."""

import pytest

from stateless_billing.sandbox.answers import Refusal
from stateless_billing.sandbox.api_keys import (
    ACCOUNT_READ,
    BALANCE_READ,
    BALANCE_WRITE,
    CUSTOMER_READ,
    CUSTOMER_WRITE,
    ApiKey,
    KeyRing,
    permit,
)

FULL = ApiKey("sk_test_abcdefghijklmnop")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic c2tfdGVzdA==", "sk_test_abcdefghijklmnop"])
def test_a_bearer_key_is_required(header: str) -> None:
    with pytest.raises(Refusal) as refusal:
        KeyRing(FULL).authenticated(header)
    assert refusal.value.status == 401
    assert "You did not provide an API key" in refusal.value.message
    assert "WWW-Authenticate" in refusal.value.headers


def test_unknown_expired_and_revoked_keys() -> None:
    ring = KeyRing(FULL, ApiKey("sk_test_old", expired=True))
    assert ring.authenticated(f"Bearer {FULL.secret}") is FULL
    for secret, code in (("sk_test_unknown_secret", None), ("sk_test_old", "api_key_expired")):
        with pytest.raises(Refusal) as refusal:
            ring.authenticated(f"Bearer {secret}")
        assert (refusal.value.status, refusal.value.code) == (401, code)
        assert secret not in refusal.value.message
    ring.remove(FULL.secret)
    with pytest.raises(Refusal):
        ring.authenticated(f"Bearer {FULL.secret}")


def test_write_implies_read_and_nothing_else() -> None:
    key = ApiKey("rk_test_x", permissions=frozenset({BALANCE_WRITE, CUSTOMER_READ}))
    assert key.may(BALANCE_WRITE)
    assert key.may(BALANCE_READ)
    assert key.may(CUSTOMER_READ)
    assert not key.may(CUSTOMER_WRITE)
    assert FULL.may(CUSTOMER_WRITE)


def test_no_restricted_key_may_read_the_account() -> None:
    assert FULL.may(ACCOUNT_READ)
    assert not ApiKey("rk_test_x", permissions=frozenset({ACCOUNT_READ, CUSTOMER_WRITE})).may(ACCOUNT_READ)


def test_a_refused_permission_is_named() -> None:
    key = ApiKey("rk_test_abcdefghijklmnop", account="acct_1", permissions=frozenset())
    with pytest.raises(Refusal) as refusal:
        permit(key, CUSTOMER_WRITE)
    assert refusal.value.status == 403
    assert refusal.value.message == (
        "The provided key 'rk_test_************mnop' does not have the required permissions for this endpoint on "
        "account 'acct_1'. Having the 'rak_customer_write' permission would allow this request to continue."
    )


def test_the_mode_follows_from_the_prefix() -> None:
    assert [ApiKey(secret).livemode for secret in ("sk_test_a", "rk_live_a")] == [False, True]
