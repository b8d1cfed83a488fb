"""Messages that a wallet signs to prove whose it is: EIP-4361 texts of our own making, recovered by EIP-191."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from chain.signing import preload_crypto, to_checksum_address

_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}")
STATEMENT = "Sign in to the moderators' pages. This sends no transaction and costs nothing."


@dataclass(frozen=True, slots=True)
class SignIn:
    """What an EIP-4361 message says; `issued` and `expires` in unix seconds."""

    domain: str
    uri: str
    address: str
    chain_id: int
    nonce: str
    issued: int
    expires: int

    def __str__(self) -> str:
        return (
            f"{self.domain} wants you to sign in with your Ethereum account:\n{to_checksum_address(self.address)}\n\n"
            f"{STATEMENT}\n\n"
            f"URI: {self.uri}\nVersion: 1\nChain ID: {self.chain_id}\nNonce: {self.nonce}\n"
            f"Issued At: {_iso(self.issued)}\nExpiration Time: {_iso(self.expires)}"
        )


def signer_of(text: str, signature: str) -> str | None:
    """The lower-case address whose key signed a text; None where the signature is none."""
    preload_crypto()
    from eth_account import Account
    from eth_account.messages import encode_defunct
    from eth_keys.exceptions import BadSignature

    if not _SIGNATURE.fullmatch(signature):
        return None
    try:
        return str(Account.recover_message(encode_defunct(text=text), signature=signature)).lower()
    except (ValueError, TypeError, BadSignature):
        return None


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
