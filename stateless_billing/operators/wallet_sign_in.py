"""Sign-in by a wallet's signature of a message (EIP-4361) that names this site."""

import secrets
from collections.abc import Mapping
from typing import Any

from cachetools import TTLCache

from chain.signatures import SignIn, signer_of
from stateless_billing.domain.errors import ProblemError
from stateless_billing.operators.roster import Operator, Roster, find_operator, is_wallet
from stateless_billing.operators.signed_tokens import BadToken, Tokens
from stateless_billing.operators.smart_accounts import NotDecided, SmartAccounts
from stateless_billing.runtime.clock import Clock

WALLET_SECONDS = 5 * 60
_CACHE_SIZE = 100_000


class WalletSignIns:
    """Creates messages to sign and verifies the signatures. Each message works once per process."""

    def __init__(
        self, tokens: Tokens, roster: Roster, chain_id: int, clock: Clock, smart_accounts: SmartAccounts | None
    ) -> None:
        self._tokens = tokens
        self._roster = roster
        self._chain_id = chain_id
        self._clock = clock
        self._smart_accounts = smart_accounts
        self._used_challenges: TTLCache[str, bool] = TTLCache(_CACHE_SIZE, 2 * WALLET_SECONDS, clock.boot)

    def create_challenge(self, address: str, origin: str, onward: str) -> tuple[str, str]:
        """Return the message for a wallet to sign, and the cookie to send with the signature."""
        if not is_wallet(address):
            raise ProblemError("invalid_input", "This is not a wallet address. You are not signed in.")
        challenge = {"address": address, "browser": secrets.token_hex(16), "origin": origin, "onward": onward}
        now = int(self._clock.wall())
        message = self._message(challenge | {"at": now}, self._nonces(challenge, now)[0])
        return message, self._tokens.seal("wallet", challenge, now)

    async def sign_in(self, signature: str, cookie: str | None, origin: str) -> tuple[Operator, str]:
        """Return the operator who signed this browser's message, and the page to open.

        Raises: ProblemError.
        """
        try:
            challenge = self._tokens.open("wallet", cookie or "", WALLET_SECONDS)
        except BadToken as error:
            raise ProblemError(
                "sign_in_failed", "This request has expired or is incomplete. You are not signed in. Try again."
            ) from error
        if challenge.get("origin") != origin:
            raise ProblemError(
                "sign_in_failed",
                "The message was made for another address of this site. You are not signed in. Try again.",
            )
        nonces = self._nonces(challenge, challenge["at"])
        messages = [self._message(challenge, nonce) for nonce in nonces]
        address = str(challenge["address"])
        is_signed = address in {signer_of(message, signature) for message in messages}
        if not is_signed and not await self._has_account_signed(address, messages, signature):
            raise ProblemError(
                "sign_in_failed",
                "The signature is not from this wallet. You are not signed in. Try again. A smart account must exist on"
                " this chain: send any transaction from it first.",
            )
        operator = require_operator(self._roster, challenge["address"])
        if self._used_challenges.setdefault(nonces[-1], False):
            raise ProblemError(
                "sign_in_failed", "This message signed somebody in before. You are not signed in. Try again."
            )
        self._used_challenges[nonces[-1]] = True
        return operator, str(challenge.get("onward", ""))

    def requested_address(self, cookie: str | None) -> str:
        """Return the address of a browser's message; empty if it has none that is in time."""
        try:
            return str(self._tokens.open("wallet", cookie or "", WALLET_SECONDS)["address"])
        except (BadToken, KeyError):
            return ""

    async def _has_account_signed(self, address: str, messages: list[str], signature: str) -> bool:
        """Ask an operator's smart account. Strangers' addresses cost no call.

        Raises: ProblemError if the chain does not tell.
        """
        if self._smart_accounts is None or find_operator(self._roster, address) is None:
            return False
        try:
            for message in messages:
                if await self._smart_accounts.has_signed(address, message, signature):
                    return True
        except NotDecided as error:
            raise ProblemError(
                "chain_unavailable",
                "Too few nodes of the chain answered to check your smart account's signature. You are not signed in."
                " Try again in a minute.",
            ) from error
        return False

    def _nonces(self, challenge: Mapping[str, Any], at: int) -> list[str]:
        return self._tokens.nonces("wallet", f"{challenge['address']} {challenge['browser']} {at}")

    def _message(self, challenge: Mapping[str, Any], nonce: str) -> str:
        origin, at = str(challenge["origin"]), int(challenge["at"])
        domain = origin.partition("://")[2]
        return str(SignIn(domain, origin, str(challenge["address"]), self._chain_id, nonce, at, at + WALLET_SECONDS))


def require_operator(roster: Roster, name: str) -> Operator:
    """Return the operator of a name whose holder proved it.

    Raises: ProblemError if it is not on the roster.
    """
    operator = find_operator(roster, name)
    if operator is None:
        raise ProblemError(
            "sign_in_failed",
            "You may not sign in here. You are not signed in. Ask an admin to add you to the roster.",
        )
    return operator
