"""API keys: full and restricted, test and live (docs.stripe.com/keys, docs.stripe.com/keys/restricted-api-keys)."""

from dataclasses import dataclass

from stateless_billing.sandbox.answers import Refusal

CUSTOMER_READ = "rak_customer_read"
CUSTOMER_WRITE = "rak_customer_write"
BALANCE_READ = "rak_customer_balance_transaction_read"
"""Stripe documents no name for this permission: callers must show the error's text instead of matching it."""
BALANCE_WRITE = "rak_customer_balance_transaction_write"
ACCOUNT_READ = "rak_accounts_kyc_id_numbers_read"
"""Required by `GET /v1/account`; the Dashboard cannot give it to a restricted key (stripe/stripe-node#2246)."""

DEFAULT_ACCOUNT = "acct_1Sandb0xLitkeyPay"
DEFAULT_KEY = "sk_test_sandbox"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A secret, its account, and its permissions (None for a full key)."""

    secret: str
    account: str = DEFAULT_ACCOUNT
    permissions: frozenset[str] | None = None
    expired: bool = False

    @property
    def livemode(self) -> bool:
        """Whether the key accesses live objects, according to its prefix."""
        return "_live_" in self.secret

    @property
    def redacted(self) -> str:
        """The secret as shown in error texts."""
        prefix = self.secret[:8]
        return f"{prefix}{'*' * max(4, len(self.secret) - 12)}{self.secret[8:][-4:]}"

    def may(self, permission: str) -> bool:
        """Whether the key has a permission; write implies read."""
        if self.permissions is None:
            return True
        if permission == ACCOUNT_READ:
            return False
        if permission in self.permissions:
            return True
        return permission.endswith("_read") and permission.removesuffix("read") + "write" in self.permissions


class KeyRing:
    """The existing keys."""

    def __init__(self, *keys: ApiKey) -> None:
        self._keys = {key.secret: key for key in keys}

    def add(self, key: ApiKey) -> None:
        """Add or replace a key."""
        self._keys[key.secret] = key

    def remove(self, secret: str) -> None:
        """Revoke a key; requests with it get 401 from now on."""
        self._keys.pop(secret, None)

    def authenticated(self, authorization: str) -> ApiKey:
        """Return the key of an `Authorization: Bearer …` header. Raises: `Refusal` 401."""
        scheme, _, secret = authorization.partition(" ")
        if not secret or scheme.lower() != "bearer":
            raise unauthorized("You did not provide an API key in the Authorization header, using Bearer auth.")
        key = self._keys.get(secret.strip())
        if key is None:
            raise unauthorized(f"Invalid API Key provided: {ApiKey(secret.strip()).redacted}")
        if key.expired:
            raise unauthorized(f"Expired API Key provided: {key.redacted}", "api_key_expired")
        return key


def permit(key: ApiKey, permission: str) -> None:
    """Require a permission. Raises: `Refusal` 403."""
    if not key.may(permission):
        raise forbidden(key.redacted, key.account, permission)


def unauthorized(message: str, code: str | None = None) -> Refusal:
    """Return a 401 refusal."""
    return Refusal(401, message, code=code, headers={"WWW-Authenticate": 'Bearer realm="Stripe"'})


def forbidden(redacted: str, account: str, permission: str) -> Refusal:
    """Return the 403 refusal of a restricted key, which names the missing permission."""
    message = (
        f"The provided key '{redacted}' does not have the required permissions for this endpoint on account "
        f"'{account}'. Having the '{permission}' permission would allow this request to continue."
    )
    return Refusal(403, message)
