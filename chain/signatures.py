"""EIP-712 signatures of quotes and registrations, and EIP-4361 sign-in messages recovered by EIP-191.

`eth_account` takes about a second to import, so it is imported where it is first used; `preload_crypto` does it early.
"""

import re
import sys
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from chain.payment import customer_id_to_bytes32

if TYPE_CHECKING:
    from eth_account.messages import SignableMessage

TYPES = {
    "Quote": [
        {"name": "wallet", "type": "address"},
        {"name": "sequence", "type": "uint256"},
        {"name": "amount", "type": "uint256"},
        {"name": "cents", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ],
    "Registration": [
        {"name": "wallet", "type": "address"},
        {"name": "customerId", "type": "bytes32"},
        {"name": "deadline", "type": "uint256"},
    ],
}
STATEMENT = "Sign in to the moderators' pages. This sends no transaction and costs nothing."

_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}|0x[0-9a-fA-F]{128}")
_MAX_S = 0x7FFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_5D576E73_57A4501D_DFE92F46_681B20A0  # half the curve's order
_S_BITS = 255  # of a compact signature; the highest bit is the parity of y
_CHECKSUMS = 10_000  # a checksum is a hash of the address: 20 µs
_BLS_MODULES = ("py_ecc", "py_ecc.bls", "py_ecc.bls12_381", "py_ecc.secp256k1")
_import_lock = threading.Lock()
_imported: set[str] = set()


@dataclass(frozen=True, slots=True)
class Quote:
    """The terms of `payQuoted`: `amount` base units for `cents`, once, at this `sequence`, until `deadline`."""

    wallet: str
    sequence: int
    amount: int
    cents: int
    deadline: int


@dataclass(frozen=True, slots=True)
class SignIn:
    """The fields of an EIP-4361 message; `issued` and `expires` in unix seconds."""

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


class Signer:
    """Signs for every gateway of one chain with a private key held in memory.

    Raises: ValueError if the key is not valid.
    """

    def __init__(self, key: str, chain_id: int) -> None:
        self._key = key
        self._chain_id = chain_id

    @property
    def address(self) -> str:
        """The signer's address, lower-case."""
        preload_crypto()
        from eth_account import Account

        return str(Account.from_key(self._key).address).lower()

    def quote(self, gateway: str, quote: Quote) -> bytes:
        """Sign a quote for one gateway: 65 bytes."""
        return self._sign(gateway, "Quote", asdict(quote))

    def registration(self, gateway: str, wallet: str, customer_id: str, deadline: int) -> bytes:
        """Sign the permission to register `customer_id` for `wallet` until `deadline`: 65 bytes."""
        message = {"wallet": wallet, "customerId": customer_id_to_bytes32(customer_id), "deadline": deadline}
        return self._sign(gateway, "Registration", message)

    def _sign(self, gateway: str, kind: str, message: dict[str, Any]) -> bytes:
        preload_crypto()
        from eth_account import Account

        return bytes(Account.sign_message(_typed_data(self._chain_id, gateway, kind, message), self._key).signature)


def _typed_data(chain_id: int, gateway: str, kind: str, message: dict[str, Any]) -> "SignableMessage":
    from eth_account.messages import encode_typed_data

    domain = {"name": "PaymentGateway", "version": "1", "chainId": chain_id, "verifyingContract": gateway}
    return encode_typed_data(domain, {kind: TYPES[kind]}, message)


def quote_signer(chain_id: int, gateway: str, quote: Quote, signature: bytes) -> str | None:
    """Recover the lower-case address that signed a quote for a gateway; None for what the gateway takes from nobody.

    It takes 65 bytes with the lower of the two values of `s`.
    """
    preload_crypto()
    from eth_account import Account
    from eth_keys.exceptions import BadSignature

    if len(signature) != 65 or signature[64] not in (27, 28) or int.from_bytes(signature[32:64]) > _MAX_S:
        return None
    signable = _typed_data(chain_id, gateway, "Quote", asdict(quote))
    try:
        return str(Account.recover_message(signable, signature=signature)).lower()
    except (ValueError, TypeError, BadSignature):
        return None


