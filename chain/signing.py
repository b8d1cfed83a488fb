"""EIP-712 signatures of quotes and registrations (https://eips.ethereum.org/EIPS/eip-712).

`eth_account` takes two thirds of a second to import, so it is imported where it is first used; `warm` does it in time.
"""

import sys
from dataclasses import dataclass
from typing import Any

from chain.payment import customer_id_to_bytes32

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


@dataclass(frozen=True, slots=True)
class Quote:
    """What `payQuoted` is promised: `amount` base units for `cents`, once, at this `sequence`, until `deadline`."""

    wallet: str
    sequence: int
    amount: int
    cents: int
    deadline: int


class Signer:
    """Signs for any gateway of one chain with an ordinary key. Raises ValueError where the key is none."""

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
        """The 65-byte signature of a quote for one gateway."""
        message = {
            "wallet": quote.wallet,
            "sequence": quote.sequence,
            "amount": quote.amount,
            "cents": quote.cents,
            "deadline": quote.deadline,
        }
        return self._sign(gateway, "Quote", message)

    def registration(self, gateway: str, wallet: str, customer_id: str, deadline: int) -> bytes:
        """The 65-byte signature that lets anybody register `customer_id` for `wallet` until `deadline`."""
        message = {"wallet": wallet, "customerId": customer_id_to_bytes32(customer_id), "deadline": deadline}
        return self._sign(gateway, "Registration", message)

    def _sign(self, gateway: str, kind: str, message: dict[str, Any]) -> bytes:
        preload_crypto()
        from eth_account import Account
        from eth_account.messages import encode_typed_data

        domain = {
            "name": "PaymentGateway",
            "version": "1",
            "chainId": self._chain_id,
            "verifyingContract": gateway,
        }
        signable = encode_typed_data(domain, {kind: TYPES[kind]}, message)
        return bytes(Account.sign_message(signable, self._key).signature)


def domain_separator(name: str, version: str, chain_id: int, contract: str) -> bytes:
    """The hash of an EIP-712 domain of name, version, chain and contract."""
    from eth_utils.crypto import keccak

    kind = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    hashed = [keccak(text=text) for text in (kind, name, version)]
    return keccak(b"".join([*hashed, chain_id.to_bytes(32), bytes.fromhex(contract[2:]).rjust(32, b"\0")]))


def to_checksum_address(address: str) -> str:
    """An address in EIP-55 capitals."""
    preload_crypto()
    from eth_utils.address import to_checksum_address

    return to_checksum_address(address)


def preload_crypto() -> None:
    """Import now what is imported late, so that the first quote does not wait for it.

    A package behind eth_account raises Python's recursion limit a hundredfold, and with it gone a deeply nested answer
    of a node would end the process instead of being refused: the limit is put back.
    """
    limit = sys.getrecursionlimit()
    import eth_account.messages  # noqa: F401
    import eth_utils.address  # noqa: F401

    sys.setrecursionlimit(limit)