def signer_of(message: str, signature: str) -> str | None:
    """Recover the lower-case address that signed a message; None if the signature is not valid.

    A signature has 65 bytes, or 64 in EIP-2098's compact form.
    """
    preload_crypto()
    from eth_account import Account
    from eth_account.messages import encode_defunct
    from eth_keys.exceptions import BadSignature

    if not _SIGNATURE.fullmatch(signature):
        return None
    try:
        whole = _expand(bytes.fromhex(signature[2:]))
        return str(Account.recover_message(encode_defunct(text=message), signature=whole)).lower()
    except (ValueError, TypeError, BadSignature):
        return None


def _expand(signature: bytes) -> bytes:
    """Return the 65 bytes of a compact signature; others as they are."""
    if len(signature) != 64:
        return signature
    parity_and_s = int.from_bytes(signature[32:])
    s = parity_and_s & ((1 << _S_BITS) - 1)
    return signature[:32] + s.to_bytes(32) + bytes([27 + (parity_and_s >> _S_BITS)])


def message_hash(message: str) -> bytes:
    """Return the EIP-191 hash that a wallet signs of a text."""
    preload_crypto()
    from eth_utils.crypto import keccak

    raw = message.encode()
    return keccak(b"\x19Ethereum Signed Message:\n%d" % len(raw) + raw)


def keccak_of_text(text: str) -> bytes:
    """Hash a text with keccak256."""
    preload_crypto()
    from eth_utils.crypto import keccak

    return keccak(text=text)


def domain_separator(name: str, version: str, chain_id: int, contract: str) -> bytes:
    """Hash an EIP-712 domain of name, version, chain and contract."""
    preload_crypto()
    from eth_utils.crypto import keccak

    kind = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    hashes = [keccak(text=text) for text in (kind, name, version)]
    return keccak(b"".join([*hashes, chain_id.to_bytes(32), bytes.fromhex(contract[2:]).rjust(32, b"\0")]))


def text_digest(text: str) -> str:
    """Return the keccak-256 digest of a text, in hex without 0x."""
    preload_crypto()
    from eth_utils.crypto import keccak

    return keccak(text=text).hex()


@lru_cache(_CHECKSUMS)
def to_checksum_address(address: str) -> str:
    """Convert an address to EIP-55 mixed case."""
    preload_crypto()
    from eth_utils.address import to_checksum_address

    return to_checksum_address(address)


def preload_crypto() -> None:
    """Import eth_account now, so that the first quote does not wait for it."""
    import_late("eth_account.messages", "eth_utils.address")


def is_imported(module: str) -> bool:
    """Check whether `import_late` has loaded a package completely."""
    return module in _imported


def import_late(*modules: str) -> None:
    """Import packages that are slow to load, without BLS signatures.

    eth_keyfile imports py_ecc to encrypt the keys of validators, which nothing here does. Its tables take 0.28 of the
    0.70 s of CPU that web3 takes to load, and it raises Python's recursion limit to 100,000, so that deeply nested JSON
    would crash the process instead of being refused.
    """
    if _imported.issuperset(modules):
        return
    with _import_lock:
        absent = [name for name in _BLS_MODULES if name not in sys.modules]
        sys.modules.update({name: _AbsentModule(name) for name in absent})
        try:
            for module in modules:
                import_module(module)
        finally:
            for name in absent:
                del sys.modules[name]
        _imported.update(modules)


class _AbsentModule(ModuleType):
    """Stands for a module whose names are imported and, but for the arithmetic of constants, never used."""

    def __getattr__(self, name: str) -> int:
        if name.startswith("__"):
            raise AttributeError(name)
        return 0


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
